"""Ships a trained network: writes it in float16 with its scores and its training in the metadata.

    python -m benchmarks.ship runs/srmdnf_x2 Set5    # the run, then folders of HR pictures to score on

Only a network that is better than the shipped one takes its place, and what is better is asked of the pictures that
were held out of its training data, never of those to score on.
"""

import itertools
import json
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from srmd.cli import main
from srmd.data_loader import open_training_data
from srmd.weights.files import read_weights, write_weights

ROOT = Path(__file__).parents[1]
KERNELS = ("delta", "gaussian:1.3", "gaussian:2.6", "gaussian:2.6,1.0,30")
NOISE_LEVELS = (0, 15, 50)
HELD_OUT_SIDE = 256  # HR pixels


def test(weights: Path, data: Path, kernel: str, noise_level: int) -> dict[str, float]:
    """The mean scores of one test, in fp32."""
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"--weights={weights}", f"--test_data={data}", f"--kernel={kernel}", f"--noise_level={noise_level}"]
        flags += ["--precision=fp32", f"--output={folder}", "--visdom=off"]
        main.main(["--mode=test", *flags])
        metrics = Path(folder, "metrics.json")
        if not metrics.exists():  # that some picture is left out is no reason not to ship
            raise SystemExit(1)
        return json.loads(metrics.read_text())["mean"]


def held_out_score(weights: Path, train_data: str | None, noise_free: bool) -> float:
    """PSNR of Y over the middles of the held-out pictures, the mean over kernels and noise levels."""
    _, pictures = open_training_data(train_data and Path(train_data)).split()
    with tempfile.TemporaryDirectory() as folder:
        for index in range(len(pictures)):
            pixels = pictures.picture(index)
            top, left = (max(size - HELD_OUT_SIDE, 0) // 2 for size in pixels.shape[:2])
            middle = pixels[top : top + HELD_OUT_SIDE, left : left + HELD_OUT_SIDE]
            Image.fromarray(middle).save(Path(folder, f"{index}.png"))
        cells = itertools.product(KERNELS, NOISE_LEVELS[: 1 if noise_free else None])
        return statistics.mean(test(weights, Path(folder), *cell)["psnr_y"] for cell in cells)


def scores(weights: Path, folders: list[Path], noise_free: bool) -> dict[str, dict[str, float]]:
    """PSNR and SSIM of Y: on the first folder for each kernel and noise level, on the others without both."""
    cells = list(itertools.product(KERNELS, NOISE_LEVELS[: 1 if noise_free else None]))
    found = {}
    for data in folders:
        for kernel, noise_level in cells if data == folders[0] else cells[:1]:
            mean = test(weights, data, kernel, noise_level)
            keys = ("psnr_y", "ssim_y", "bicubic_psnr_y", "bicubic_ssim_y")
            found[f"{data.name}, {kernel}, noise {noise_level}"] = {
                key: mean[key] and round(mean[key], 4) for key in keys
            }
    return found


def history(training: dict) -> list[dict]:
    """The trainings that the network which this one started from went through, the first one first."""
    if not training["weights"]:
        return []
    source = read_weights(Path(training["weights"])).metadata
    return source.get("history", []) + ([source["training"]] if "training" in source else [])


def ship(run: Path, folders: list[Path]) -> None:
    """Writes weights/NAME.safetensors from a run, if it is better than what is there."""
    weights = read_weights(run / "last.safetensors")
    config = weights.network.config
    output = ROOT / "weights" / f"{config.kind.lower()}_x{config.scale}.safetensors"
    noise_free = config.kind == "SRMDNF"
    training = json.loads((run / "config.json").read_text())
    keys = ("train_data", "weights", "noise_free", "downsampler", "steps", "batch_size", "patch_size", "lr", "loss")
    metadata = weights.metadata | {"training": {key: training[key] for key in keys}, "history": history(training)}
    candidate = run / "float16.safetensors"
    write_weights(candidate, replace(weights, metadata=metadata), torch.float16)
    held_out = held_out_score(candidate, training["train_data"], noise_free)
    print(f"{run}: {held_out:.2f} dB on the held-out pictures")
    if output.exists():
        before = held_out_score(output, training["train_data"], noise_free)
        if before >= held_out:
            print(f"{output.relative_to(ROOT)} stays, with {before:.2f} dB")
            return
    metadata["held_out_psnr_y"] = round(held_out, 4)
    metadata["scores"] = scores(candidate, folders, noise_free)
    write_weights(output, replace(weights, metadata=metadata), torch.float16)
    print(f"{output.relative_to(ROOT)} is new")


if __name__ == "__main__":
    ship(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]])
