"""Patterns that repeat, which tell nothing of blur and noise: checkerboards, stripes, grids."""

import numpy as np
from numpy.typing import NDArray

STRONGEST = 0.02  # share of the frequencies whose share of the energy is measured


def line_share(lr: NDArray) -> float:
    """The share of the energy of fine detail of LR (h, w, 3) that lies in its few strongest frequencies, 0 to 1.

    It is near 1 in patterns that repeat, whose spectrum consists of lines, and below 0.8 in photos with any blur. A
    picture of one colour has the share 0.
    """
    grey = lr.astype(np.float64).mean(2)
    hann = np.outer(*(np.hanning(length + 2)[1:-1] for length in grey.shape))
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * hann)) ** 2
    rows, columns = np.fft.fftfreq(grey.shape[0])[:, None], np.fft.rfftfreq(grey.shape[1])
    detail = np.sort((power * (rows**2 + columns**2) ** 2).ravel())  # photos have most power at low frequencies
    strongest = detail[-max(round(STRONGEST * detail.size), 1) :].sum()
    return float(strongest / detail.sum()) if strongest > 0 else 0.0
