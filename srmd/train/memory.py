"""Packed pictures held whole in memory or on a device, where a crop is an index and not a read."""

import os

import numpy as np
import torch
from torch import Tensor

from srmd.data_loader import PackedPictures
from srmd.pictures.dihedral import VIEWS, turn_array

MAX_OF_FREE = 1 / 2  # of what is free that `auto` takes
# Where a crop of each view begins and where a step down and a step to the right lead, in (row, column) of its window:
# read off a square of 2×2 that says where its pixels came from.
_TURNED = [turn_array(np.indices((2, 2)).transpose(1, 2, 0), view) for view in range(VIEWS)]
STEPS = np.array([(square[0, 0], square[1, 0] - square[0, 0], square[0, 1] - square[0, 0]) for square in _TURNED])


class PicturesInMemory:
    """All pixels of packed pictures in one tensor; the same generator gives the same crops as from the file."""

    def __init__(self, pictures: PackedPictures, device: torch.device):
        self._pictures, self._device = pictures, device
        self._ends = pictures.sizes.astype(np.int64).prod(1).cumsum()
        pixels = torch.empty(int(self._ends[-1]), 3, dtype=torch.uint8)
        for number, part in enumerate(pixels.tensor_split(torch.from_numpy(self._ends[:-1]))):
            part.copy_(torch.from_numpy(pictures.picture(number)).view(-1, 3))
        self._pixels = pixels.to(device)  # (all pixels, 3)
        self.location = f"on {device}" if device.type != "cpu" else "in memory"

    def sample(self, rng: np.random.Generator, count: int, size: int) -> Tensor:
        """Random square crops, (count, size, size, 3) uint8 on the device; see `PackedPictures.sample`."""
        picture, row, column, view = self._pictures.windows(rng, count, size).T
        width = self._pictures.sizes[picture, 1]
        start, down, right = STEPS[view].transpose(1, 2, 0)  # (2, count) each
        row, column = row + start[0] * (size - 1), column + start[1] * (size - 1)
        begin = np.concatenate([[0], self._ends])[picture] + row * width + column
        chosen = np.stack([begin, down[0] * width + down[1], right[0] * width + right[1]])
        begin, down, right = to_device(torch.from_numpy(chosen), self._device)[:, :, None, None]
        along = torch.arange(size, device=self._device)
        pixels = begin + down * along[:, None] + right * along  # (count, size, size)
        return self._pixels.index_select(0, pixels.view(-1)).view(count, size, size, 3)


def cache_pictures(pictures: PackedPictures, cache: str, device: torch.device) -> PackedPictures | PicturesInMemory:
    """The pictures where `cache` wants them: on disk (off), in memory or on the device.

    `auto` keeps them in memory for a CUDA GPU, which waits for anything else, where they take half of what is free. On
    a CPU it reads them: that is a few hundredths of a step.
    """
    if cache == "auto":
        size = 3 * int(pictures.sizes.astype(np.int64).prod(1).sum())
        cache = _choose_cache(size, device) if device.type == "cuda" else "off"
    if cache == "off":
        return pictures
    return PicturesInMemory(pictures, device if cache == "device" else torch.device("cpu"))


def _choose_cache(size: int, device: torch.device) -> str:
    if size <= MAX_OF_FREE * torch.cuda.mem_get_info(device)[0]:
        return "device"
    return "memory" if size <= MAX_OF_FREE * _free_memory() else "off"


def _free_memory() -> int:
    """Bytes; 0 where the system doesn't tell: macOS has no such name, Windows no `sysconf`."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):
        return 0


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The same on a device; on a GPU by way of pinned memory, so that the host goes on and doesn't wait for it."""
    if tensor.device.type == device.type:
        return tensor
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
