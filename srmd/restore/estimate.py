"""Estimates blur and noise of an LR picture, of which nothing else is known."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from srmd.base.errors import InputError, prefix_errors
from srmd.base.numbers import to_integer
from srmd.base.principal import principal_values
from srmd.degradation import MAX_NOISE_LEVEL, checked_noise_level
from srmd.estimator import SCALES, STRIDE, WINDOW, blur_parameters, gaussian_of, turning_matrix
from srmd.jpeg.tables import NO_JPEG, JpegCondition, JpegTables, checked_jpeg
from srmd.kernel.families import max_variance, max_width
from srmd.kernel.specs import to_kernel
from srmd.kernel.window import centre_offset
from srmd.pictures.conversion import to_pixels
from srmd.pictures.dihedral import VIEWS, turn
from srmd.pictures.picture import as_floats
from srmd.pictures.transparency import spread_visible_colours
from srmd.restore.decision import Posterior, decide
from srmd.restore.flat import flat_share, without_bars
from srmd.restore.jpeg import tables_of_quality
from srmd.restore.periodic import line_share
from srmd.weights.estimators import read_estimator
from srmd.weights.shipped import estimator_file

SURE = 0.5  # minimum confidence of an estimate that is called sure; with less, no blur is assumed
NO_BLUR_WIDTH = 0.3  # HR pixels; a narrower Gaussian is a delta kernel but for a thousandth
MIN_NOISE_LEVEL = 1.0  # a lower estimate counts as 0: rounding to 8 bits alone is noise of the level 0.3
PLACE = 128  # side in LR pixels of the places that large pictures are estimated from
MAX_PLACES = 16
MAX_DENSE_PIXELS = 192**2  # of a picture whose windows overlap; larger ones have enough windows without
MAX_WHOLE_PIXELS = MAX_PLACES * PLACE**2  # of a picture that is estimated as a whole
MIN_WINDOWS = 4  # that do not overlap, in a picture; one with fewer, below some 32×32 pixels, tells nothing
# The precision that a network states is right for pictures of this many LR pixels: measured on held-out pictures. It
# grows in proportion to the number of pixels, up to this factor.
CALIBRATED_PIXELS, MAX_SHARPENING = 1000, 4.0
MAX_LINE_SHARE = 0.9  # above which a picture is a pattern that repeats; photos have at most 0.8
MAX_EXCESS = 1.1  # of an expected width over the widest of training, which a photo with that blur may be read as
MIN_DETAIL = 2.0  # levels of 255; pictures with less tell nothing of their blur
# Deviations of the blur, by scale in LR pixels, above which a picture tells hardly more than that it has a blur of the
# scale's range: flat pictures with noise, uniform noise, dithers. Photos with a noise level of 30 have smaller ones.
MAX_BLUR_DEVIATIONS = {1: 0.72, 2: 0.36, 3: 0.3, 4: 0.27}
# Deviation of log(1 + noise level) / 2 above which a picture that was not compressed looks like no photo with noise.
# Photos have at most 0.16. Neither do pictures with more noise than this: dithers to two colours. No noise is assumed.
MAX_NOISE_DEVIATION, MAX_NOISE_OF_PHOTOS = 0.3, 100
# Text is read as noise, but with a deviation above the first value, and many of its pixels equal their neighbours.
TEXT_NOISE_DEVIATION, TEXT_FLAT_SHARE = 0.1, 0.25
SAME_WIDTH = 1.1  # a Gaussian whose widths have a smaller ratio is called isotropic


@dataclass(frozen=True)
class Estimate:
    """The estimated blur and noise of an LR picture."""

    widths: tuple[float, float]  # HR pixels, the larger one first, rounded to 2 decimals
    angle: float  # of the long axis as in `gaussian:W1,W2,ANGLE`, whole degrees, 0 to 179; 0 if isotropic
    noise_level: float  # 0 to 75 unless a higher one is known, one decimal
    confidence: float  # 0 to 1: how probable it is that little is lost by assuming this kernel

    @property
    def is_sure(self) -> bool:
        """Whether the picture tells enough about its blur."""
        return self.confidence >= SURE

    @property
    def kernel_spec(self) -> str:
        """The kernel as `delta`, `gaussian:W` or `gaussian:W1,W2,ANGLE`."""
        width1, width2 = self.widths
        if width1 < NO_BLUR_WIDTH:
            return "delta"
        return f"gaussian:{width1:g}" if width1 == width2 else f"gaussian:{width1:g},{width2:g},{self.angle:g}"


class BlindEstimator:
    """The estimator of a scale, with its weights in memory."""

    def __init__(self, scale: int, weights: str | Path | None = None):
        """`weights` is the file of an estimator, by default that of the package for the scale, 1 to 4.

        Raises InputError, which names the argument.
        """
        number = to_integer(scale)
        if number is None or not 1 <= number <= SCALES:
            raise InputError(f"expected a whole number from 1 to {SCALES}, found {scale!r}", "scale")
        self.scale = number
        with prefix_errors("scale"):
            path = estimator_file(number) if weights is None else Path(weights)
        with prefix_errors("weights"):
            self._weights = read_estimator(path)
            if self._weights.network.config.scale != number:
                found = f"one of x{self._weights.network.config.scale}"
                raise InputError(f"{path}: expected an estimator of x{number}, found {found}")

    def estimate(
        self,
        pixels: NDArray,
        kernel: NDArray | None = None,
        noise_level: float | None = None,
        jpeg: JpegTables | None = None,
        *,
        is_part: bool = False,
    ) -> Estimate:
        """The estimate for an LR picture (h, w, 3), uint8, uint16 or floats in 0 to 1, without transparency.

        `kernel`, (k, k), or `noise_level` is what is known already. The estimate repeats a known noise level; of a
        known kernel it states the Gaussian with equal second moments. `jpeg` is the quantisation of a JPEG, None of a
        picture that was never compressed. A picture of fewer than MIN_WINDOWS windows tells nothing, unless it is a
        part of a larger one, `is_part`. Raises InputError for arrays of another shape.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3:
            found = "×".join(map(str, pixels.shape))
            raise InputError(f"expected an array H×W×3, found {found}", "pixels")
        pixels = without_bars(pixels)
        cut = _places(pixels)
        if (_is_small(pixels) and not is_part) or np.mean([line_share(place) for place in cut]) > MAX_LINE_SHARE:
            return _assume_nothing(kernel, noise_level)
        places = [_to_lr(place) for place in cut]
        posterior = self.posterior(places, NO_JPEG if jpeg is None else jpeg.condition)
        tells_blur = _detail(places) >= MIN_DETAIL and self._is_in_range(posterior)
        if noise_level is None and not _tells_noise(posterior, cut, is_jpeg=jpeg is not None):
            tells_blur, noise_level = False, 0.0
        size = pixels.shape[0] * pixels.shape[1] / CALIBRATED_PIXELS
        posterior = posterior.sharpened(min(size, MAX_SHARPENING))
        return self._decide(posterior, tells_blur, kernel, noise_level)

    def estimate_windows(
        self, pixels: NDArray, size: int = PLACE, overlap: int = PLACE // 2, jpeg: JpegTables | None = None
    ) -> list[tuple[slice, slice, Estimate]]:
        """Estimates for overlapping windows of size×size LR pixels: rows, columns and the estimate of each.

        The last windows in each direction end at the border, so that all windows have one size if the picture is large
        enough. Whether it has too few pixels to tell anything depends on the whole picture, not on a window.
        """
        is_part = not _is_small(pixels)
        rows, columns = (_spans(length, size, size - overlap) for length in pixels.shape[:2])
        return [
            (*spans, self.estimate(pixels[spans], jpeg=jpeg, is_part=is_part))
            for spans in itertools.product(rows, columns)
        ]

    @torch.no_grad()
    def posterior(self, places: list[Tensor], jpeg: JpegCondition = NO_JPEG) -> Posterior:
        """What the network says of places (1, 3, h, w) of one picture: the mean over their flips and rotations."""
        scale, condition = torch.tensor([self.scale]), torch.tensor([jpeg])
        network = self._weights.network
        if any(jpeg) and self._weights.jpeg_network:
            network = self._weights.jpeg_network
        means, precisions = [], []
        stride = STRIDE if sum(place[0, 0].numel() for place in places) <= MAX_DENSE_PIXELS else WINDOW
        for view in range(VIEWS):
            features = torch.cat([network.features(turn(place, view), stride) for place in places], 1)
            prediction = network(features, scale, condition)
            mean, cholesky = prediction.mean[0].double().numpy(), prediction.cholesky[0].double().numpy()
            turning = turning_matrix(view, len(mean))
            means.append(turning @ mean)
            precisions.append(turning.T @ cholesky @ cholesky.T @ turning)
        return Posterior(np.mean(means, 0), np.mean(precisions, 0))

    def _is_in_range(self, posterior: Posterior) -> bool:
        """Whether a blur is told, and is one that the networks know."""
        widest = max(max_width(self.scale), max_variance(self.scale) ** 0.5)
        wide, _, _ = gaussian_of(posterior.mean[:3], self.scale)
        return posterior.blur_deviation() < MAX_BLUR_DEVIATIONS[self.scale] and wide <= MAX_EXCESS * widest

    def _decide(
        self, posterior: Posterior, tells_blur: bool, kernel: NDArray | None, noise_level: float | None
    ) -> Estimate:
        if kernel is not None:
            shape = _moments(kernel)
            posterior = posterior.given_blur(blur_parameters(*shape, self.scale))
        if noise_level is None:
            level = posterior.noise_level()
            noise_level = 0.0 if level < MIN_NOISE_LEVEL else round(min(level, float(MAX_NOISE_LEVEL)), 1)
        else:
            posterior = posterior.given_noise_level(noise_level)
        if kernel is not None:
            return Estimate(*_rounded_shape(*shape), noise_level, 1.0)
        parameters, confidence = decide(posterior, noise_level, self.scale)
        if not tells_blur:
            confidence = 0.0
        if confidence < SURE:
            parameters = np.zeros(3)
        shape = _rounded_shape(*gaussian_of(parameters, self.scale))
        return Estimate(*shape, noise_level, round(confidence, 2))


