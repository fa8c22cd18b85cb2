"""Scores a network that is told of JPEG: tables in Markdown.

    python -m benchmarks.jpeg weights/srmdj_x2.safetensors Set5 Set14       # blurred, downsampled, compressed in 4:2:0
    python -m benchmarks.jpeg weights/srmdj_x1.safetensors Classic5 --grey  # compressed only, for deblocking

Each picture is restored by the network told its tables and told nothing of them, and by the network that is told
nothing of JPEG, with the noise level that is best on average claimed instead. The last columns have tables told whose
quality is wrong by 20. PSNR of Y in dB, means over the pictures. Grey pictures are scored on their 8-bit values, whole,
as in the tables of ARCNN, DnCNN and FBCNN.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.plans import shipped
from srmd.degradation import degrade_picture
from srmd.evaluate.resize import resize_picture
from srmd.pictures.files import read_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.metrics import psnr, score
from srmd.restore.restorer import Restorer, load

QUALITIES, GREY_QUALITIES = (30, 50, 75, 90), (10, 20, 30, 40)
KERNELS = ("delta", "gaussian:1.3")
NOISE_LEVELS = (0, 5, 10, 15, 20, 30)  # claimed instead of JPEG
WRONG_BY = 20  # of the qualities that are told wrongly

Score = Callable[[NDArray, NDArray], float]  # of SR and HR
Column = tuple[str, Callable[[NDArray], NDArray]]  # its name, and how LR is restored


def main() -> None:
    """Prints a table for each folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="a network that is told of JPEG")
    parser.add_argument("folders", type=Path, nargs="+", help="HR pictures")
    parser.add_argument("--grey", action="store_true", help="grey pictures that are compressed only, for x1")
    options = parser.parse_args()
    network = load(options.weights, precision="fp32")
    untold = load(str(shipped(f"srmd_x{network.config.scale}")), precision="fp32")
    for folder in options.folders:
        pictures = [read_picture(path).pixels for path in list_pictures(folder)]
        print(f"\n{folder.name}, {len(pictures)} pictures\n")
        kernels, qualities = (KERNELS[:1], GREY_QUALITIES) if options.grey else (KERNELS, QUALITIES)
        score_picture = _grey_psnr if options.grey else _luma_psnr(network.config.scale)
        _print_table(network, untold, pictures, kernels, qualities, score_picture)


def _print_table(
    network: Restorer,
    untold: Restorer,
    pictures: list[NDArray],
    kernels: tuple[str, ...],
    qualities: tuple[int, ...],
    score_picture: Score,
) -> None:
    scale = network.config.scale
    names = [name for name, _ in _columns(network, KERNELS[0], 50)] + ["best noise level instead"]
    print("| kernel | quality | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 2) + "|")
    hr = [_modcrop(picture, scale) for picture in pictures]
    for kernel in kernels:
        for quality in qualities:
            lr = [degrade_picture(picture, kernel, scale=scale, jpeg=quality) for picture in hr]
            means = [_mean(restore, lr, hr, score_picture) for _, restore in _columns(network, kernel, quality)]
            claimed = {level: _mean(_claiming(untold, kernel, level), lr, hr, score_picture) for level in NOISE_LEVELS}
            best = max(claimed, key=claimed.get)
            cells = [f"{mean:.2f}" for mean in means] + [f"{claimed[best]:.2f} ({best})"]
            print(f"| {kernel} | {quality} | " + " | ".join(cells) + " |", flush=True)


def _columns(network: Restorer, kernel: str, quality: int) -> list[Column]:
    def told(jpeg: int | None) -> Callable[[NDArray], NDArray]:
        return lambda lr: network.restore(lr, kernel, 0, jpeg=jpeg)

    scale = network.config.scale
    columns = [("JPEG, bicubic" if scale > 1 else "JPEG", lambda lr: _enlarged(lr, scale))]
    columns += [("told the tables", told(quality)), ("told nothing", told(None))]
    columns += [(f"quality told {-WRONG_BY}", told(max(quality - WRONG_BY, 1)))]
    return [*columns, (f"quality told +{WRONG_BY}", told(min(quality + WRONG_BY, 100)))]


def _claiming(untold: Restorer, kernel: str, noise_level: float) -> Callable[[NDArray], NDArray]:
    return lambda lr: untold.restore(lr, kernel, noise_level)


def _mean(restore: Callable[[NDArray], NDArray], lr: list[NDArray], hr: list[NDArray], score_picture: Score) -> float:
    return statistics.mean(score_picture(restore(low), high) for low, high in zip(lr, hr, strict=True))


def _modcrop(picture: NDArray, scale: int) -> NDArray:
    height, width = (length - length % scale for length in picture.shape[:2])
    return picture[:height, :width]


def _enlarged(lr: NDArray, scale: int) -> NDArray:
    if scale == 1:
        return lr
    return resize_picture(lr, (lr.shape[0] * scale, lr.shape[1] * scale), np.dtype(np.uint8))


def _luma_psnr(scale: int) -> Score:
    return lambda sr, hr: score(sr / 255, hr / 255, scale)["psnr_y"]


def _grey_psnr(sr: NDArray, hr: NDArray) -> float:
    return psnr(sr[..., 0].astype(np.float64), hr[..., 0].astype(np.float64))


if __name__ == "__main__":
    main()
