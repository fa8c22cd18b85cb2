"""The Winograd convolution in C (convolution.c), compiled by GCC for this processor on first use and cached."""

import ctypes
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from srmd.base.arithmetic import ceil_div
from srmd.base.errors import InputError
from srmd.base.files import atomic_write, cache_folder, check_is_file
from srmd.winograd.transforms import INPUT_TILE, OUTPUT_TILE, filter_transform

C_SOURCE = Path(__file__).with_name("convolution.c")
C_HEADERS = [C_SOURCE.with_name(name) for name in ("transforms.h", "products.h")]
CHANNEL_MULTIPLE = 32  # the C functions take multiples of this many channels; a panel of the filter has as many
BLOCK_TILES = 24  # tiles that a thread computes at once; their transformed input, 0.8 MB, stays in its cache
STRIP_TILES = 32  # the largest number of tiles whose part of the filter's gradient a thread computes at once
# The tiles are divided into groups, each of which has an array for its part of the filter's gradient (4 MB for 128
# channels). More groups keep more threads busy; fewer take less memory, and less time to add the arrays.
MIN_GROUPS, MAX_GROUPS, TILES_PER_GROUP = 8, 16, 128
ALIGNMENT = 64  # bytes; PyTorch's new tensors have it
# Float32 values between one matrix and the next: without them the same row of all 64 would fall into one cache set.
MATRIX_GAP = 16
COMPILER_FLAGS = ["-O3", "-march=native", "-fopenmp", "-fPIC", "-c"]
COMPILER_FLAGS += [f"-DPANEL={CHANNEL_MULTIPLE}", f"-DBLOCK_TILES={BLOCK_TILES}", f"-DSTRIP_TILES={STRIP_TILES}"]
COMPILER_FLAGS += [f"-DGAP={MATRIX_GAP}"]
# Linked with no library: the OpenMP functions come from the one that PyTorch has loaded. A second OpenMP would start
# threads of its own, which compete with PyTorch's.
LINKER_FLAGS = ["-shared", "-nostdlib"]


class _Images(ctypes.Structure):
    """`images` of convolution.c."""

    _fields_ = (
        ("values", ctypes.c_void_p),
        *((name, ctypes.c_long) for name in ("count", "height", "width", "channels")),
    )

    def __init__(self, images: Tensor):
        channels = images.shape[3]
        if channels % CHANNEL_MULTIPLE:  # the C code would read and write beyond the last channel
            raise ValueError(f"expected a multiple of {CHANNEL_MULTIPLE} channels, found {channels}")
        super().__init__(_checked_address(images, images.shape), *images.shape)


