"""A picture that was loaded, ready to be restored and shown."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from srmd.base.errors import InputError
from srmd.degradation import upsample
from srmd.pictures.files import over_white, read_picture
from srmd.pictures.picture import Picture, as_floats, has_equal_channels, quantise
from srmd.pictures.transparency import spread_visible_colours
from srmd.restore.part import BICUBIC_HALO, Part, with_halo

CROP = 256  # largest side of the crop in LR pixels
CROP_SR = 512  # largest side of the crop in SR pixels
OVERVIEW = 640  # largest side in pixels of the whole picture as it is shown
STRIP = 256  # rows of the whole picture that are floats at a time, which bounds the memory


@dataclass(frozen=True, eq=False)
class LoadedPicture:
    """A picture with its name; `lr` is (h, w, 3), in which transparent pixels have visible colours."""

    name: str
    picture: Picture
    lr: NDArray

    @classmethod
    def read(cls, path: Path, name: str, max_pixels: int) -> "LoadedPicture":
        """The picture in a file; raises InputError with a sentence that does not show the path."""
        try:
            picture = read_picture(path, max_pixels)
        except InputError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise InputError(f"{name}: {reason}") from error
        lr = picture.pixels if picture.alpha is None else spread_visible_colours(picture.pixels, picture.alpha)
        return cls(name, picture, lr)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in LR pixels."""
        return self.lr.shape[:2]

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        pixels, alpha = self.picture.pixels, self.picture.alpha
        return pixels.nbytes if alpha is None else pixels.nbytes + alpha.nbytes + self.lr.nbytes

    @cached_property
    def has_one_channel(self) -> bool:
        """Whether the three channels are equal, and so those of the result are."""
        return has_equal_channels(self.lr)

    @cached_property
    def overview(self) -> NDArray[np.uint8]:
        """The whole picture (h, w, 3), reduced to sides of at most OVERVIEW pixels; transparency is over white."""
        tops = range(0, self.size[0], STRIP)
        image = Image.fromarray(np.concatenate([self.shown(slice(top, top + STRIP), slice(None)) for top in tops]))
        image.thumbnail((OVERVIEW, OVERVIEW), Image.Resampling.LANCZOS)
        return np.asarray(image)

    def shown(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """A part of the picture with 8 bits; transparency is over white."""
        alpha = self.picture.alpha
        pixels = self.picture.pixels[rows, columns]
        if alpha is None and pixels.dtype == np.uint8:
            return pixels
        pixels = as_floats(pixels)
        return quantise(pixels if alpha is None else over_white(pixels, alpha[rows, columns]), np.dtype(np.uint8))

    def enlarged(self, part: Part, scale: int) -> NDArray[np.uint8]:
        """A part of the picture, enlarged by bicubic interpolation, as it is shown beside SR."""
        area, inner = with_halo(part, self.size, BICUBIC_HALO, scale)
        pixels = torch.from_numpy(self.shown(*area).astype(np.float32) / 255).permute(2, 0, 1)[None]
        enlarged = upsample(pixels, scale)[0].permute(1, 2, 0).numpy()
        return quantise(enlarged[inner], np.dtype(np.uint8))

    def crop(self, centre: tuple[float, float], scale: int, side: int | None = None) -> Part:
        """The rows and columns around a centre, whose row and column are relative to the picture's sides, 0 to 1.

        The crop has `side` LR pixels, or as many as are shown at this scale; it lies inside the picture.
        """
        side = side or min(CROP, CROP_SR // scale)
        return tuple(_span(at, length, side) for at, length in zip(centre, self.size, strict=True))


def _span(at: float, length: int, side: int) -> slice:
    start = min(max(round(at * length) - side // 2, 0), max(length - side, 0))
    return slice(start, min(start + side, length))