def estimate(
    picture: Any,
    scale: int,
    kernel: str | Path | ArrayLike | None = None,
    noise_level: float | None = None,
    jpeg: int | JpegTables | None = None,
) -> Estimate:
    """Estimates blur and noise of an LR picture that is to be restored at a scale, 1 to 4.

    Pictures and kernels have the forms that `Restorer.restore` takes. `kernel` or `noise_level` is what is known
    already, None what is to be estimated. The estimate repeats a known noise level. Of a known kernel it states the
    Gaussian with equal second moments. `jpeg` is the quantisation of a JPEG, or a quality, 1 to 100, of the standard
    tables in 4:2:0; None of a picture that was never compressed. Raises InputError, which names the argument.
    """
    pixels = to_pixels(picture)
    noise_level = None if noise_level is None else checked_noise_level(noise_level)
    jpeg = checked_jpeg(jpeg)
    kernel = None if kernel is None else to_kernel(kernel)
    rgb = pixels.rgb if pixels.alpha is None else spread_visible_colours(pixels.rgb, pixels.alpha)
    tables = tables_of_quality(jpeg, rgb) if isinstance(jpeg, int) else jpeg
    return BlindEstimator(scale).estimate(rgb, kernel, noise_level, tables)


def _to_lr(pixels: NDArray) -> Tensor:
    """Pixels as (1, 3, h, w) in 0 to 1, clipped and rounded to 8 bits as in training, mirrored up to one window."""
    padding = [(0, max(WINDOW - side, 0)) for side in pixels.shape[:2]]
    if any(after for _, after in padding):
        pixels = np.pad(pixels, [*padding, (0, 0)], mode="symmetric")
    lr = torch.from_numpy(as_floats(pixels).astype(np.float32)).permute(2, 0, 1)[None]
    return (lr.clamp(0, 1) * 255).round() / 255


