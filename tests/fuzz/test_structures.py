"""Generated files that are well formed in part: the readers return, or raise InputError."""

import functools
import json
import math
import operator
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreign_networks import ncnn_files, small_network
from fuzz.seeds import WRITERS
from srmd.base.errors import InputError
from srmd.base.matlab import read_mat
from srmd.base.npy import read_npy
from srmd.kernel.files import read_kernels
from srmd.pictures.maps import read_noise_map
from srmd.train.run_folder import OPTIONAL_NUMBERS, REQUIRED_NUMBERS, RunFolder
from srmd.weights.estimators import read_estimator
from srmd.weights.files import read_weights

# Each example writes its own file, and a slow machine draws the large ones slowly.
UNCHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=UNCHECKED)
MATRIX, COMPRESSED = 14, 15

numbers = st.sampled_from([0, 1, 2, 3, 8, 9, 15, 225, 2**16, 2**31 - 1, 2**32 - 1])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def read(reader: Callable[[Path], object], path: Path) -> object:
    """What a reader returns; None if it raises InputError, whose message must name the file and have one line."""
    try:
        return reader(path)
    except InputError as error:
        message = str(error)
    assert path.stem in message
    assert "\n" not in message
    return None


def element(kind: int, data: bytes, size: int | None = None) -> bytes:
    """A data element of MATLAB 5; `size` is what it states, if that is not the size of its data."""
    stated = len(data) if size is None else size
    return struct.pack("<II", kind, stated) + data + bytes(-len(data) % 8)


def mostly(usual: object, *others: object) -> st.SearchStrategy:
    """The usual value four times in five, so that the rest of a file is read too; else another one."""
    return st.sampled_from([usual] * 4 * len(others) + list(others))


@st.composite
def arrays(draw: st.DrawFn, members: st.SearchStrategy[bytes]) -> bytes:
    """An array of MATLAB 5, in which some parts are others than its class demands."""
    array_class = draw(st.sampled_from([1, 1, 2, 2, 6, 6, 6, 9, 4, 5, 3, 16, 17, 99]))
    shape = draw(mostly((1, 1), (3, 3), (2, 1), (0, 3), (), (1, 2**20), (1, -1), (2, 2, 2)))
    count = max(math.prod(shape), 0) % 64
    parts = [
        element(6, struct.pack("<II", array_class | draw(mostly(0, 1, 8)) << 8, 0)),
        element(5, struct.pack(f"<{len(shape)}i", *shape)),
        element(draw(mostly(1, 4)), draw(mostly(b"kernel", b"", b"\xff\0name"))),
    ]
    if array_class in (2, 3):
        parts.append(element(5, struct.pack("<i", draw(mostly(4, 1, 0, -1, 2**30)))))
        parts.append(element(1, draw(mostly(b"abc\0", b"abc\0def\0", b"", b"xy"))))
    if array_class in (1, 2, 3, 16):
        parts += [draw(members) for _ in range(count + draw(mostly(0, 1)))]
    else:
        kind, size = draw(mostly((9, 8), (2, 1), (4, 2), (16, 1), (12, 8), (77, 4)))
        parts += [element(kind, bytes(draw(mostly(count * size, 0, 7))))] * draw(mostly(1, 0, 2, 3))
    return element(MATRIX, b"".join(parts), draw(mostly(None, 8, 2**31)))


nested_arrays = st.recursive(arrays(st.just(element(MATRIX, b""))), arrays, max_leaves=4)
mat_files = st.lists(
    nested_arrays
    | nested_arrays.map(lambda data: struct.pack("<II", COMPRESSED, len(zlib.compress(data))) + zlib.compress(data)),
    min_size=1,
    max_size=3,
)


@pytest.mark.filterwarnings("ignore")  # SciPy's of variables with one name
@EXAMPLES
@given(variables=mat_files)
def test_mat_files(tmp_path: Path, variables: list[bytes]):
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"".join(variables))
    read(read_mat, path)
    read(read_kernels, path)


DESCRIPTIONS = ("<f4", "|u1", ">i2", "|b1", "<c8", "|O", "<U3", "|V8", "<m8", "<f2", "x", "", 3, [("a", "<f8")])


@st.composite
def npy_files(draw: st.DrawFn) -> bytes:
    shapes = st.lists(st.sampled_from([0, 1, 3, 5, 15, -1, 2**31, 2**62, 10**30]), max_size=4).map(tuple)
    shape = draw(st.sampled_from([(3, 5), (15, 15)]) | shapes)
    header = {
        "descr": draw(mostly("<f8", *DESCRIPTIONS)),
        "fortran_order": draw(mostly(False, True, 2, "no")),
        "shape": draw(mostly(shape, list(shape), 1.5, ("a",))),
    }
    text = draw(mostly(repr(header), repr(header)[:-4], "(" * 300, json.dumps(header, default=str))).encode()
    version = draw(mostly(b"\1\0", b"\2\0", b"\3\0", b"\4\0"))
    length = struct.pack("<H" if version == b"\1\0" else "<I", draw(mostly(len(text), 0, 2**16 - 1)))
    return b"\x93NUMPY" + version + length + text + bytes(draw(st.sampled_from([0, 8, 120, 1800, 225 * 8])))


