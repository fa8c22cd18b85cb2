"""`transforms.c`, compiled by GCC for this processor when first needed, and kept: the functions of transforms.py."""

import ctypes
import hashlib
import os
import shlex
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from files import cache_folder, whole_file
from transforms import SEEN, TILE

SOURCE = Path(__file__).with_name("transforms.c")
MULTIPLE = 16  # of which a picture's channels are one
COMPILE = ["-O3", "-march=native", "-fopenmp", "-fPIC", "-c"]
# Linked with no library: OpenMP is the one that PyTorch has loaded. A second one's threads would get in its way.
LINK = ["-shared", "-nostdlib"]


class _Picture(ctypes.Structure):
    _fields_ = (("pixels", ctypes.c_void_p), *((name, ctypes.c_long) for name in ("height", "width", "channels")))

    def __init__(self, picture: Tensor):
        super().__init__(_address(picture, picture.shape), *picture.shape)


class Transforms:
    """The functions of transforms.py for contiguous float32 pictures with a multiple of 16 channels."""

    def __init__(self, path: Path):
        library, pointer, rows = ctypes.CDLL(str(path)), ctypes.c_void_p, [ctypes.c_long] * 2
        self._seen, self._put_results = library.seen, library.put_results
        self._of_products, self._add_seen = library.of_products, library.add_seen
        self._seen.argtypes = [_Picture, *rows, pointer]
        self._put_results.argtypes = [pointer, pointer, _Picture, *rows]
        self._of_products.argtypes = [pointer, _Picture, *rows, pointer]
        self._add_seen.argtypes = [pointer, _Picture, *rows]
        for function in (self._seen, self._put_results, self._of_products, self._add_seen):
            function.restype = None

    def seen(self, picture: Tensor, first: int, rows: int) -> Tensor:
        transformed = picture.new_empty(_shape(picture, rows))
        self._seen(_Picture(picture), first, rows, transformed.data_ptr())
        return transformed

    def put_results(self, product: Tensor, bias: Tensor, picture: Tensor, first: int, rows: int) -> None:
        given = _address(product, _shape(picture, rows)), _address(bias, picture.shape[2:])
        self._put_results(*given, _Picture(picture), first, rows)

    def of_products(self, gradient: Tensor, result: Tensor, first: int, rows: int) -> Tensor:
        product = result.new_empty(_shape(result, rows))
        self._of_products(_address(gradient, result.shape), _Picture(result), first, rows, product.data_ptr())
        return product

    def add_seen(self, transformed: Tensor, picture: Tensor, first: int, rows: int) -> None:
        self._add_seen(_address(transformed, _shape(picture, rows)), _Picture(picture), first, rows)


def _shape(picture: Tensor, rows: int) -> tuple[int, int, int]:
    """Of what belongs to some rows of tiles: (36, T, C)."""
    _, width, channels = picture.shape
    return SEEN**2, rows * -(-width // TILE), channels


def _address(tensor: Tensor, shape: tuple[int, ...]) -> int:
    """Where a tensor lies; C reads and writes what it is told, so ValueError unless it is as it should be."""
    if not (tensor.dtype == torch.float32 and tensor.is_contiguous() and tensor.shape == shape):
        raise ValueError(f"expected contiguous float32 {tuple(shape)}, found {tensor.dtype} {tuple(tensor.shape)}")
    return tensor.data_ptr()


@cache
def load() -> Transforms | None:
    """The compiled transforms; None where there is no GCC, no place to keep them, or another OpenMP in PyTorch."""
    try:
        return Transforms(_library())
    except (AttributeError, OSError, RuntimeError, ValueError, subprocess.CalledProcessError):
        return None


def _library() -> Path:
    """The compiled file, made where it is not there yet."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    known = (SOURCE.read_bytes(), compiler, COMPILE, LINK, torch.cpu.get_capabilities(), torch.__version__)
    path = cache_folder() / f"transforms-{hashlib.sha256(repr(known).encode()).hexdigest()[:16]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder, whole_file(path) as linked:
            compiled = Path(folder, "transforms.o")
            for command in ([*COMPILE, "-o", compiled, SOURCE], [*LINK, "-o", linked, compiled]):
                subprocess.run([*compiler, *command], check=True, capture_output=True)
    if path.stat().st_uid != os.getuid():
        raise OSError(f"{path} belongs to someone else")
    return path