def _places(pixels: NDArray) -> list[NDArray]:
    """A picture (h, w, 3), or the MAX_PLACES places with the most detail of a large one.

    A place has PLACE×PLACE pixels; in a picture that is narrower than that, it has the picture's whole height or width.
    """
    if pixels.shape[0] * pixels.shape[1] <= MAX_WHOLE_PIXELS:
        return [pixels]
    green = pixels[::2, ::2, 1]
    green = green.astype(np.int32 if green.dtype.kind == "u" else np.float32)
    detail = np.zeros(green.shape, green.dtype)
    detail[:-1] += np.abs(np.diff(green, axis=0))
    detail[:, :-1] += np.abs(np.diff(green, axis=1))
    height, width = (min(PLACE // 2, length) for length in detail.shape)
    rows, columns = detail.shape[0] // height, detail.shape[1] // width
    tiles = detail[: rows * height, : columns * width].reshape(rows, height, columns, width).mean((1, 3))
    best = np.argsort(-tiles, axis=None, kind="stable")[:MAX_PLACES]
    corners = np.stack(np.divmod(best, columns), 1) * (2 * height, 2 * width)
    return [pixels[top : top + 2 * height, left : left + 2 * width] for top, left in corners]


def _detail(places: list[Tensor]) -> float:
    """The curvature, in levels of 255, that one pixel in a hundred of some places (1, 3, h, w) exceeds."""
    green = [255 * place[0, 1] for place in places]
    curvature = [grey.diff(n=2, dim=dim).abs().flatten() for grey in green for dim in (0, 1)]
    return torch.cat(curvature).quantile(0.99).item()


def _is_small(pixels: NDArray) -> bool:
    """Whether a picture (h, w, 3) has too few pixels to tell anything."""
    return (pixels.shape[0] // WINDOW) * (pixels.shape[1] // WINDOW) < MIN_WINDOWS


def _assume_nothing(kernel: NDArray | None, noise_level: float | None) -> Estimate:
    """The estimate for a picture that tells nothing: what is known, else no blur and no noise."""
    noise_level = 0.0 if noise_level is None else noise_level
    if kernel is None:
        return Estimate((0.0, 0.0), 0.0, noise_level, 0.0)
    return Estimate(*_rounded_shape(*_moments(kernel)), noise_level, 1.0)


def _tells_noise(posterior: Posterior, places: list[NDArray], is_jpeg: bool) -> bool:
    """Whether a picture, given by places (h, w, 3), looks like a photo whose noise level can be read."""
    if posterior.noise_level() >= MAX_NOISE_OF_PHOTOS:
        return False
    return is_jpeg or (posterior.noise_deviation() < MAX_NOISE_DEVIATION and not _is_text(posterior, places))


def _is_text(posterior: Posterior, places: list[NDArray]) -> bool:
    """Whether a picture, given by places (h, w, 3), looks like small letters, or another drawing without noise."""
    return (
        posterior.noise_deviation() > TEXT_NOISE_DEVIATION
        and np.mean([flat_share(place) for place in places]) > TEXT_FLAT_SHARE
    )


def _spans(length: int, size: int, step: int) -> list[slice]:
    starts = [*range(0, max(length - size, 0), step), max(length - size, 0)]
    return [slice(start, min(start + size, length)) for start in starts]


def _moments(kernel: NDArray) -> tuple[float, float, float]:
    """The widths, the larger one first, and the angle of the Gaussian with the second moments of a kernel (k, k)."""
    rows, columns = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    rows, columns = rows - centre_offset(kernel)[0], columns - centre_offset(kernel)[1]
    covariance = np.array([(kernel * product).sum() for product in (columns**2, columns * rows, rows**2)])
    variance1, variance2, angle = principal_values(covariance)
    return np.sqrt(max(variance1, 0)), np.sqrt(max(variance2, 0)), angle


def _rounded_shape(width1: float, width2: float, angle: float) -> tuple[tuple[float, float], float]:
    """Widths and angle, rounded; nearly equal widths are made equal."""
    width2 = max(width2, 0.05)
    if width1 / width2 < SAME_WIDTH or width1 < NO_BLUR_WIDTH:
        width = round(float(np.sqrt(width1 * width2)), 2)
        return (width, width), 0.0
    return (round(float(width1), 2), round(float(width2), 2)), float(round(angle) % 180)
