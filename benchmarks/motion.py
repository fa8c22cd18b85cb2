"""Measures what training with motion kernels gains on motion kernels, over training with Gaussians alone.

    python -m benchmarks.motion                            # 2,000 steps on the built-in set; scores the held-out photos
    python -m benchmarks.motion --page=docs/training.md    # also writes the table of that page
    python -m benchmarks.motion pictures Set5 5000         # pictures to train on, HR pictures to score, steps

Trains two networks, one with Gaussians alone and one with half of the kernels motion kernels and a larger P of its own.
Seed, pictures and crops are the same. Both are scored on 20 motion kernels that were not trained on and on no blur.
Prints a table and draws img/motion.png. The runs are in runs/motion_*; an interrupted one is resumed, and one that is
complete is used again: remove these folders to train anew.
"""

import textwrap
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.commands import add_page, add_train_data, command_parser, one_line_errors, pictures_folder
from benchmarks.pages import replace_part
from benchmarks.plans import ROOT
from srmd.base.files import make_folder
from srmd.cli import main
from srmd.cli.values import whole
from srmd.degradation import Degradation, degrade, modcrop, upsample
from srmd.evaluate.picture import to_array
from srmd.kernel.families import delta
from srmd.kernel.motion import motion_kernels
from srmd.kernel.pca import code_error
from srmd.pictures.files import read_picture, write_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.metrics import score
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.restorer import Restorer, open_restorer
from srmd.show.pictures import comparison, kernel_picture, to_rgb8
from srmd.weights.files import read_weights

TRAINING_KERNELS = 1000
TEST_KERNELS = 20
PCA_DIM = 60
TRAIN_FLAGS = ["--batch_size=4", "--patch_size=20", "--noise_free", "--visdom=off", "--precision=fp32"]
PICTURE = ROOT / "img" / "motion.png"
SIDE = 96  # HR pixels, of the part of a picture that is drawn
ZOOM = 2  # factor by which it is enlarged
DRAWN_KERNELS = 3
NO_BLUR = delta()[None]
WIDTH = 120  # characters of a line


def trained(name: str, flags: list[str]) -> Restorer:
    """Trains a network, or resumes its run, and loads it."""
    output = Path("runs", f"motion_{name}")
    if main.main(["--mode=train", f"--output={output}", "--resume", *TRAIN_FLAGS, *flags]) != 0:
        raise SystemExit(1)
    return open_restorer(read_weights(output / "last.safetensors"), engine="torch", precision="fp32")


def pictures(folder: Path | None) -> list[Tensor]:
    """The HR pictures of a folder, or the held-out photos, as (1, 3, H, W) float64 in 0 to 1."""
    if folder is None:
        arrays = [photo / 255 for photo in builtin_test_pictures().values()]
    else:
        arrays = [read_picture(path).as_floats() for path in list_pictures(folder)]
    return [modcrop(torch.from_numpy(array).permute(2, 0, 1)[None], 2) for array in arrays]


def psnr_y(sr: Tensor, hr: Tensor) -> float:
    """PSNR of Y in dB, computed as by --mode=test."""
    return score(to_array(sr), to_array(hr), 2)["psnr_y"]


def scores(networks: dict[str, Restorer], hrs: list[Tensor], kernels: np.ndarray) -> dict[str, np.ndarray]:
    """PSNR of Y of bicubic upscaling and of each network for each kernel (N,): the mean over the pictures."""
    psnr = {name: np.zeros((len(kernels), len(hrs))) for name in ["bicubic", *networks]}
    for i, kernel in enumerate(torch.from_numpy(kernels)):
        degradation = Degradation.uniform(kernel[None], torch.zeros(1))
        for j, hr in enumerate(hrs):
            lr = degrade(hr, degradation, 2)
            psnr["bicubic"][i, j] = psnr_y(upsample(lr, 2), hr)
            for name, network in networks.items():
                psnr[name][i, j] = psnr_y(network.restore_whole(lr, degradation), hr)
    return {name: values.mean(1) for name, values in psnr.items()}