class CompiledConvolution:
    """The functions of convolution.c for contiguous float32 images (N, H, W, channels), in multiples of 32 channels."""

    def __init__(self, path: Path):
        self._library = ctypes.CDLL(str(path))
        self._unused_memory: list[Tensor] = []  # (size,) each; several after concurrent calls
        pointer, number, integer = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
        argument_types = {
            "conv": [_Images, pointer, pointer, integer, _Images, pointer, number, integer],
            "input_gradient": [_Images, pointer, pointer, _Images, pointer, number, integer],
            "filter_gradient": [_Images, _Images, pointer, pointer, number, pointer, number, integer],
        }
        for name, types in argument_types.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = types, None

    @staticmethod
    def filter_transform(weight: Tensor) -> Tensor:
        """The transformed filter of a weight (K, C, 3, 3) in the layout of convolution.c, (64, K / 32, C, 32)."""
        transformed = filter_transform(weight)
        panels = transformed.view(INPUT_TILE**2, weight.shape[1], -1, CHANNEL_MULTIPLE)
        return panels.transpose(1, 2).contiguous()

    def conv(self, images: Tensor, transformed_filter: Tensor, bias: Tensor, relu: bool, output: Tensor) -> None:
        """Write the convolution of the images, (N, H, W, C), + bias, (K,), with ReLU if asked for, to `output`.

        `transformed_filter` is the result of `filter_transform`; `output` is (N, H, W, K).
        """
        _check_shapes(transformed_filter, images, output)
        buffers = _new_buffers(images, output)
        self._library.conv(
            _Images(images),
            transformed_filter.data_ptr(),
            _checked_address(bias, output.shape[3:]),
            relu,
            _Images(output),
            buffers.data_ptr(),
            buffers.shape[1],
            len(buffers),
        )

    def input_gradient(self, grad_output: Tensor, output: Tensor | None, weight: Tensor, grad_images: Tensor) -> None:
        """Write the gradient of the images, (N, H, W, C), from that of the output of `conv`, (N, H, W, K).

        `output` is that of a convolution with ReLU, None without. The gradient is the convolution of the gradient
        before ReLU with the filters rotated by 180°.
        """
        rotated = self.filter_transform(weight.transpose(0, 1).flip(2, 3))
        _check_shapes(rotated, grad_output, grad_images)
        buffers = _new_buffers(grad_output, grad_images)
        self._library.input_gradient(
            _Images(grad_output),
            None if output is None else _checked_address(output, grad_output.shape),
            rotated.data_ptr(),
            _Images(grad_images),
            buffers.data_ptr(),
            buffers.shape[1],
            len(buffers),
        )

    def filter_gradient(self, images: Tensor, grad_output: Tensor, output: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the gradients of the transformed filter, (64, C, K), and of the bias, (K,).

        `output` is that of a convolution with ReLU, None without.
        """
        in_channels, out_channels = images.shape[3], grad_output.shape[3]
        _checked_address(images, (*grad_output.shape[:3], in_channels))
        if images.numel() == 0:  # the C code adds to the gradient of at least one group of tiles
            return images.new_zeros(INPUT_TILE**2, in_channels, out_channels), images.new_zeros(out_channels)
        filter_size = INPUT_TILE**2 * in_channels * out_channels
        matrix_sizes = STRIP_TILES * (in_channels + out_channels) + 2 * MATRIX_GAP
        shape = torch.get_num_threads(), INPUT_TILE**2 * matrix_sizes
        with self._workspace(images, (_count_groups(images), filter_size + out_channels), shape) as (
            gradients,
            buffers,
        ):
            self._library.filter_gradient(
                _Images(images),
                _Images(grad_output),
                None if output is None else _checked_address(output, grad_output.shape),
                gradients.data_ptr(),
                len(gradients),
                buffers.data_ptr(),
                buffers.shape[1],
                len(buffers),
            )
            grad_filter, grad_bias = gradients[0, :filter_size], gradients[0, filter_size:].clone()
            panels = grad_filter.view(INPUT_TILE**2, -1, in_channels, CHANNEL_MULTIPLE)
            copy = panels.transpose(1, 2).clone(memory_format=torch.contiguous_format)
            grad_filter = copy.view(INPUT_TILE**2, in_channels, out_channels)
        return grad_filter, grad_bias

    @contextmanager
    def _workspace(self, like: Tensor, *shapes: tuple[int, int]) -> Iterator[list[Tensor]]:
        """Uninitialised tensors in memory of earlier calls: the system would take long to clear new memory."""
        sizes = [rows * columns for rows, columns in shapes]
        try:
            memory = self._unused_memory.pop()
        except IndexError:
            memory = like.new_empty(0)
        if len(memory) < sum(sizes):
            memory = like.new_empty(sum(sizes))
        parts = memory[: sum(sizes)].split(sizes)
        yield [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        self._unused_memory.append(memory)


def _count_groups(images: Tensor) -> int:
    """The number of groups of tiles for the gradient of the filter. It does not depend on the number of threads."""
    count, height, width, _ = images.shape
    tiles = count * ceil_div(height, OUTPUT_TILE) * ceil_div(width, OUTPUT_TILE)
    groups = min(max(tiles // TILES_PER_GROUP, MIN_GROUPS), MAX_GROUPS)
    return min(groups, tiles)


def _check_shapes(transformed_filter: Tensor, images: Tensor, output: Tensor) -> None:
    """ValueError unless a transformed filter turns images of the shape of `images` into those of `output`."""
    _, panels, in_channels, width = transformed_filter.shape
    expected = *images.shape[:3], panels * width
    if images.shape[3] != in_channels or output.shape != expected:
        raise ValueError(f"expected images of {in_channels} channels and output {expected}, found {output.shape}")
    if output.data_ptr() % ALIGNMENT:  # the C code would crash
        raise ValueError(f"expected output at a multiple of {ALIGNMENT} bytes")


def _new_buffers(images: Tensor, output: Tensor) -> Tensor:
    """A buffer for each thread, for the transformed input of a block of tiles and its product with the filter."""
    matrix_size = BLOCK_TILES * max(images.shape[3], output.shape[3]) + MATRIX_GAP
    return images.new_empty(torch.get_num_threads(), (INPUT_TILE**2 + 1) * matrix_size)


def _checked_address(tensor: Tensor, shape: tuple[int, ...]) -> int:
    """The address of a tensor's first value; ValueError unless it is contiguous float32 of this shape on the CPU.

    The C code checks nothing: it would read and write outside of a smaller tensor.
    """
    if not (tensor.dtype == torch.float32 and tensor.is_contiguous() and tensor.shape == shape):
        raise ValueError(f"expected contiguous float32 {tuple(shape)}, found {tensor.dtype} {tuple(tensor.shape)}")
    if tensor.device.type != "cpu":
        raise ValueError(f"expected a tensor on the CPU, found one on {tensor.device}")
    return tensor.data_ptr()


@cache
def load() -> CompiledConvolution | None:
    """Return the compiled functions, or None if they can't be had.

    That is so without GCC, without a folder to cache the library in, and if PyTorch uses another OpenMP than GCC's.
    Outside of Linux no compiler is called: PyTorch's OpenMP there is not GCC's, and the `cc` of a macOS without
    developer tools opens a dialog that offers to install them.
    """
    if sys.platform != "linux":
        return None
    try:
        return CompiledConvolution(_library_path())
    except (InputError, AttributeError, OSError, RuntimeError, ValueError, subprocess.CalledProcessError):
        return None


def _library_path() -> Path:
    """The path of the compiled library in the cache folder, compiled first if it is missing."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    capabilities = torch.cpu.get_capabilities()
    sources = [path.read_bytes() for path in (C_SOURCE, *C_HEADERS)]
    key = (sources, compiler, COMPILER_FLAGS, LINKER_FLAGS, capabilities, torch.__version__)
    path = cache_folder() / f"convolution-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.so"
    if not path.exists():
        _compile(compiler, path)
    check_is_file(path)  # loading a pipe would block for ever
    if path.stat().st_uid != os.getuid():  # loading a library runs code of whoever wrote it
        raise OSError(f"{path} belongs to another user")
    return path


def _compile(compiler: list[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, atomic_write(path) as library:
        object_file = Path(folder, "convolution.o")
        compile_command = [*compiler, *COMPILER_FLAGS, "-o", object_file, C_SOURCE]
        link_command = [*compiler, *LINKER_FLAGS, "-o", library, object_file]
        for command in (compile_command, link_command):
            subprocess.run(command, check=True, capture_output=True)
