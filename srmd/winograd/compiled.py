"""`transforms.c`, compiled by GCC for this processor when first needed, and kept: the functions of transforms.py."""

import ctypes
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from srmd.base.files import atomic_write, cache_folder
from srmd.winograd.transforms import KERNEL, SEEN, TILE

SOURCE = Path(__file__).with_name("transforms.c")
MULTIPLE = 32  # of which the channels are one
PANEL = 16  # columns of the factors that lie side by side, as in transforms.c
GAP = 16  # values between matrices: without it the same row of all 64 falls into one set of the cache
COMPILE = ["-O3", "-march=native", "-fopenmp", "-fPIC", "-c"]
# Linked with no library: OpenMP is the one that PyTorch has loaded. A second one's threads would get in its way.
LINK = ["-shared", "-nostdlib"]


class _Picture(ctypes.Structure):
    _fields_ = (("pixels", ctypes.c_void_p), *((name, ctypes.c_long) for name in ("height", "width", "channels")))

    def __init__(self, picture: Tensor):
        super().__init__(_address(picture, picture.shape), *picture.shape)


class _Matrices(ctypes.Structure):
    _fields_ = (("values", ctypes.c_void_p), *((name, ctypes.c_long) for name in ("apart", "rows", "columns")))

    def __init__(self, matrices: Tensor, rows: int, columns: int):
        if columns % MULTIPLE:  # C would go on behind the last column
            raise ValueError(f"expected a multiple of {MULTIPLE} columns, found {columns}")
        for matrix in matrices[0], matrices[SEEN**2 - 1]:  # all 64 are there
            _address(matrix, (rows, columns))
        super().__init__(matrices.data_ptr(), matrices.stride(0), rows, columns)


class Transforms:
    """The functions of transforms.py for contiguous float32 pictures with a multiple of 32 channels.

    The factors lie in panels, (64, K / 16, C, 16), as `multiply` reads them.
    """

    def __init__(self, path: Path):
        self._library, pointer, number = ctypes.CDLL(str(path)), ctypes.c_void_p, ctypes.c_long
        for name, given in {
            "seen": [_Picture, number, _Matrices],
            "multiply": [_Matrices, pointer, _Matrices],
            "put_results": [_Matrices, pointer, _Picture, number],
            "of_product": [pointer, _Picture, number, _Matrices],
            "add_of_factors": [_Matrices, _Matrices, pointer],
            "add_seen": [_Matrices, _Picture, number],
        }.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = given, None

    def factors(self, weight: Tensor) -> Tensor:
        features, channels = weight.shape[:2]
        panels = weight.reshape(-1, PANEL, channels, 9).permute(3, 0, 2, 1)
        return (KERNEL @ panels.reshape(9, -1)).view(SEEN**2, features // PANEL, channels, PANEL)

    def seen(self, picture: Tensor, first: int, rows: int) -> Tensor:
        shape = _tiles(picture, rows), picture.shape[2]
        transformed = _new_matrices(picture, *shape)
        self._library.seen(_Picture(picture), first, _Matrices(transformed, *shape))
        return transformed

    def multiply(self, transformed: Tensor, factors: Tensor) -> Tensor:
        (_, tiles, channels), features = transformed.shape, factors.shape[1] * PANEL
        product = _new_matrices(transformed, tiles, features)
        given = _address(factors, (SEEN**2, features // PANEL, channels, PANEL))
        self._library.multiply(_Matrices(transformed, tiles, channels), given, _Matrices(product, tiles, features))
        return product

    def put_results(self, product: Tensor, bias: Tensor, picture: Tensor, first: int, rows: int) -> None:
        given = _Matrices(product, _tiles(picture, rows), picture.shape[2]), _address(bias, picture.shape[2:])
        self._library.put_results(*given, _Picture(picture), first)

    def of_product(self, gradient: Tensor, result: Tensor, first: int, rows: int) -> Tensor:
        shape = _tiles(result, rows), result.shape[2]
        product = _new_matrices(result, *shape)
        self._library.of_product(_address(gradient, result.shape), _Picture(result), first, _Matrices(product, *shape))
        return product

    def add_of_factors(self, transformed: Tensor, of_product: Tensor, of_factors: Tensor) -> None:
        _, channels, features = of_factors.shape
        given = (_Matrices(m, transformed.shape[1], n) for m, n in ((transformed, channels), (of_product, features)))
        self._library.add_of_factors(*given, _address(of_factors, (SEEN**2, channels, features)))

    def add_seen(self, of_transformed: Tensor, picture: Tensor, first: int, rows: int) -> None:
        given = _Matrices(of_transformed, _tiles(picture, rows), picture.shape[2])
        self._library.add_seen(given, _Picture(picture), first)


def _tiles(picture: Tensor, rows: int) -> int:
    """How many tiles so many rows of them are."""
    return rows * -(-picture.shape[1] // TILE)


def _new_matrices(like: Tensor, rows: int, columns: int) -> Tensor:
    """(64, rows, columns), not yet filled, each GAP values behind the one before."""
    values = like.new_empty(SEEN**2, rows * columns + GAP)
    return values[:, : rows * columns].unflatten(1, (rows, columns))


def _address(tensor: Tensor, shape: tuple[int, ...]) -> int:
    """Where a tensor lies; C reads and writes what it is told, so ValueError unless it is as it should be."""
    if not (tensor.dtype == torch.float32 and tensor.is_contiguous() and tensor.shape == shape):
        raise ValueError(f"expected contiguous float32 {tuple(shape)}, found {tensor.dtype} {tuple(tensor.shape)}")
    return tensor.data_ptr()


@cache
def load() -> Transforms | None:
    """The compiled functions; None where there is no GCC, no place to keep them, or another OpenMP in PyTorch.

    Off Linux none is looked for: a `cc` there knows no OpenMP that PyTorch has, and that of macOS asks to be installed.
    """
    if sys.platform != "linux":
        return None
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
        with tempfile.TemporaryDirectory() as folder, atomic_write(path) as linked:
            objects = Path(folder, "transforms.o")
            for command in ([*COMPILE, "-o", objects, SOURCE], [*LINK, "-o", linked, objects]):
                subprocess.run([*compiler, *command], check=True, capture_output=True)
    if path.stat().st_uid != os.getuid():
        raise OSError(f"{path} belongs to someone else")
    return path