def draw(networks: dict[str, Restorer], hr: Tensor, kernels: np.ndarray) -> None:
    """Draws a row for each kernel: the kernel, bicubic upscaling, SR of each network, HR."""
    top, left = hr.shape[-2] // 2 - SIDE, hr.shape[-1] // 2 - SIDE // 2
    rows = []
    for kernel in kernels:
        degradation = Degradation.uniform(torch.from_numpy(kernel)[None], torch.zeros(1))
        lr = degrade(hr, degradation, 2)
        restored = {"bicubic": upsample(lr, 2)}
        restored |= {name: network.restore_whole(lr, degradation) for name, network in networks.items()}
        pictures = {f"{name} {psnr_y(sr, hr):.2f} dB": sr for name, sr in restored.items()} | {"HR": hr}
        panels = {"kernel": _kernel_panel(kernel)}
        for label, picture in pictures.items():
            part = to_rgb8(picture[0, :, top : top + SIDE, left : left + SIDE])
            panels[label] = part.repeat(ZOOM, 0).repeat(ZOOM, 1)
        rows.append(comparison(panels))
    write_picture(PICTURE, np.concatenate(rows) / 255)


def _kernel_panel(kernel: np.ndarray) -> np.ndarray:
    """A kernel (k, k) as an enlarged picture with a black border, (SIDE·ZOOM, SIDE·ZOOM, 3)."""
    picture = kernel_picture(kernel[None], SIDE * ZOOM // len(kernel))
    border = SIDE * ZOOM - len(picture)
    padding = border // 2, (border + 1) // 2
    return np.pad(picture, (padding, padding, (0, 0)))


def report(motion_psnr: dict[str, np.ndarray], no_blur_psnr: dict[str, np.ndarray], codes: dict[str, str]) -> str:
    """The table in Markdown, and a sentence on the gain.

    Args:
        motion_psnr: PSNR of Y for each motion kernel, by network, with bicubic upscaling first.
        no_blur_psnr: the same without blur.
        codes: the cells that describe a network's kernel code, by network.
    """
    lines = ["| trained on | rows of P | median kernel code error | PSNR, motion kernels | PSNR, no blur |"]
    lines += ["|---" * 5 + "|"]
    for name, psnr in motion_psnr.items():
        lines.append(f"| {name} | {codes.get(name, '– | –')} | {psnr.mean():.2f} | {no_blur_psnr[name].mean():.2f} |")
    gains = motion_psnr["motion too"] - motion_psnr["Gaussians"]
    spread = f"{gains.min():.2f} to {gains.max():.2f} dB; better for {(gains > 0).sum()} of the {len(gains)} kernels"
    gain = f'On motion kernels, "motion too" is {gains.mean():.2f} dB better than "Gaussians" on average ({spread}).'
    return "\n".join([*lines, "", *textwrap.wrap(gain, WIDTH)])


def code_cells(network: Restorer, kernels: np.ndarray) -> str:
    """The table's cells on a network's kernel code: the rows of P, and the median relative error on the kernels."""
    pca = network.pca.numpy()
    return f"{len(pca)} | {np.median([code_error(kernel, pca) for kernel in kernels]):.0%}".replace("%", " %")


def compare(train_data: Path | None, test_data: Path | None, steps: int, page: Path | None) -> None:
    """Trains both networks, prints the table, writes it to the page, and draws the picture."""
    hrs = pictures(test_data)  # before the training: one that cannot be read ends the command at once
    networks = train_networks(train_data, steps)
    kernels = motion_kernels(np.random.default_rng(1), TEST_KERNELS)
    codes = {name: code_cells(network, kernels) for name, network in networks.items()}
    text = report(scores(networks, hrs, kernels), scores(networks, hrs, NO_BLUR), codes)
    print(f"\n{text}")
    if page:
        replace_part(page, "motion", text)
    draw(networks, hrs[0], kernels[:DRAWN_KERNELS])


def train_networks(train_data: Path | None, steps: int) -> dict[str, Restorer]:
    """Both networks: the one trained with Gaussians alone, and the one trained with motion kernels too."""
    make_folder(Path("data"))
    kernel_file = Path("data", "motion_kernels.npy")
    np.save(kernel_file, motion_kernels(np.random.default_rng(0), TRAINING_KERNELS).astype(np.float32))
    flags = [f"--steps={steps}"]
    if train_data is not None:
        flags.append(f"--train_data={train_data}")
    return {
        "Gaussians": trained("gaussians", flags),
        "motion too": trained("own", [*flags, f"--train_kernels={kernel_file}", f"--pca_dim={PCA_DIM}"]),
    }


if __name__ == "__main__":
    parser = command_parser(__doc__)
    add_train_data(parser, "train_data", nargs="?")
    parser.add_argument(
        "test_data", type=pictures_folder, nargs="?", help="HR pictures to score (default: held-out photos)"
    )
    parser.add_argument("steps", type=whole(1), nargs="?", default=2000, help="training steps of each network")
    add_page(parser, "motion")
    options = parser.parse_args()
    with one_line_errors():
        compare(options.train_data, options.test_data, options.steps, options.page)
