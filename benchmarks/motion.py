"""What training on motion kernels gains over training on Gaussians alone, on motion kernels that neither has seen.

    python -m benchmarks.motion                      # the built-in set, 2,000 steps each, the held-out photos
    python -m benchmarks.motion pictures Set5 5000   # pictures to train on, HR pictures to score on, steps

Trains two networks that are the same but for their kernels and P, with the same seed, pictures and crops, scores them
on the same pictures and kernels, and draws img/motion.png. Runs lie in runs/motion_*; one that was interrupted goes on.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from srmd.base.errors import InputError
from srmd.base.files import make_folder
from srmd.cli import main
from srmd.cli.console import one_line
from srmd.degradation import Degradation, degrade, modcrop, upsample
from srmd.evaluate.picture import to_array
from srmd.kernel.families import delta
from srmd.kernel.motion import motion_kernels
from srmd.kernel.pca import code_error
from srmd.pictures.files import list_pictures, read_picture, write_picture
from srmd.pictures.metrics import score
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.restorer import Restorer, open_restorer
from srmd.show.pictures import comparison, kernel_picture, to_rgb8
from srmd.weights.files import read_weights

TRAINING_KERNELS, HELD_OUT = 1000, 20  # of other seeds
PCA_DIM = 60
SMALL = ["--batch_size=4", "--patch_size=20", "--noise_free", "--visdom=off", "--precision=fp32"]
PICTURE = Path(__file__).parents[1] / "img" / "motion.png"
SIDE, ZOOM = 96, 2  # of the part that is drawn: HR pixels, enlarged


def trained(name: str, flags: list[str]) -> Restorer:
    """The network of a run, which is started, or gone on with where it is there."""
    output = Path("runs", f"motion_{name}")
    if main.main(["--mode=train", f"--output={output}", "--resume", *SMALL, *flags]) != 0:
        raise SystemExit(1)
    return open_restorer(read_weights(output / "last.safetensors"), engine="torch", precision="fp32")


def pictures(folder: Path | None) -> list[Tensor]:
    """HR pictures (1, 3, H, W), float64."""
    if folder is None:
        arrays = [photo / 255 for photo in builtin_test_pictures().values()]
    else:
        arrays = [read_picture(path).to_float() for path in list_pictures(folder)]
    return [modcrop(torch.from_numpy(array).permute(2, 0, 1)[None], 2) for array in arrays]


def psnr_y(sr: Tensor, hr: Tensor) -> float:
    """As a test scores."""
    return score(to_array(sr), to_array(hr), 2)["psnr_y"]


def scores(networks: dict[str, Restorer], hrs: list[Tensor], kernels: np.ndarray) -> dict[str, np.ndarray]:
    """PSNR of Y of bicubic upscaling and of each network, (kernels,): the mean over the pictures."""
    found = {name: np.zeros((len(kernels), len(hrs))) for name in ["bicubic", *networks]}
    for i, kernel in enumerate(torch.from_numpy(kernels)):
        degradation = Degradation.uniform(kernel[None], torch.zeros(1))
        for j, hr in enumerate(hrs):
            lr = degrade(hr, degradation, 2)
            found["bicubic"][i, j] = psnr_y(upsample(lr, 2), hr)
            for name, network in networks.items():
                found[name][i, j] = psnr_y(network.restore_whole(lr, degradation), hr)
    return {name: values.mean(1) for name, values in found.items()}


def draw(networks: dict[str, Restorer], hr: Tensor, kernels: np.ndarray) -> None:
    """A row for each kernel: the kernel, bicubic upscaling, what each network restores, HR."""
    top, left = hr.shape[-2] // 2 - SIDE, hr.shape[-1] // 2 - SIDE // 2
    rows = []
    for kernel in kernels:
        degradation = Degradation.uniform(torch.from_numpy(kernel)[None], torch.zeros(1))
        lr = degrade(hr, degradation, 2)
        wholes = {"bicubic": upsample(lr, 2)} | {name: n.restore_whole(lr, degradation) for name, n in networks.items()}
        panels = {f"{name} {psnr_y(whole, hr):.2f} dB": whole for name, whole in wholes.items()} | {"HR": hr}
        panels = {k: to_rgb8(p[0, :, top : top + SIDE, left : left + SIDE]) for k, p in panels.items()}
        zoomed = {k: p.repeat(ZOOM, 0).repeat(ZOOM, 1) for k, p in panels.items()}
        shown = kernel_picture(kernel[None], SIDE * ZOOM // len(kernel))
        edge = (SIDE * ZOOM - len(shown)) // 2, (SIDE * ZOOM - len(shown) + 1) // 2
        rows.append(comparison({"kernel": np.pad(shown, (edge, edge, (0, 0)))} | zoomed))
    write_picture(PICTURE, np.concatenate(rows) / 255)


def compare(train_data: Path | None, test_data: Path | None, steps: int) -> None:
    """Trains both, prints a table, and draws the picture."""
    make_folder(Path("data"))
    own = Path("data", "motion_kernels.npy")
    np.save(own, motion_kernels(np.random.default_rng(0), TRAINING_KERNELS).astype(np.float32))
    common = [f"--steps={steps}"] + [f"--train_data={train_data}"] * (train_data is not None)
    networks = {
        "Gaussians": trained("gaussians", common),
        "motion too": trained("own", [*common, f"--train_kernels={own}", f"--pca_dim={PCA_DIM}"]),
    }
    hrs, held_out = pictures(test_data), motion_kernels(np.random.default_rng(1), HELD_OUT)
    of_motion, of_delta = scores(networks, hrs, held_out), scores(networks, hrs, delta()[None])
    print("\n| trained on | numbers | left out of a motion kernel | motion kernels | no blur |\n|---|---|---|---|---|")
    for name, values in of_motion.items():
        cells = ["–", "–"]
        if name in networks:
            pca = networks[name].pca.numpy()
            cells = [str(len(pca)), f"{np.median([code_error(kernel, pca) for kernel in held_out]):.0%}"]
        print(f"| {name} | {' | '.join(cells)} | {values.mean():.2f} | {of_delta[name].mean():.2f} |")
    gains = of_motion["motion too"] - of_motion["Gaussians"]
    better = f"more on {(gains > 0).sum()} of {len(gains)} kernels"
    print(f"\ngain on held-out motion kernels: {gains.mean():.2f} dB, {gains.min():.2f} to {gains.max():.2f}, {better}")
    draw(networks, hrs[0], held_out[:3])


if __name__ == "__main__":
    folders = ([Path(folder) for folder in sys.argv[1:3]] + [None, None])[:2]
    try:
        compare(*folders, int(sys.argv[3]) if len(sys.argv) > 3 else 2000)
    except InputError as error:
        raise SystemExit(one_line(error)) from error
