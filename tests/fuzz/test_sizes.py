"""Generated files of many or large parts: the readers return, or raise InputError, and neither takes long."""

import io
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.test_structures import COMPRESSED, EXAMPLES, MATRIX, element, mostly, read
from many_parts import many_frames, many_pages, with_scans
from srmd.base.matlab import read_mat
from srmd.kernel.files import read_kernels
from srmd.pictures.files import read_picture
from srmd.weights.checkpoint import load_pytorch_file
from srmd.weights.files import read_weights

MAX_SECONDS = 30  # of processor time; less than a second on an idle machine, five on a slow one with coverage
FEWER = settings(EXAMPLES, max_examples=20)
EMPTY = struct.pack("<II", MATRIX, 0)

counts = st.sampled_from([0, 1, 3, 1000, 4096, 4097, 2**14, 2**15, 2**17, 2**18, 2**21])


def read_quickly(reader: Callable[[Path], object], path: Path) -> None:
    start = time.process_time()
    read(reader, path)
    assert time.process_time() - start < MAX_SECONDS


def matlab_array(array_class: int, shape: tuple[int, ...], *parts: bytes) -> bytes:
    head = element(6, struct.pack("<II", array_class, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(MATRIX, head + element(1, b"k") + b"".join(parts))


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    count, (kind, size) = draw(counts), draw(mostly((16, 1), (4, 2), (18, 4), (1, 1)))
    shape = draw(st.sampled_from([(count, 1), (1, count), (count // 2, 2), (1, count // 2, 2), (0, count), (1, 1)]))
    return matlab_array(4, shape, element(kind, draw(st.sampled_from([b"A", b"\0"])) * count * size))


@st.composite
def cells(draw: st.DrawFn) -> bytes:
    count = draw(counts)
    member = draw(
        mostly(EMPTY, matlab_array(6, (3, 3), element(2, b"\1" * 9)), matlab_array(4, (1, 0), element(16, b"")))
    )
    return matlab_array(1, draw(st.sampled_from([(count, 1), (1, count), (0, count)])), member * count)


@st.composite
def structs(draw: st.DrawFn) -> bytes:
    count, length, shape = draw(counts), draw(mostly(8, 2, 5000)), draw(mostly((1, 1), (0, 0), (2, 1)))
    same = draw(st.booleans())
    names = b"".join((b"a" if same else b"%x" % number)[: length - 1].ljust(length, b"\0") for number in range(count))
    members = EMPTY * count * shape[0] * shape[1]
    return matlab_array(2, shape, struct.pack("<HHi", 5, 4, length), element(1, names[: 2**22]), members)


@st.composite
def stacks(draw: st.DrawFn) -> bytes:
    shape = draw(st.permutations([draw(st.sampled_from([1, 2, 3, 15])), draw(st.sampled_from([1, 3])), draw(counts)]))
    return matlab_array(6, tuple(shape), element(2, b"\1" * int(np.prod(shape))))


@pytest.mark.filterwarnings("ignore")  # SciPy's of variables with one name
@FEWER
@given(variables=st.lists(texts() | cells() | structs() | stacks(), min_size=1, max_size=2))
def test_mat_files_of_many_parts(tmp_path: Path, variables: list[bytes]):
    path = tmp_path / "a.mat"
    packed = [zlib.compress(variable, 1) for variable in variables]
    elements = b"".join(struct.pack("<II", COMPRESSED, len(data)) + data for data in packed)
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + elements)
    read_quickly(read_mat, path)
    read_quickly(read_kernels, path)


@FEWER
@given(kind=st.sampled_from([0, 1, 2, 50, 51]), count=counts, rows=st.booleans())
def test_mat_files_of_version_4(tmp_path: Path, kind: int, count: int, rows: bool):
    size = 1 if kind >= 50 else 8
    header = struct.pack("<5i", kind, count if rows else 1, 1 if rows else count, 0, 2) + b"k\0"
    (tmp_path / "a.mat").write_bytes(header + b"A" * (count * size))
    read_quickly(read_kernels, tmp_path / "a.mat")


@settings(FEWER, max_examples=8)
@given(count=counts, sides=st.sampled_from([(3, 3), (1, 1), (1, 15)]), last=st.booleans())
def test_npy_files_of_many_kernels(tmp_path: Path, count: int, sides: tuple[int, int], last: bool):
    count = min(count, 2**22 // (sides[0] * sides[1]))
    np.save(tmp_path / "a.npy", np.ones((*sides, count) if last else (count, *sides), np.uint8))
    read_quickly(read_kernels, tmp_path / "a.npy")


NAMES = [
    *("builtins bytearray", "builtins set", "__builtin__ complex", "_codecs encode", "collections OrderedDict"),
    *("collections Counter", "torch Size", "torch FloatStorage", "torch.storage UntypedStorage", "torch device"),
    *("torch Tensor", "torch float32", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"),
    *("torch._utils _rebuild_qtensor", "torch._utils _rebuild_meta_tensor_no_storage", "os system"),
]
ARGUMENTS = [b")", b"\x8a\5" + (2**33).to_bytes(5, "little") + b"\x85", b"J\0\0\0\x7f\x85", b"](K\1K\2e\x85", b"}\x85"]


@FEWER
@given(name=st.sampled_from(NAMES), arguments=st.sampled_from(ARGUMENTS), call=st.sampled_from([b"R", b"\x81", b"0"]))
def test_pickles_that_call_objects(tmp_path: Path, name: str, arguments: bytes, call: bytes):
    pickle = b"\x80\x02}K\1c" + name.replace(" ", "\n").encode() + b"\n" + arguments + call + b"s."
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", pickle)
        archive.writestr("a/version", "3\n")
    read_quickly(load_pytorch_file, tmp_path / "a.pt")


@FEWER
@given(
    keys=st.sampled_from([1, 10, 3000]),
    shape=st.sampled_from([(64, 64, 3, 3), (3,), (), (0,), (10**5,)]),
    name=st.sampled_from(["model.{}.weight", "model.{}.bias", "{}"]),
    in_checkpoint=st.booleans(),
)
def test_tensors_under_many_keys(tmp_path: Path, keys: int, shape: tuple[int, ...], name: str, in_checkpoint: bool):
    state: dict = dict.fromkeys((name.format(number) for number in range(keys)), torch.ones(shape))
    if in_checkpoint:
        state = {"version": "1", "step": 1, "network_config": {}, "network": state, "ema": state, "optimizer": {}}
        state["pca"] = torch.ones(1, 1)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    (tmp_path / "a.pt").write_bytes(buffer.getvalue())
    read_quickly(read_weights, tmp_path / "a.pt")


@FEWER
@given(count=st.sampled_from([1, 10, 50, 100, 101, 2000]), side=st.sampled_from([8, 40, 300]))
def test_jpegs_of_many_scans(tmp_path: Path, count: int, side: int):
    (tmp_path / "a.jpg").write_bytes(with_scans(count, side))
    read_quickly(read_picture, tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["tif", "gif"])
def test_pictures_of_many_pages(tmp_path: Path, suffix: str):
    @settings(FEWER, max_examples=10)
    @given(count=st.sampled_from([1, 2, 3, 1000, 60_000]))
    def check(count: int) -> None:
        make = many_pages if suffix == "tif" else many_frames
        (tmp_path / f"a.{suffix}").write_bytes(make(count))
        read_quickly(read_picture, tmp_path / f"a.{suffix}")

    check()
