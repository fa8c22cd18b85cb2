"""Damaged and hostile MATLAB files are refused before SciPy or HDF5 can crash on them or need gigabytes."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from published import SHARED
from srmd.base.errors import InputError
from srmd.base.matlab import read_mat

HOSTILE = SHARED / "cases" / "hostile"
MAX_SECONDS = 20  # of processor time; a third of a second at most on an idle machine, without measuring coverage


def element(kind: int, data: bytes) -> bytes:
    """An element of a MATLAB 5 file, padded to a multiple of 8 bytes."""
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def array(array_class: int, shape: tuple[int, ...], *members: bytes, name: bytes = b"") -> bytes:
    header = element(6, struct.pack("<II", array_class, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, header + element(1, name) + b"".join(members))


def matlab_5(*elements: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"".join(elements)


def numbers(kind: int = 9) -> bytes:
    return element(kind, struct.pack("<2d", 1, 2))


def deep_cells(depth: int) -> bytes:
    cell = array(6, (1, 2), numbers())
    for _ in range(depth):
        cell = array(1, (1, 1), cell)
    return cell


def version_4(rows: int, columns: int) -> bytes:
    return struct.pack("<5i", 0, rows, columns, 0, 2) + b"k\0" + struct.pack("<2d", 1, 2)


DAMAGED = {
    "unknown data type": matlab_5(array(6, (1, 2), numbers(15))),
    "wrong number of values": matlab_5(array(6, (1, 3), numbers())),
    "negative side": matlab_5(array(6, (-1, -2), numbers())),
    "33 axes": matlab_5(array(6, (1,) * 33, numbers())),
    "deep cells": matlab_5(deep_cells(20_000)),
    "more cells than bytes": matlab_5(array(1, (2**15, 2**15), array(6, (1, 2), numbers()))),
    "empty text of a gigabyte": matlab_5(array(4, (2**15, 2**15), element(16, b""))),
    "struct without fields": matlab_5(array(2, (2**15, 2**15), element(5, struct.pack("<i", 1)), element(1, b""))),
    "names of no letters": matlab_5(array(2, (1, 1), element(5, struct.pack("<i", 0)), element(1, b""))),
    "cut short": matlab_5(array(6, (1, 2), numbers()))[:-8],
    "unknown class": matlab_5(array(99, (1, 2), numbers())),
    "compressed bomb": matlab_5(element(15, zlib.compress(array(9, (2**15, 2**14), element(2, bytes(2**29)))))),
    "version 4, negative": version_4(-1, -2),
    "version 4, large": version_4(2**30, 2**30),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mat: not a MATLAB file"):
        read_mat(path)


def struct_of(names: bytes, *members: bytes) -> bytes:
    """A struct whose fields have names of one letter; their length is stored in a tag, as MATLAB does."""
    return array(2, (1, 1), struct.pack("<HHi", 5, 4, 2), element(1, names), *members)


def compressed(*elements: bytes) -> bytes:
    parts = [zlib.compress(each, 9) for each in elements]
    return matlab_5(*[struct.pack("<II", 15, len(part)) + part for part in parts])  # without padding


EMPTY = struct.pack("<II", 14, 0)
NAMES = b"".join(letters.encode() + b"\0" for letters in map(chr, range(33, 127))) * 50
# Files that would take minutes or gigabytes in SciPy, and what the error says.
SLOW = {
    "a text of many rows": (
        compressed(array(4, (2**20 + 8, 1), element(16, b"A" * (2**20 + 8)))),
        "1048576 characters",
    ),
    "many texts": (compressed(*[array(4, (1, 2**19), element(16, b"A" * 2**19))] * 3), "1048576 characters"),
    "more letters than its shape": (compressed(array(4, (1, 1), element(16, b"A" * 2**21))), "1048576 characters"),
    "a shape without letters": (matlab_5(array(4, (2**21, 1), element(16, b"A"))), "1048576 characters"),
    "version 4, a text of many rows": (
        struct.pack("<5i", 51, 2**20 + 1, 1, 0, 2) + b"t\0" + b"A" * (2**20 + 1),
        "1048576 characters",
    ),
    "version 4, many arrays": (struct.pack("<5i", 10, 0, 0, 0, 0) * (2**17 + 1), "131072 arrays"),
    "version 4, a long name": (struct.pack("<5i", 0, 0, 0, 0, 5000) + bytes(5000), "a long name"),
    "empty cells": (compressed(array(1, (2**17, 1), EMPTY * 2**17)), "131072 cells"),
    "a struct of many fields": (compressed(struct_of(NAMES, EMPTY * 4700)), "4096 fields"),
    "fields of one name": (compressed(struct_of(b"a\0" * 4097, EMPTY * 4097)), "4096 fields"),
    "many structs of many fields": (
        compressed(*[array(2, (0, 0), struct.pack("<HHi", 5, 4, 2), element(1, NAMES[:8000]))] * 33),
        "131072 cells",
    ),
    "a long name of a field": (
        compressed(array(2, (1, 1), struct.pack("<HHi", 5, 4, 5000), element(1, b"a" * 5000), EMPTY)),
        "names of 5000 letters",
    ),
    "a long name": (compressed(array(6, (1, 2), numbers(), name=b"a" * 5000)), "a name of 5000 bytes"),
}


@pytest.mark.parametrize(("content", "message"), SLOW.values(), ids=SLOW)
def test_a_file_that_scipy_would_read_slowly_is_refused_at_once(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    start = time.process_time()
    with pytest.raises(InputError, match=rf"a\.mat: not a MATLAB file \(.*{message}"):
        read_mat(path)
    assert time.process_time() - start < MAX_SECONDS


def test_the_largest_text_and_struct_are_read(tmp_path: Path):
    path = tmp_path / "a.mat"
    fields = {f"f{number}": number for number in range(4096)}
    scipy.io.savemat(path, {"text": "A" * 2**19, "rows": ["ab", "cd"], "fields": fields}, do_compression=True)
    found = read_mat(path)
    assert found["text"] == "A" * 2**19
    assert found["rows"] == "abcd"
    assert len(found["fields"]) == 4096


VALUES = {
    "integers": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "complex": np.array([[1 + 2j, 3]]),
    "text": "text",
    "empty": np.zeros((0, 3)),
    "one": 1.5,
    "logical": np.array([[True, False]]),
    "cell": [np.ones((2, 2)), "a", [np.zeros((1, 1))]],
    "struct": {"a": np.ones((1, 2)), "long_name": {"b": "c"}},
    "axes": np.zeros((2, 3, 4)),
    "sparse": scipy.sparse.eye(3, format="csc"),
}


@pytest.mark.parametrize("compress", [False, True])
def test_valid_files_are_read_as_scipy_reads_them(compress: bool, tmp_path: Path):
    values = VALUES | {"cell": np.array([np.ones((2, 2)), "a", np.zeros((1, 1))], object)}
    path = tmp_path / "a.mat"
    with path.open("wb") as file:
        scipy.io.savemat(file, values, do_compression=compress)
    found = read_mat(path)
    assert found.keys() == values.keys()
    np.testing.assert_array_equal(found["integers"], values["integers"])
    np.testing.assert_array_equal(found["complex"], values["complex"])
    assert found["text"] == "text"
    assert found["empty"].shape == (0, 3)
    assert found["struct"]["long_name"] == {"b": "c"}
    assert found["cell"][1] == "a"
    assert (found["sparse"].toarray() == np.eye(3)).all()


def test_a_version_4_file_is_read(tmp_path: Path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"k": np.ones((2, 3)), "t": "text", "s": scipy.sparse.eye(3)}, format="4")
    found = read_mat(path)
    np.testing.assert_array_equal(found["k"], np.ones((2, 3)))
    assert found["t"] == "text"
    assert (found["s"].toarray() == np.eye(3)).all()


def test_all_of_scipys_own_files_give_values_or_input_errors():
    folder = Path(scipy.io.__file__).parent / "matlab/tests/data"
    if not folder.is_dir():
        pytest.skip("SciPy was installed without its tests")
    refused = set()
    for path in sorted(folder.glob("*.mat")):
        try:
            read_mat(path)
        except InputError:
            refused.add(path.name)
    valid = {"test3dmatrix_7.4_GLNX86.mat", "testcellnest_6.1_SOL2.mat", "testobject_7.1_GLNX86.mat", "big_endian.mat"}
    assert not refused & valid
    for name in refused:  # those that SciPy refuses too, or that lie about their size
        content = (folder / name).read_bytes()
        with pytest.raises(Exception):  # noqa: B017, PT011 - SciPy raises almost any exception for a damaged file
            scipy.io.loadmat(io.BytesIO(content))


def write_external(file: h5py.File, folder: Path) -> None:
    secret = folder / "secret"
    secret.write_bytes(b"confidential!!!!")
    file.create_dataset("kernel", (4, 4), "u1", external=[(str(secret), 0, 16)])


def write_virtual(file: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "secret.h5", "w") as secret:
        secret["k"] = np.ones((4, 4))
    layout = h5py.VirtualLayout((4, 4), "f8")
    layout[:] = h5py.VirtualSource(folder / "secret.h5", "k", (4, 4))
    file.create_virtual_dataset("kernel", layout)


def write_link(file: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "secret.h5", "w") as secret:
        secret["k"] = np.ones((4, 4))
    file["kernel"] = h5py.ExternalLink(str(folder / "secret.h5"), "k")


def write_fill_value(file: h5py.File, _folder: Path) -> None:
    file.create_dataset("kernel", (2**10, 2**10, 2**10), "f8", chunks=(64, 64, 64), fillvalue=1)


def write_empty(file: h5py.File, _folder: Path) -> None:
    file["kernel"] = np.array([1, 1, 10**8], "u8")
    file["kernel"].attrs.update(MATLAB_class=np.bytes_("cell"), MATLAB_empty=1)


def write_shared_cells(file: h5py.File, _folder: Path) -> None:
    file["#refs#/0"] = np.ones((3, 3))
    for level in range(1, 40):
        below = file[f"#refs#/{level - 1}"].ref
        file[f"#refs#/{level}"] = np.array([[below, below]], h5py.ref_dtype)
    file["kernel"] = np.array([[file["#refs#/39"].ref]], h5py.ref_dtype)


def write_cycle(file: h5py.File, _folder: Path) -> None:
    file.create_group("kernel")
    file["kernel/kernel"] = file["kernel"]


HDF5_WRITERS = [
    write_external,
    write_virtual,
    write_link,
    write_fill_value,
    write_empty,
    write_shared_cells,
    write_cycle,
]


@pytest.mark.parametrize("write", HDF5_WRITERS)
def test_hdf5_files_that_lead_elsewhere_or_expand_are_refused(write: Callable, tmp_path: Path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        write(file, tmp_path)
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mat: not a MATLAB file"):
        read_mat(path)


@pytest.mark.skipif(not HOSTILE.is_dir(), reason=f"needs the files in {HOSTILE}")
@pytest.mark.parametrize("name", ["data-tag", "dag", "fill", "emptylist"])
def test_hostile_files_are_refused(name: str):
    with pytest.raises(InputError, match="not a MATLAB file"):
        read_mat(HOSTILE / f"{name}.mat")
