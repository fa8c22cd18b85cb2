"""Scores estimators on pictures whose blur and noise are known.

What a wrong kernel costs is computed by the model that the estimators decide with (`srmd/restore/decision.py`), so that
no picture has to be restored; `benchmarks/blind.py` measures it with the networks.
"""

import statistics
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from benchmarks.crops import middle
from srmd.degradation import degrade_picture
from srmd.estimator import blur_parameters, covariance_of
from srmd.jpeg.pillow_codec import compress_array
from srmd.jpeg.tables import JpegTables
from srmd.kernel.families import gaussian
from srmd.restore.decision import psnr_loss
from srmd.restore.estimate import BlindEstimator

KERNEL_SIZE = 21  # HR pixels
MAX_SIDE = 192  # LR pixels, of the middle of a picture that is estimated
WIDTHS = {
    1: ((0.05, 0.05, 0), (1, 1, 0), (2, 2, 0), (1.8, 0.9, 30)),
    2: ((0.05, 0.05, 0), (0.6, 0.6, 0), (1.2, 1.2, 0), (1.8, 1.8, 0), (1.6, 0.8, 30)),
    3: ((0.05, 0.05, 0), (0.8, 0.8, 0), (1.6, 1.6, 0), (2.4, 2.4, 0), (2.2, 1.1, 30)),
    4: ((0.05, 0.05, 0), (1.2, 1.2, 0), (2.4, 2.4, 0), (3.6, 3.6, 0), (3, 1.5, 30)),
}
NOISE_LEVELS = (0, 5, 15)
QUALITIES = (90, 75)  # of JPEGs in 4:2:0
JPEG_NOISE_LEVELS = (0, 8)


Blur = tuple[float, float, float]  # widths and angle


def scores(estimator: BlindEstimator, pictures: Iterable[NDArray]) -> dict[str, dict[str, float]]:
    """Mean scores over HR pictures (H, W, 3) uint8 for each blur and noise level, by the name of the degradation.

    `loss` is the PSNR in dB that the estimate costs according to the model; `width_error` is the mean error in HR
    pixels of the root of the mean variance, signed; `noise_error` that of the noise level, absolute.
    """
    pictures = [middle(picture, MAX_SIDE * estimator.scale) for picture in pictures]
    cases = [(blur, level, None) for blur in WIDTHS[estimator.scale] for level in NOISE_LEVELS]
    return {_name(*case): _row(estimator, pictures, *case) for case in cases} | jpeg_scores(estimator, pictures)


def jpeg_scores(estimator: BlindEstimator, pictures: Iterable[NDArray]) -> dict[str, dict[str, float]]:
    """The scores of pictures with one blur that were compressed, and whose tables the estimator is told."""
    pictures = [middle(picture, MAX_SIDE * estimator.scale) for picture in pictures]
    blur = WIDTHS[estimator.scale][2]
    cases = [(blur, level, quality) for level in JPEG_NOISE_LEVELS for quality in QUALITIES]
    return {_name(*case): _row(estimator, pictures, *case) for case in cases}


def _name(blur: Blur, noise_level: int, quality: int | None) -> str:
    width1, width2, angle = blur
    kernel = "no blur" if width1 < 0.1 else f"{width1:g}" if width1 == width2 else f"{width1:g},{width2:g},{angle}"
    return f"{kernel}, noise {noise_level}" + (f", JPEG {quality}" if quality else "")


def _row(
    estimator: BlindEstimator, pictures: list[NDArray], blur: Blur, noise_level: int, quality: int | None
) -> dict[str, float]:
    rows = [_score(estimator, picture, blur, noise_level, quality) for picture in pictures]
    means = [round(statistics.mean(column), 3) for column in zip(*rows, strict=True)]
    return dict(zip(("loss", "width_error", "noise_error"), means, strict=True))


def _score(
    estimator: BlindEstimator, picture: NDArray, blur: Blur, noise_level: int, quality: int | None
) -> tuple[float, float, float]:
    lr, tables = degrade_picture(picture, gaussian(*blur, KERNEL_SIZE), noise_level, estimator.scale), None
    if quality:
        tables = JpegTables.of_quality(quality)
        lr = compress_array(lr, tables)
    found = estimator.estimate(lr, jpeg=tables)
    true, told = (
        covariance_of(blur_parameters(*shape, estimator.scale)) for shape in (blur, (*found.widths, found.angle))
    )
    loss = float(psnr_loss(true, told, noise_level, found.noise_level))
    mean_widths = [np.hypot(*widths) / np.sqrt(2) for widths in (found.widths, blur[:2])]
    return loss, float(mean_widths[0] - mean_widths[1]), abs(found.noise_level - noise_level)


def mean_loss(table: dict[str, dict[str, float]]) -> float:
    """The mean loss over all degradations, dB."""
    return statistics.mean(row["loss"] for row in table.values())
