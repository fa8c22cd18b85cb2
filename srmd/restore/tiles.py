"""How a picture is cut into tiles that leave no trace."""

from collections.abc import Iterator

from srmd.winograd.transforms import OUTPUT_TILE


def spans(length: int, tile: int, halo: int) -> Iterator[tuple[tuple[int, int], slice]]:
    """Start and end of each tile along an axis, and the slice that the network sees to compute it.

    All tiles see as much: engines prepare for a size, and keep memory for each that they have met. What they see
    begins, and seen from the other end ends, on the grid of Winograd's algorithm, so that it rounds alike in all of
    them. A tile has at most `tile` pixels, but at least six.
    """
    side = length
    if length > tile:
        count = _ceil_div(length, max(tile // OUTPUT_TILE * OUTPUT_TILE, OUTPUT_TILE))
        side = _to_grid(_ceil_div(length, count))
    halo = _to_grid(halo)
    seen = min(side + 2 * halo + (length - side - 2 * halo) % OUTPUT_TILE, length)
    for start in range(0, length, side):
        first = min(max(start - halo, 0), length - seen)
        yield (start, min(start + side, length)), slice(first, first + seen)


def _to_grid(length: int) -> int:
    """The next multiple of the grid."""
    return _ceil_div(length, OUTPUT_TILE) * OUTPUT_TILE


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
