"""`transforms.c`, compiled for this processor when first needed, and kept; with the functions of transforms.py."""

import ctypes
import hashlib
import os
import shlex
import subprocess
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from files import cache_folder, whole_file
from transforms import SEEN, TILE

SOURCE = Path(__file__).with_name("transforms.c")
LANES = 16  # the channels of a picture are a multiple
# The library asks for no other: it finds OpenMP in what PyTorch has loaded. A second one would have its own threads.
FLAGS = ["-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-nostdlib"]


class _Picture(ctypes.Structure):
    _fields_ = (("pixels", ctypes.c_void_p), *((name, ctypes.c_long) for name in ("height", "width", "channels")))

    def __init__(self, picture: Tensor):
        super().__init__(picture.data_ptr(), *picture.shape)


class Transforms:
    """The functions of transforms.py for contiguous float32 pictures with a multiple of 16 channels."""

    def __init__(self, path: Path):
        self._library = ctypes.CDLL(str(path))
        pointer, rows = ctypes.c_void_p, [ctypes.c_long] * 2
        self._library.seen.argtypes = [_Picture, *rows, pointer]
        self._library.put_results.argtypes = [pointer, pointer, _Picture, *rows]
        self._library.of_products.argtypes = [pointer, _Picture, *rows, pointer]
        self._library.add_seen.argtypes = [pointer, _Picture, *rows]

    def seen(self, picture: Tensor, first: int, rows: int) -> Tensor:
        transformed = _new(picture, rows)
        self._library.seen(_Picture(picture), first, rows, transformed.data_ptr())
        return transformed

    def put_results(self, product: Tensor, bias: Tensor, picture: Tensor, first: int, rows: int) -> None:
        self._library.put_results(product.data_ptr(), bias.data_ptr(), _Picture(picture), first, rows)

    def of_products(self, gradient: Tensor, result: Tensor, first: int, rows: int) -> Tensor:
        product = _new(result, rows)
        self._library.of_products(gradient.data_ptr(), _Picture(result), first, rows, product.data_ptr())
        return product

    def add_seen(self, transformed: Tensor, picture: Tensor, first: int, rows: int) -> None:
        self._library.add_seen(transformed.data_ptr(), _Picture(picture), first, rows)


def _new(picture: Tensor, rows: int) -> Tensor:
    _, width, channels = picture.shape
    return picture.new_empty(SEEN**2, rows * -(-width // TILE), channels)


@cache
def transforms() -> Transforms | None:
    """The compiled transforms; None where there is no compiler, no place to keep them, or no OpenMP in PyTorch."""
    try:
        return Transforms(_library())
    except (OSError, RuntimeError, subprocess.CalledProcessError):
        return None


def _library() -> Path:
    """The compiled file, made where it is not there yet."""
    command = [*shlex.split(os.environ.get("CC", "cc")), *FLAGS]
    known = (SOURCE.read_bytes(), command, torch.cpu.get_capabilities(), torch.__version__)
    path = cache_folder() / f"transforms-{hashlib.sha256(repr(known).encode()).hexdigest()[:16]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            subprocess.run([*command, "-o", temporary, SOURCE], check=True, capture_output=True)
    return path
