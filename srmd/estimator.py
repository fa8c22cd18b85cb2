"""The network that estimates blur and noise of an LR picture, and the parameters that it estimates.

It reads windows of 16×16 LR pixels: the logarithm of their power spectrum, which shows blur and noise, and their
pixels. Each window is described by a small fully connected network, first alone, then knowing what the whole picture
looks like. Every window predicts parameters and a precision; their precision-weighted mean is the prediction for the
picture, so that windows which tell nothing count little.

It is told whether, and how strongly, the picture was compressed as JPEG, which removes noise and fine detail.

A Gaussian kernel is estimated as three numbers, the entries of a symmetric matrix on LR pixels, because nearly the same
blur in LR pixels looks nearly the same at each scale: one network is trained for all scales.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from srmd.base.principal import principal_values, symmetric_matrix
from srmd.jpeg.tables import JpegCondition

WINDOW = 16  # side in LR pixels of the windows that are read
STRIDE = 8  # LR pixels from a window to the next
FREQUENCIES = WINDOW * (WINDOW // 2 + 1)  # of a real picture's spectrum
COLOUR_BANDS = 6  # rings of the spectrum in which the energy of the two colour differences is measured
JPEG_NUMBERS = len(JpegCondition._fields)
SCALES = 4  # the network knows the scales 1 to 4
OFFSET = 0.35  # LR pixels; bicubic's antialiasing blurs too, so that much narrower kernels look alike
MIN_LOG_PRECISION = -3.0  # logarithms of 1 / deviation
MAX_LOG_PRECISION = (3.9, 3.9, 3.9, 4.6)  # deviations of .02 LR pixels for the blur, .01 for the noise
FEATURES = FREQUENCIES + 2 * COLOUR_BANDS + 3 + WINDOW**2  # numbers that describe a window


@dataclass(frozen=True)
class EstimatorConfig:
    """The architecture of an estimator; stored with its weights."""

    scale: int = 2  # that its weights are meant for
    hidden: int = 160  # width of the layers that see windows


class Prediction(NamedTuple):
    """What is predicted for N pictures: a normal distribution of four parameters."""

    mean: Tensor  # (N, 4): three parameters of the blur, and log(1 + noise level) / 2
    cholesky: Tensor  # (N, 4, 4): L of the precision matrix L·Lᵀ


class Estimator(nn.Module):
    """The network that estimates the degradation of LR pictures."""

    def __init__(self, config: EstimatorConfig):
        super().__init__()
        self.config, hidden = config, config.hidden
        self.scale_bias = nn.Embedding(SCALES + 1, hidden)
        self.jpeg_bias = nn.Linear(JPEG_NUMBERS, hidden, bias=False)  # for windows
        self.window1, self.window2 = nn.Linear(FEATURES, hidden), nn.Linear(hidden, hidden)
        self.context = nn.Linear(hidden, 1)
        self.joint_context = nn.Linear(2 * hidden, hidden, bias=False)
        self.joint1, self.joint2 = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.local, self.attention = nn.Linear(hidden, 8), nn.Linear(hidden, 2)
        self.global1, self.global2, self.global3 = (
            nn.Linear(3 * hidden + 8, 128),
            nn.Linear(128, 128),
            nn.Linear(128, 14),
        )
        self.jpeg_summary = nn.Linear(JPEG_NUMBERS, 128, bias=False)  # for the whole picture
        self.register_buffer("mean", torch.zeros(FEATURES))  # of the features over training windows
        self.register_buffer("deviation", torch.ones(FEATURES))
        self.register_buffer("fourier", _fourier_filters(), persistent=False)
        self.register_buffer("bands", _colour_bands(), persistent=False)
        for layer in (self.local, self.jpeg_bias, self.jpeg_summary):
            nn.init.zeros_(layer.weight)
        with torch.no_grad():
            self.local.bias[:] = torch.tensor([0.3, 0, 0.3, 1.0, 0, 0, 0, 0])
            self.global3.weight *= 0.1
            self.global3.bias.zero_()

    def features(self, lr: Tensor, stride: int = STRIDE) -> Tensor:
        """LR (N, 3, h, w), 0 to 1, h and w at least 16 → what describes its n windows, (N, n, FEATURES).

        `stride` is the number of LR pixels from a window to the next.
        """
        red, green, blue = (lr * 255).unbind(1)
        grey, colour1, colour2 = (red + green + blue) / 3, red - green, (red + green) / 2 - blue
        windows = _windows(grey, stride)  # (N, n, 256)
        mean = windows.mean(2, keepdim=True)
        clipped = ((windows < 2) | (windows > 253)).float().mean(2, keepdim=True)
        windows = windows - mean
        deviation = windows.square().mean(2, keepdim=True).sqrt()
        colours = [self._power(_windows(colour, stride)) @ self.bands for colour in (colour1, colour2)]
        spectra = [(power + 0.05).log() for power in (self._power(windows), *colours)]
        scalars = [(deviation + 0.3).log(), mean / 255, clipped]
        return torch.cat([*spectra, *scalars, windows / (deviation + 1)], 2)

    def _power(self, windows: Tensor) -> Tensor:
        """The power spectra, (N, n, FREQUENCIES), of windows whose mean does not matter."""
        real, imaginary = (windows @ self.fourier).square().chunk(2, -1)
        return real + imaginary

    def forward(self, features: Tensor, scale: Tensor, jpeg: Tensor) -> Prediction:
        """Features of n windows of each of N pictures, (N, n, FEATURES), scales, (N,), JPEG, (N, 3) → the prediction.

        `jpeg` holds a `JpegCondition` for each picture.
        """
        bias = self.scale_bias(scale) + self.jpeg_bias(jpeg)
        windows = F.gelu(self.window1((features - self.mean) / self.deviation) + bias[:, None])
        windows = F.gelu(self.window2(windows)) + windows  # (N, n, hidden)
        context = torch.cat([_attend(self.context(windows), windows), windows.mean(1)], 1)  # (N, 2 · hidden)
        windows = F.gelu(self.joint1(windows) + self.joint_context(context)[:, None])
        windows = F.gelu(self.joint2(windows)) + windows
        means, log_precisions = self.local(windows).split(4, 2)
        precisions = log_precisions.clamp(-8, 8).exp()
        pooled = (means * precisions).sum(1) / precisions.sum(1)  # (N, 4)
        attended = [_attend(logits, windows) for logits in self.attention(windows).split(1, 2)]
        summary = torch.cat([*attended, windows.mean(1), pooled, precisions.mean(1).log()], 1)
        summary = F.gelu(self.global1(summary) + self.jpeg_summary(jpeg))
        output = self.global3(F.gelu(self.global2(summary)) + summary)  # (N, 14)
        return Prediction(pooled + output[:, :4], _cholesky(output[:, 4:]))


def _windows(channel: Tensor, stride: int) -> Tensor:
    """The windows of a channel (N, h, w), (N, n, 256)."""
    return channel.unfold(1, WINDOW, stride).unfold(2, WINDOW, stride).reshape(len(channel), -1, WINDOW**2)


def _attend(logits: Tensor, windows: Tensor) -> Tensor:
    """The mean of windows (N, n, C) with weights softmax(logits), (N, n, 1): (N, C)."""
    return (logits.softmax(1) * windows).sum(1)


def _cholesky(numbers: Tensor) -> Tensor:
    """Ten numbers (N, 10) as lower triangular matrices (N, 4, 4) with bounded positive diagonals."""
    rows, columns = torch.tril_indices(4, 4)
    lower = numbers.new_zeros(len(numbers), 4, 4)
    lower[:, rows, columns] = numbers
    diagonal = lower.diagonal(dim1=1, dim2=2)
    largest = torch.tensor(MAX_LOG_PRECISION).to(diagonal)
    log_precision = (largest - F.softplus(largest - diagonal)).clamp(min=MIN_LOG_PRECISION)
    return lower - torch.diag_embed(diagonal) + torch.diag_embed(log_precision.exp())


def _fourier_filters() -> Tensor:
    """The discrete Fourier transform of windows under a Hann window, (256, 2 · FREQUENCIES): real, then imaginary.

    Each filter has the sum 0, so that the mean of a window does not matter. Power is per pixel.
    """
    hann = torch.hann_window(WINDOW + 2)[1:-1].numpy().astype(np.float64)
    hann = np.outer(hann, hann)
    waves = np.exp(-2j * math.pi * np.outer(np.arange(WINDOW), np.arange(WINDOW)) / WINDOW)
    filters = np.einsum("ay,bx->abyx", waves, waves[: WINDOW // 2 + 1]) * (hann / np.sqrt((hann**2).sum()))
    filters -= filters.mean((2, 3), keepdims=True)
    filters = filters.reshape(FREQUENCIES, WINDOW**2).T
    return torch.from_numpy(np.concatenate([filters.real, filters.imag], 1)).float()


def _colour_bands() -> Tensor:
    """The matrix (FREQUENCIES, COLOUR_BANDS) that gives the mean of a power spectrum over each ring."""
    rows, columns = np.fft.fftfreq(WINDOW)[:, None], np.fft.rfftfreq(WINDOW)[None]
    ring = np.minimum(np.hypot(rows, columns) * 2 * COLOUR_BANDS, COLOUR_BANDS - 1).astype(int).ravel()
    bands = np.eye(COLOUR_BANDS)[ring]
    return torch.from_numpy(bands / bands.sum(0)).float()


def blur_parameters(width1: NDArray, width2: NDArray, angle: NDArray, scale: NDArray) -> NDArray:
    """The parameters of Gaussian kernels: the matrix √(Σ + OFFSET²) − OFFSET, (..., 3), Σ the covariance in LR pixels².

    Widths in HR pixels and angles in degrees as in `gaussian`. The numbers are those of columns, of both, of rows.
    """
    along, across = (np.hypot(width / scale, OFFSET) - OFFSET for width in (width1, width2))
    return symmetric_matrix(along, across, angle)


def gaussian_of(parameters: NDArray, scale: int) -> tuple[NDArray, NDArray, NDArray]:
    """The inverse of `blur_parameters`: width1 ≥ width2 ≥ 0 in HR pixels and the angle, 0 to 180 degrees."""
    variance1, variance2, angle = _principal_variances(parameters)
    return scale * np.sqrt(variance1), scale * np.sqrt(variance2), angle


def covariance_of(parameters: NDArray) -> NDArray:
    """The covariances Σ of kernels with these parameters, (..., 3), in LR pixels²: of columns, of both, of rows."""
    return symmetric_matrix(*_principal_variances(parameters))


def _principal_variances(parameters: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """The variances along the axes of kernels with these parameters, in LR pixels², and the angle of the first axis."""
    value1, value2, angle = principal_values(parameters)
    variances = ((np.maximum(value, 0) + OFFSET) ** 2 - OFFSET**2 for value in (value1, value2))
    return *variances, angle


def turning_matrix(view: int, count: int = 3) -> NDArray:
    """The matrix (count, count) that turns the parameters with a picture (`turn`), and that turns them back.

    The first three of `count` parameters are those of the blur; the others do not depend on the view.
    """
    matrix = np.eye(count)
    if view % 2 == 1:
        matrix[:3, :3] = [[0, 0, 1], [0, -1, 0], [1, 0, 0]]
    if view >= 4:
        matrix[1] = -matrix[1]
    return matrix
