"""Files that are read whole have a largest size; one that is larger is refused before it is read."""

import json
import struct
from pathlib import Path

import pytest

from foreign_networks import ncnn_files, small_network
from srmd.base.errors import InputError
from srmd.evaluate.records import ResultRecords, is_results_folder
from srmd.train.run_folder import RunFolder, run_config
from srmd.weights.estimators import read_estimator
from srmd.weights.files import read_weights

HEADER = b'{"__metadata__": {}}'
SAFETENSORS = struct.pack("<Q", len(HEADER)) + HEADER


def resume(path: Path) -> object:
    return run_config({"resume": str(path.parent)})


LARGE_FILES = {  # the start of a file, its size in MB, and its reader
    "a.pt": (b"PK\3\4", 3000, read_weights),
    "a.safetensors": (SAFETENSORS, 3000, read_weights),
    "estimate.safetensors": (SAFETENSORS, 3000, read_estimator),
    "metrics.json": (b"{}", 140, lambda path: ResultRecords(path.parent)),
    ".srmd-1.jsonl": (b"{}\n", 140, lambda path: ResultRecords(path.parent)),
    "metrics.jsonl": (b"{}\n", 300, lambda path: RunFolder(path.parent).rows()),
    "config.json": (b"{}", 2, resume),
}


@pytest.mark.parametrize("name", LARGE_FILES)
def test_a_file_above_its_limit_is_refused(name: str, tmp_path: Path):
    start, megabytes, read = LARGE_FILES[name]
    write_large(tmp_path / name, start, megabytes)
    with pytest.raises(InputError, match=rf"{name}: expected at most \d+ MB, found {megabytes} MB"):
        read(tmp_path / name)


def write_large(path: Path, start: bytes, megabytes: int) -> None:
    """Writes a file that takes almost no room on the disk."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(megabytes * 10**6)


def test_an_ncnn_file_above_its_limit_is_refused(tmp_path: Path):
    binary = ncnn_files(tmp_path, small_network()).with_suffix(".bin")
    write_large(binary, binary.read_bytes()[:4], 3000)
    for path in (binary, binary.with_suffix(".param")):
        with pytest.raises(InputError, match=r"net\.bin: expected at most 2147 MB, found 3000 MB"):
            read_weights(path)


def test_a_folder_with_a_large_metrics_file_is_not_one_of_results(tmp_path: Path):
    (tmp_path / "metrics.json").write_text(json.dumps({"version": 1, "assumed": {}, "images": []}))
    assert is_results_folder(tmp_path)
    write_large(tmp_path / "metrics.json", b"{}", 140)
    assert not is_results_folder(tmp_path)


def with_kernel_size(size: int) -> bytes:
    """Shipped weights whose metadata state another size of kernels."""
    content = Path("weights/srmd_x2.safetensors").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"]["srmd"] = json.dumps(json.loads(header["__metadata__"]["srmd"]) | {"kernel_size": size})
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[end:]


@pytest.mark.parametrize(
    ("size", "message"),
    [(255, r"expected its P to be \(15, 65025\)"), (257, "no valid kernel_size"), (1023, "no valid kernel_size")],
)
def test_weights_have_kernels_as_large_as_those_of_files(size: int, message: str, tmp_path: Path):
    (tmp_path / "a.safetensors").write_bytes(with_kernel_size(size))
    with pytest.raises(InputError, match=message):
        read_weights(tmp_path / "a.safetensors")
