"""Scores a network that is told of JPEG: tables in Markdown.

    python -m benchmarks.jpeg weights/srmdj_x2.safetensors Set5 Set14       # blurred, downsampled, compressed in 4:2:0
    python -m benchmarks.jpeg weights/srmdj_x1.safetensors Classic5 --grey  # compressed only, for deblocking

Each picture is restored by the network told its tables and told nothing of them, and by the network that is told
nothing of JPEG, with the noise level that is best on average claimed instead. The last columns have tables told whose
quality is wrong by 20. PSNR of Y in dB, means over the pictures. Grey pictures are scored on their 8-bit values, whole,
as in the tables of ARCNN, DnCNN and FBCNN.

With `--page=docs/jpeg.md` each table also replaces the one of its network and pictures on that page.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pages import replace_part
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
CLASSIC5 = {  # PSNR of Classic5 at GREY_QUALITIES; Jiang, Zhang and Timofte, ICCV 2021
    "ARCNN, one network for each quality": (29.03, 31.15, 32.51, 33.32),
    "DnCNN-3": (29.40, 31.63, 32.91, 33.77),
    "FBCNN": (30.12, 32.31, 33.54, 34.35),
}
WRONG_BY = 20  # of the qualities that are told wrongly

Column = tuple[str, Callable[[NDArray], NDArray]]  # its name, and how LR is restored


def main() -> None:
    """Prints a table for each folder, and writes it to a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="a network that is told of JPEG")
    parser.add_argument("folders", type=Path, nargs="+", help="HR pictures")
    parser.add_argument("--grey", action="store_true", help="grey pictures that are compressed only, for x1")
    parser.add_argument("--page", type=Path, help="page whose tables of this network and these pictures are replaced")
    options = parser.parse_args()
    network = load(options.weights, precision="fp32")
    for folder in options.folders:
        pictures = [read_picture(path).pixels for path in list_pictures(folder)]
        print(f"\n{folder.name}, {len(pictures)} pictures\n")
        lines = []
        for line in (deblocking_table if options.grey else table)(network, pictures):
            print(line, flush=True)
            lines.append(line)
        if options.page:
            replace_part(options.page, f"{Path(options.weights).stem} {folder.name}", "\n".join(lines))


def deblocking_table(network: Restorer, pictures: list[NDArray]) -> Iterator[str]:
    """The lines of a table in Markdown for grey pictures that are compressed only, beside published networks."""
    yield f"| quality | JPEG | told the tables | {' | '.join(CLASSIC5)} |"
    yield "|---" * (3 + len(CLASSIC5)) + "|"
    for number, quality in enumerate(GREY_QUALITIES):
        lr = [degrade_picture(picture, "delta", scale=1, jpeg=quality) for picture in pictures]
        restored = [network.restore(picture, "delta", 0, jpeg=quality) for picture in lr]
        means = [statistics.mean(map(_grey_psnr, each, pictures)) for each in (lr, restored)]
        published = [psnr[number] for psnr in CLASSIC5.values()]
        yield f"| {quality} | {' | '.join(f'{psnr:.2f}' for psnr in (*means, *published))} |"


def table(network: Restorer, pictures: list[NDArray]) -> Iterator[str]:
    """The lines of a table in Markdown, each as soon as it is measured."""
    scale = network.config.scale
    untold = load(str(shipped(f"srmd_x{scale}")), precision="fp32")
    names = [name for name, _ in _columns(network, KERNELS[0], 50)] + ["best noise level instead"]
    yield "| kernel | quality | " + " | ".join(names) + " |"
    yield "|---" * (len(names) + 2) + "|"
    hr = [modcrop_picture(picture, scale) for picture in pictures]
    for kernel in KERNELS:
        for quality in QUALITIES:
            lr = [degrade_picture(picture, kernel, scale=scale, jpeg=quality) for picture in hr]
            means = [mean_psnr(restore, lr, hr, scale) for _, restore in _columns(network, kernel, quality)]
            claimed = {level: mean_psnr(_claiming(untold, kernel, level), lr, hr, scale) for level in NOISE_LEVELS}
            best = max(claimed, key=claimed.get)
            cells = [f"{mean:.2f}" for mean in means] + [f"{claimed[best]:.2f} ({best})"]
            yield f"| {kernel} | {quality} | " + " | ".join(cells) + " |"


def _columns(network: Restorer, kernel: str, quality: int) -> list[Column]:
    def told(jpeg: int | None) -> Callable[[NDArray], NDArray]:
        return lambda lr: network.restore(lr, kernel, 0, jpeg=jpeg)

    scale = network.config.scale
    columns = [("JPEG, bicubic", lambda lr: _enlarged(lr, scale))]
    columns += [("told the tables", told(quality)), ("told nothing", told(None))]
    columns += [(f"quality told {-WRONG_BY}", told(max(quality - WRONG_BY, 1)))]
    return [*columns, (f"quality told +{WRONG_BY}", told(min(quality + WRONG_BY, 100)))]


def _claiming(untold: Restorer, kernel: str, noise_level: float) -> Callable[[NDArray], NDArray]:
    return lambda lr: untold.restore(lr, kernel, noise_level)


def mean_psnr(restore: Callable[[NDArray], NDArray], lr: list[NDArray], hr: list[NDArray], scale: int) -> float:
    """The mean PSNR of Y over pictures, in dB."""
    return statistics.mean(_luma_psnr(restore(low), high, scale) for low, high in zip(lr, hr, strict=True))


def modcrop_picture(picture: NDArray, scale: int) -> NDArray:
    """A picture (h, w, 3) cropped at the bottom and at the right to multiples of the scale."""
    height, width = (length - length % scale for length in picture.shape[:2])
    return picture[:height, :width]


def _enlarged(lr: NDArray, scale: int) -> NDArray:
    return resize_picture(lr, (lr.shape[0] * scale, lr.shape[1] * scale), np.dtype(np.uint8))


def _luma_psnr(sr: NDArray, hr: NDArray, scale: int) -> float:
    return score(sr / 255, hr / 255, scale)["psnr_y"]


def _grey_psnr(sr: NDArray, hr: NDArray) -> float:
    return psnr(sr[..., 0].astype(np.float64), hr[..., 0].astype(np.float64))


if __name__ == "__main__":
    main()
