"""Parts of a picture, restored in their surroundings, so that they are as in the whole restored picture."""

from numpy.typing import NDArray

from srmd.degradation import Degradation
from srmd.restore.restorer import Restorer

Part = tuple[slice, slice]  # rows and columns
BICUBIC_HALO = 2  # LR pixels that bicubic upscaling reads around a pixel


def with_halo(part: Part, size: tuple[int, int], halo: int, scale: int) -> tuple[Part, Part]:
    """The part with `halo` LR pixels around it, as far as the picture reaches, and where in its SR the part lies."""
    area = tuple(
        slice(max(span.start - halo, 0), min(span.stop + halo, side)) for span, side in zip(part, size, strict=True)
    )
    starts = [scale * (span.start - outer.start) for span, outer in zip(part, area, strict=True)]
    lengths = [scale * (span.stop - span.start) for span in part]
    return area, tuple(slice(start, start + length) for start, length in zip(starts, lengths, strict=True))


def restore_part(restorer: Restorer, lr: NDArray, part: Part, assumed: Degradation) -> NDArray:
    """A part of LR (h, w, 3) restored: (rows, columns, 3), float32 in 0 to 1."""
    area, inner = with_halo(part, lr.shape[:2], restorer.config.layers, restorer.config.scale)
    ((_, _, sr),) = restorer.restore_tiles(lr[area], assumed, tile=max(lr[area].shape))
    return sr[0].permute(1, 2, 0).clamp(0, 1).numpy()[inner]
