"""Measures what estimators read from JPEGs, told the tables and not told, as tables in Markdown.

    python -m benchmarks.blind_jpeg                     # on the photos that the package holds out of training
    python -m benchmarks.blind_jpeg FOLDER --scales 4   # on HR pictures of a folder
    python -m benchmarks.blind_jpeg --page=docs/blind.md    # also writes the table of that page

Each picture is blurred by a Gaussian of 0.6 LR pixels, downsampled, with and without noise, and compressed by Pillow in
4:2:0. The table has means over the pictures: the width that is read, its absolute error, and the noise level.
"""

import statistics
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.commands import add_page, command_parser, one_line_errors, pictures_folder
from benchmarks.pages import replace_part
from srmd.cli.values import whole
from srmd.degradation import degrade_picture
from srmd.estimator import SCALES
from srmd.jpeg.pillow_codec import compress_array
from srmd.jpeg.tables import JpegTables
from srmd.kernel.families import gaussian
from srmd.pictures.files import read_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.estimate import BlindEstimator

QUALITIES = (50, 75, 90, 95)
NOISE_LEVELS = (0, 8)
WIDTH = 0.6  # LR pixels
KERNEL_SIZE = 21  # HR pixels
SIDE = 128  # LR pixels, of the middle of a picture that is used


@one_line_errors()
def main() -> None:
    """Prints the table, and writes it to the page."""
    parser = command_parser(__doc__)
    parser.add_argument("folder", type=pictures_folder, nargs="?", help="HR pictures (default: the held-out photos)")
    parser.add_argument("--scales", type=whole(1, SCALES), nargs="+", default=[2, 4], help="1 to 4 (2 and 4)")
    add_page(parser, "estimates of JPEGs")
    options = parser.parse_args()
    if options.folder:
        pictures = [read_picture(path).pixels for path in list_pictures(options.folder)]
    else:
        pictures = [*builtin_test_pictures().values()]
    lines = []
    for line in table(pictures, options.scales):
        print(line, flush=True)
        lines.append(line)
    if options.page:
        replace_part(options.page, "estimates of JPEGs", "\n".join(lines))


def table(pictures: list[NDArray], scales: list[int]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| scale | noise level | JPEG quality | told: width, error; noise | not told: width, error; noise |"
    yield "|---" * 5 + "|"
    for scale in scales:
        yield from rows(pictures, scale)


def rows(pictures: list[NDArray], scale: int) -> Iterator[str]:
    """The rows of a scale."""
    estimator, kernel = BlindEstimator(scale), gaussian(WIDTH * scale, WIDTH * scale, 0, KERNEL_SIZE)
    for noise_level in NOISE_LEVELS:
        lr = [degrade_picture(_middle(picture, scale), kernel, noise_level, scale) for picture in pictures]
        yield f"| x{scale} | {noise_level} | not compressed | | {_means(estimator, lr, None)} |"
        for quality in QUALITIES:
            tables = JpegTables.of_quality(quality)
            compressed = [compress_array(picture, tables) for picture in lr]
            told, untold = (_means(estimator, compressed, each) for each in (tables, None))
            yield f"| x{scale} | {noise_level} | {quality} | {told} | {untold} |"


def _means(estimator: BlindEstimator, pictures: list[NDArray], jpeg: JpegTables | None) -> str:
    found = [estimator.estimate(picture, jpeg=jpeg) for picture in pictures]
    widths = [float(np.hypot(*each.widths) / np.sqrt(2)) for each in found]
    error = statistics.mean(abs(width - WIDTH * estimator.scale) for width in widths)
    noise_level = statistics.mean(each.noise_level for each in found)
    return f"{statistics.mean(widths):.2f}, {error:.2f}; {noise_level:.1f}"


def _middle(picture: NDArray, scale: int) -> NDArray:
    """The middle of a picture, of sides that are multiples of the scale and at most SIDE LR pixels.

    Where a side is no such multiple and the picture is small, `middle` and `modcrop_picture` of `benchmarks/crops.py`
    would crop it at one end only; the table of the page was measured with crops at both ends.
    """
    sides = [min(length // scale, SIDE) * scale for length in picture.shape[:2]]
    top, left = ((length - side) // 2 for length, side in zip(picture.shape[:2], sides, strict=True))
    return picture[top : top + sides[0], left : left + sides[1]]


if __name__ == "__main__":
    main()