@pytest.mark.filterwarnings("ignore")  # NumPy's of sizes that overflow
@EXAMPLES
@given(content=npy_files())
def test_npy_files(tmp_path: Path, content: bytes):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    for reader in (read_npy, read_kernels, read_noise_map):
        read(reader, path)


@pytest.mark.parametrize("shape", [(1, 3, 0, 5), (0,), (3, 0), ()])
@pytest.mark.parametrize("reader", [read_kernels, read_noise_map])
def test_an_npy_file_of_another_shape_is_refused(tmp_path: Path, reader: Callable, shape: tuple[int, ...]):
    header = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode()
    content = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + (b"" if 0 in shape else bytes(8))
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npy: "):
        reader(tmp_path / "a.npy")


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The places of all values inside JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in items:
        yield (*path, key)
        yield from places(member, (*path, key))


@st.composite
def changed_headers(draw: st.DrawFn, path: Path) -> bytes:
    """A .safetensors file, of whose header some values, also of the configuration in it, are replaced or removed."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"]["srmd"] = json.loads(header["__metadata__"]["srmd"])
    everywhere = sorted(places(header), key=str)
    configuration = [place for place in everywhere if place[:2] == ("__metadata__", "srmd")]
    anywhere = st.sampled_from(configuration) | st.sampled_from(everywhere)
    for place in draw(st.lists(anywhere, min_size=1, max_size=2)):
        with suppress(KeyError, IndexError, TypeError):  # the place before has replaced what was there
            parent = functools.reduce(operator.getitem, place[:-1], header)
            if draw(st.booleans()):
                parent[place[-1]] = draw(numbers | json_values)
            else:
                del parent[place[-1]]
    if isinstance(header.get("__metadata__"), dict) and draw(mostly(True, False)):
        header["__metadata__"]["srmd"] = json.dumps(header["__metadata__"].get("srmd"))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[end:]


@pytest.mark.parametrize(("kind", "reader"), [("weights", read_weights), ("estimators", read_estimator)])
def test_safetensors_headers(tmp_path: Path, kind: str, reader: Callable):
    WRITERS[kind](tmp_path)
    valid = next(tmp_path.glob("*.safetensors"))

    @EXAMPLES
    @given(content=changed_headers(valid))
    def check(content: bytes) -> None:
        (tmp_path / "changed.safetensors").write_bytes(content)
        read(reader, tmp_path / "changed.safetensors")

    check()


@st.composite
def param_files(draw: st.DrawFn, content: str) -> str:
    """A .param of ncnn, of which some words or numbers are replaced, removed or repeated."""
    words = re.split(r"(\s+|=)", content)
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(words) - 1))
        new = st.sampled_from(["", "0", "-1", "16", "2147483648", "9" * 5000, "ReLU", "\0", "\n", words[position] * 2])
        words[position] = draw(new)
    return "".join(words)


@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_ncnn_files(tmp_path: Path, suffix: str):
    valid = ncnn_files(tmp_path, small_network())
    content = valid.read_text()

    @EXAMPLES
    @given(changed=param_files(content))
    def check(changed: str) -> None:
        valid.write_text(changed)
        read(read_weights, valid.with_suffix(suffix))

    check()


rows = st.dictionaries(
    st.sampled_from([*REQUIRED_NUMBERS, *OPTIONAL_NUMBERS, "other"]), json_values | st.integers(0, 9)
)
VALID = {"step": 3, "loss": 0.1, "lr": 1e-3, "images_per_s": 2.0, "psnr_y": None}


@EXAMPLES
@given(
    lines=st.lists(rows.map(lambda row: VALID | row) | json_values, max_size=4),
    position=st.integers(0),
    byte=st.integers(0, 255),
)
def test_lines_of_a_log(tmp_path: Path, lines: list, position: int, byte: int):
    text = bytearray("".join(f"{json.dumps(line)}\n" for line in [*lines, VALID]).encode())
    text[position % len(text)] = byte
    (tmp_path / "metrics.jsonl").write_bytes(text)
    for row in RunFolder(tmp_path).rows():
        assert all(abs(row[name]) < float("inf") for name in REQUIRED_NUMBERS)


def test_each_single_damaged_letter_of_a_log_loses_its_line_only(tmp_path: Path):
    good = [VALID | {"step": step} for step in (1, 2, 3)]
    lines = [json.dumps(row).encode() for row in good]
    for position in range(len(lines[1])):
        for byte in (0x00, 0x0A, 0x22, 0x7D, 0x80, 0xFF):
            damaged = bytearray(lines[1])
            damaged[position] = byte
            (tmp_path / "metrics.jsonl").write_bytes(b"\n".join([lines[0], damaged, lines[2]]))
            found = RunFolder(tmp_path).rows()
            assert (found[0], found[-1]) == (good[0], good[2])
