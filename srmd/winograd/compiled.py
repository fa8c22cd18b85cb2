"""The functions of transforms.py in C (transforms.c), compiled by GCC for this processor on first use and cached."""

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

from srmd.base.arithmetic import ceil_div
from srmd.base.files import atomic_write, cache_folder
from srmd.winograd.transforms import G_2D, INPUT_TILE, OUTPUT_TILE

C_SOURCE = Path(__file__).with_name("transforms.c")
CHANNEL_MULTIPLE = 32  # the C functions take multiples of this many channels
PANEL_WIDTH = 16  # output channels of the transformed filter that lie side by side, PANEL in transforms.c
# Float32 values between one matrix and the next: without them the same row of all 64 would fall into one cache set.
MATRIX_GAP = 16
COMPILER_FLAGS = ["-O3", "-march=native", "-fopenmp", "-fPIC", "-c"]
# Linked with no library: the OpenMP functions come from the one that PyTorch has loaded. A second OpenMP would start
# threads of its own, which compete with PyTorch's.
LINKER_FLAGS = ["-shared", "-nostdlib"]


class _Image(ctypes.Structure):
    """`image` of transforms.c."""

    _fields_ = (("values", ctypes.c_void_p), *((name, ctypes.c_long) for name in ("height", "width", "channels")))

    def __init__(self, image: Tensor):
        super().__init__(_checked_address(image, image.shape), *image.shape)


class _Matrices(ctypes.Structure):
    """`matrices` of transforms.c."""

    _fields_ = (("values", ctypes.c_void_p), *((name, ctypes.c_long) for name in ("stride", "rows", "columns")))

    def __init__(self, matrices: Tensor, rows: int, columns: int):
        if columns % CHANNEL_MULTIPLE:  # the C code would write beyond the last column
            raise ValueError(f"expected a multiple of {CHANNEL_MULTIPLE} columns, found {columns}")
        for matrix in (matrices[0], matrices[INPUT_TILE**2 - 1]):  # the second one fails where there are fewer than 64
            _checked_address(matrix, (rows, columns))
        super().__init__(matrices.data_ptr(), matrices.stride(0), rows, columns)


