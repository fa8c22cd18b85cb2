"""Training pictures kept in memory or on the GPU, so that crops are not read from a file."""

import os

import numpy as np
import torch
from torch import Tensor

from srmd.packs.reader import PackedPictures
from srmd.pictures.dihedral import VIEWS, turn_array

MAX_MEMORY_SHARE = 1 / 2  # of the free memory, on the GPU or in the system, that `cache=auto` uses for pictures


def _view_geometry() -> np.ndarray:
    """Where the pixels of each view of a square come from, (8, 3, 2), in (row, column) of the square.

    For each view: the corner (0 or 1 on each axis) that is its first pixel; the step in the square for one step down in
    the view; the step in the square for one step to the right in it.
    """
    coordinates = np.indices((2, 2)).transpose(1, 2, 0)  # (2, 2, 2): row and column of each pixel of a 2×2 square
    views = [turn_array(coordinates, view) for view in range(VIEWS)]
    return np.array([(view[0, 0], view[1, 0] - view[0, 0], view[0, 1] - view[0, 0]) for view in views])


VIEW_GEOMETRY = _view_geometry()


class PicturesInMemory:
    """All pixels of a pack in one tensor. For the same generator it returns the same crops as the pack itself."""

    def __init__(self, pictures: PackedPictures, device: torch.device):
        self._pictures, self._device = pictures, device
        self._ends = pictures.sizes.astype(np.int64).prod(1).cumsum()  # index of the first pixel after each picture
        pixels = torch.empty(int(self._ends[-1]), 3, dtype=torch.uint8)
        for number, part in enumerate(pixels.tensor_split(torch.from_numpy(self._ends[:-1]))):
            part.copy_(torch.from_numpy(pictures.picture(number)).view(-1, 3))
        self._pixels = pixels.to(device)  # (pixels of all pictures, 3)
        self.location = "in memory" if device.type == "cpu" else f"on {device}"

    def check_size(self, size: int, reason: str = "") -> None:
        """Raise InputError if every picture is smaller than size×size, see `PackedPictures.check_size`."""
        self._pictures.check_size(size, reason)

    def sample(self, rng: np.random.Generator, count: int, size: int, part: slice = slice(None)) -> Tensor:
        """Return random square crops, (count, size, size, 3) uint8 on the device, as `PackedPictures.sample` does."""
        picture, row, column, view = self._pictures.random_windows(rng, count, size)[part].T
        width = self._pictures.sizes[picture, 1]
        corner, step_down, step_right = VIEW_GEOMETRY[view].transpose(1, 2, 0)  # (2, count) each
        row, column = row + corner[0] * (size - 1), column + corner[1] * (size - 1)
        # Indices into the pixels of all pictures: of a crop's first pixel, and their changes for a step down or right.
        start = np.concatenate([[0], self._ends])[picture] + row * width + column
        down = step_down[0] * width + step_down[1]
        right = step_right[0] * width + step_right[1]
        indices = to_device(torch.from_numpy(np.stack([start, down, right])), self._device)
        start, down, right = indices[:, :, None, None]
        steps = torch.arange(size, device=self._device)
        pixels = start + down * steps[:, None] + right * steps  # (count, size, size)
        return self._pixels.index_select(0, pixels.view(-1)).view(-1, size, size, 3)


def cache_pictures(pictures: PackedPictures, cache: str, device: torch.device) -> PackedPictures | PicturesInMemory:
    """Return the pictures on disk, in memory or on the device, for `cache` off, memory or device.

    `auto` is off except on a CUDA GPU: on a CPU, reading crops takes only a few percent of a step's time. A GPU would
    wait for the disk, so that `auto` is device, or else memory, if the pictures fit into half of the free memory there.
    """
    if cache == "auto":
        size = 3 * int(pictures.sizes.astype(np.int64).prod(1).sum())
        cache = _choose_cache(size, device) if device.type == "cuda" else "off"
    if cache == "off":
        return pictures
    return PicturesInMemory(pictures, device if cache == "device" else torch.device("cpu"))


def _choose_cache(size: int, device: torch.device) -> str:
    """The `cache` for pictures of `size` bytes: device or else memory if they fit there, otherwise off."""
    free_on_device, _ = torch.cuda.mem_get_info(device)
    if size <= MAX_MEMORY_SHARE * free_on_device:
        return "device"
    return "memory" if size <= MAX_MEMORY_SHARE * _free_memory() else "off"


def _free_memory() -> int:
    """The system's free memory in bytes; 0 on macOS and Windows, where Python does not report it."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # Windows lacks sysconf, macOS lacks this value
        return 0


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device. The CPU does not wait for the copy to a CUDA GPU, which goes through pinned memory.

    A tensor that is on the device already is returned itself.
    """
    if tensor.device.type == device.type:
        return tensor
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
