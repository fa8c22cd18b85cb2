"""Scores estimators on pictures whose blur and noise are known.

What a wrong kernel costs is computed by the model that the estimators decide with (`srmd/restore/decision.py`), so that
no picture has to be restored; `benchmarks/blind.py` measures it with the networks.
"""

import statistics
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from srmd.degradation import degrade_picture
from srmd.estimator import blur_parameters, covariance_of
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


def scores(estimator: BlindEstimator, pictures: Iterable[NDArray]) -> dict[str, dict[str, float]]:
    """Mean scores over HR pictures (H, W, 3) uint8 for each blur and noise level, by the name of the degradation.

    `loss` is the PSNR in dB that the estimate costs according to the model; `width_error` is the mean error in HR
    pixels of the root of the mean variance, signed; `noise_error` that of the noise level, absolute.
    """
    pictures = [_middle(picture, estimator.scale) for picture in pictures]
    table = {}
    for width1, width2, angle in WIDTHS[estimator.scale]:
        for noise_level in NOISE_LEVELS:
            rows = [_score(estimator, picture, (width1, width2, angle), noise_level) for picture in pictures]
            means = [round(statistics.mean(column), 3) for column in zip(*rows, strict=True)]
            blur = (
                "no blur" if width1 < 0.1 else f"{width1:g}" if width1 == width2 else f"{width1:g},{width2:g},{angle}"
            )
            table[f"{blur}, noise {noise_level}"] = dict(
                zip(("loss", "width_error", "noise_error"), means, strict=True)
            )
    return table


def _score(
    estimator: BlindEstimator, picture: NDArray, blur: tuple[float, float, float], noise_level: int
) -> tuple[float, float, float]:
    kernel = gaussian(*blur, KERNEL_SIZE)
    found = estimator.estimate(degrade_picture(picture, kernel, noise_level, estimator.scale))
    true, told = (
        covariance_of(blur_parameters(*shape, estimator.scale)) for shape in (blur, (*found.widths, found.angle))
    )
    loss = float(psnr_loss(true, told, noise_level, found.noise_level))
    mean_widths = [np.hypot(*widths) / np.sqrt(2) for widths in (found.widths, blur[:2])]
    return loss, float(mean_widths[0] - mean_widths[1]), abs(found.noise_level - noise_level)


def mean_loss(table: dict[str, dict[str, float]]) -> float:
    """The mean loss over all degradations, dB."""
    return statistics.mean(row["loss"] for row in table.values())


def _middle(picture: NDArray, scale: int) -> NDArray:
    side = MAX_SIDE * scale
    top, left = (max(length - side, 0) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]