class CompiledTransforms:
    """The functions of transforms.py for contiguous float32 images, in multiples of 32 channels.

    `filter_transform` returns the transformed filter in panels of 16 output channels, (64, K / 16, C, 16), the layout
    that `multiply` reads.
    """

    def __init__(self, path: Path):
        self._library = ctypes.CDLL(str(path))
        pointer, number = ctypes.c_void_p, ctypes.c_long
        argument_types = {
            "input_transform": [_Image, number, _Matrices],
            "multiply": [_Matrices, pointer, _Matrices],
            "output_transform": [_Matrices, pointer, _Image, number],
            "output_transform_backward": [pointer, _Image, number, _Matrices],
            "filter_gradient": [_Matrices, _Matrices, pointer],
            "input_transform_backward": [_Matrices, _Image, number],
        }
        for name, types in argument_types.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = types, None

    def filter_transform(self, weight: Tensor) -> Tensor:
        out_channels, in_channels = weight.shape[:2]
        panels = weight.reshape(-1, PANEL_WIDTH, in_channels, 9).permute(3, 0, 2, 1)
        transformed_filter = G_2D @ panels.reshape(9, -1)
        return transformed_filter.view(INPUT_TILE**2, out_channels // PANEL_WIDTH, in_channels, PANEL_WIDTH)

    def input_transform(self, image: Tensor, first: int, rows: int) -> Tensor:
        shape = _count_tiles(image, rows), image.shape[2]
        transformed_input = _new_matrices(image, *shape)
        self._library.input_transform(_Image(image), first, _Matrices(transformed_input, *shape))
        return transformed_input

    def multiply(self, transformed_input: Tensor, transformed_filter: Tensor) -> Tensor:
        _, tiles, in_channels = transformed_input.shape
        panels = transformed_filter.shape[1]
        out_channels = panels * PANEL_WIDTH
        product = _new_matrices(transformed_input, tiles, out_channels)
        self._library.multiply(
            _Matrices(transformed_input, tiles, in_channels),
            _checked_address(transformed_filter, (INPUT_TILE**2, panels, in_channels, PANEL_WIDTH)),
            _Matrices(product, tiles, out_channels),
        )
        return product

    def output_transform(self, product: Tensor, bias: Tensor, output: Tensor, first: int, rows: int) -> None:
        channels = output.shape[2]
        matrices = _Matrices(product, _count_tiles(output, rows), channels)
        self._library.output_transform(matrices, _checked_address(bias, (channels,)), _Image(output), first)

    def output_transform_backward(self, grad_output: Tensor, output: Tensor, first: int, rows: int) -> Tensor:
        shape = _count_tiles(output, rows), output.shape[2]
        grad_product = _new_matrices(output, *shape)
        address = _checked_address(grad_output, output.shape)
        self._library.output_transform_backward(address, _Image(output), first, _Matrices(grad_product, *shape))
        return grad_product

    def filter_gradient(self, transformed_input: Tensor, grad_product: Tensor, grad_transformed_filter: Tensor) -> None:
        tiles = transformed_input.shape[1]
        _, in_channels, out_channels = grad_transformed_filter.shape
        self._library.filter_gradient(
            _Matrices(transformed_input, tiles, in_channels),
            _Matrices(grad_product, tiles, out_channels),
            _checked_address(grad_transformed_filter, (INPUT_TILE**2, in_channels, out_channels)),
        )

    def input_transform_backward(
        self, grad_transformed_input: Tensor, grad_image: Tensor, first: int, rows: int
    ) -> None:
        matrices = _Matrices(grad_transformed_input, _count_tiles(grad_image, rows), grad_image.shape[2])
        self._library.input_transform_backward(matrices, _Image(grad_image), first)


def _count_tiles(image: Tensor, rows: int) -> int:
    """The number of tiles in so many rows of tiles of an image (H, W, channels)."""
    return rows * ceil_div(image.shape[1], OUTPUT_TILE)


def _new_matrices(like: Tensor, rows: int, columns: int) -> Tensor:
    """64 uninitialised matrices, (64, rows, columns), with a gap of MATRIX_GAP values between them."""
    values = like.new_empty(INPUT_TILE**2, rows * columns + MATRIX_GAP)
    return values[:, : rows * columns].unflatten(1, (rows, columns))


def _checked_address(tensor: Tensor, shape: tuple[int, ...]) -> int:
    """The address of a tensor's first value; ValueError unless the tensor is contiguous float32 of this shape.

    The C code checks nothing: it would read and write outside of a smaller tensor.
    """
    if not (tensor.dtype == torch.float32 and tensor.is_contiguous() and tensor.shape == shape):
        raise ValueError(f"expected contiguous float32 {tuple(shape)}, found {tensor.dtype} {tuple(tensor.shape)}")
    return tensor.data_ptr()


@cache
def load() -> CompiledTransforms | None:
    """Return the compiled functions, or None if they can't be had.

    That is so without GCC, without a folder to cache the library in, and if PyTorch uses another OpenMP than GCC's.
    Outside of Linux no compiler is called: PyTorch's OpenMP there is not GCC's, and the `cc` of a macOS without
    developer tools opens a dialog that offers to install them.
    """
    if sys.platform != "linux":
        return None
    try:
        return CompiledTransforms(_library_path())
    except (AttributeError, OSError, RuntimeError, ValueError, subprocess.CalledProcessError):
        return None


def _library_path() -> Path:
    """The path of the compiled library in the cache folder, compiled first if it is missing."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    capabilities = torch.cpu.get_capabilities()
    key = (C_SOURCE.read_bytes(), compiler, COMPILER_FLAGS, LINKER_FLAGS, capabilities, torch.__version__)
    path = cache_folder() / f"transforms-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.so"
    if not path.exists():
        _compile(compiler, path)
    if path.stat().st_uid != os.getuid():  # loading a library runs code of whoever wrote it
        raise OSError(f"{path} belongs to another user")
    return path


def _compile(compiler: list[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, atomic_write(path) as library:
        object_file = Path(folder, "transforms.o")
        compile_command = [*compiler, *COMPILER_FLAGS, "-o", object_file, C_SOURCE]
        link_command = [*compiler, *LINKER_FLAGS, "-o", library, object_file]
        for command in (compile_command, link_command):
            subprocess.run(command, check=True, capture_output=True)
