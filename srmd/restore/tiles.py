"""How a picture is cut into overlapping tiles."""

from collections.abc import Iterator
from typing import NamedTuple

from srmd.base.arithmetic import ceil_div
from srmd.winograd.transforms import OUTPUT_TILE as WINOGRAD_TILE


class TileSpan(NamedTuple):
    """A tile along one axis, in LR pixels from the picture's edge."""

    start: int
    end: int  # the pixel after the tile's last one
    input: slice  # what the network gets to compute the tile: the tile with a halo on both sides

    def in_picture(self, scale: int) -> slice:
        """Where the tile lies in the picture's SR."""
        return slice(scale * self.start, scale * self.end)

    def in_output(self, scale: int) -> slice:
        """Where the tile lies in the SR of its input."""
        return slice(scale * (self.start - self.input.start), scale * (self.end - self.input.start))


def tile_spans(length: int, tile: int, halo: int) -> Iterator[TileSpan]:
    """The tiles along an axis of `length` pixels. Each has at most `tile` pixels; a `tile` below six counts as six.

    All inputs have the same length, because engines prepare for each input size and keep memory for it. All inputs
    start at a multiple of six pixels, the tile of Winograd's algorithm, so that it rounds a pixel the same way in every
    input.
    """
    side = length
    if length > tile:
        longest = max(tile // WINOGRAD_TILE * WINOGRAD_TILE, WINOGRAD_TILE)
        count = ceil_div(length, longest)
        side = _round_up(ceil_div(length, count))
    halo = _round_up(halo)
    input_length = side + 2 * halo
    input_length = min(input_length + (length - input_length) % WINOGRAD_TILE, length)
    for start in range(0, length, side):
        first = min(max(start - halo, 0), length - input_length)
        yield TileSpan(start, min(start + side, length), slice(first, first + input_length))


def _round_up(length: int) -> int:
    """A length rounded up to a multiple of Winograd's tile."""
    return ceil_div(length, WINOGRAD_TILE) * WINOGRAD_TILE
