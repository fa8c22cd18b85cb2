"""Writes a trained network to weights/ if it is better than the shipped one.

    python -m benchmarks.ship runs/srmdnf_x2 Set5    # folder of the run, folders of HR pictures to score

The file is in float16; its metadata contain the scores and all trainings. Better means a higher PSNR on the pictures
that were held out of the training data; the pictures to score play no part in the decision.
"""

import itertools
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from benchmarks.commands import add_test_data, command_parser, one_line_errors
from benchmarks.crops import middle
from srmd.base.errors import InputError
from srmd.base.files import check_is_file
from srmd.cli import main
from srmd.cli.values import existing
from srmd.kernel.families import KERNEL_SIZE, WIDE_KERNEL_SIZE
from srmd.kernel.specs import parse_kernels
from srmd.packs.training_data import open_training_data
from srmd.weights.files import Weights, read_weights, write_weights
from srmd.weights.shipped import network_name

ROOT = Path(__file__).parents[1]
KERNELS = ("delta", "gaussian:1.3", "gaussian:2.6", "gaussian:2.6,1.0,30")
NOISE_LEVELS = (0, 15, 50)
WIDE_BLUR = {3: "gaussian:2.7", 4: "gaussian:3.6"}  # by scale: widths of nine tenths of it
JPEG_KERNELS, JPEG_QUALITIES = KERNELS[:2], (30, 75)  # without noise, for networks that are told of JPEG
MEASURED = "scores", "held_out_psnr_y"  # metadata that hold for the measured weights only
SCORE_KEYS = ("psnr_y", "ssim_y", "bicubic_psnr_y", "bicubic_ssim_y")
TRAINING_KEYS = (
    *("train_data", "weights", "downsampler", "steps"),
    *("batch_size", "patch_size", "lr", "loss"),
)
HELD_OUT_SIDE = 256  # HR pixels, of the middle of a held-out picture that is scored


class Setting(NamedTuple):
    """A degradation to score with."""

    kernel: str
    noise_level: int
    quality: int | None = None  # of JPEG; None: not compressed
    window: int = KERNEL_SIZE  # side of a Gaussian kernel, HR pixels

    def flags(self, folder: Path) -> list[str]:
        """The flags that apply it to HR pictures; the kernel is written into the folder.

        The kernel does not depend on the network's window, so that networks with different ones are compared.
        """
        kernel = folder / "kernel.npy"
        np.save(kernel, parse_kernels(self.kernel, self.window)[0])
        flags = [f"--kernel={kernel}", f"--noise_level={self.noise_level}"]
        return flags if self.quality is None else [*flags, f"--jpeg={self.quality}"]

    def __str__(self) -> str:
        jpeg = "" if self.quality is None else f", JPEG {self.quality}"
        return f"{self.kernel}, noise {self.noise_level}{jpeg}"


def test(weights: Path, data: Path, setting: Setting) -> dict[str, float]:
    """The mean scores of a test, in fp32."""
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"--weights={weights}", f"--test_data={data}", *setting.flags(Path(folder))]
        flags += ["--precision=fp32", f"--output={folder}", "--visdom=off"]
        main.main(["--mode=test", *flags])
        metrics = Path(folder, "metrics.json")
        if not metrics.exists():  # it is written even if broken pictures were left out
            raise SystemExit(1)
        return json.loads(metrics.read_text())["mean"]


def held_out_score(weights: Path, train_data: str | None, conditions: tuple[str, ...]) -> float:
    """Mean PSNR of Y in dB over the middles of the held-out pictures and all degradations."""
    _, pictures = open_training_data(train_data and Path(train_data)).split()
    with tempfile.TemporaryDirectory() as folder:
        for index in range(len(pictures)):
            part = middle(pictures.picture(index), HELD_OUT_SIDE)
            Image.fromarray(part).save(Path(folder, f"{index}.png"))
        settings = held_out_settings(conditions, read_weights(weights).network.config.scale)
        return statistics.mean(test(weights, Path(folder), setting)["psnr_y"] for setting in settings)


def settings_for(conditions: tuple[str, ...]) -> list[Setting]:
    """The degradations to score with, of which a network is told. The first is without blur and noise."""
    settings = list(itertools.starmap(Setting, itertools.product(KERNELS, noise_levels(conditions))))
    if "jpeg" in conditions:
        settings += itertools.starmap(Setting, itertools.product(JPEG_KERNELS, [0], JPEG_QUALITIES))
    return settings


def held_out_settings(conditions: tuple[str, ...], scale: int) -> list[Setting]:
    """The degradations that decide whether a network is shipped: at x3 and x4 also wide blur, which needs 21×21."""
    settings = settings_for(conditions)
    if scale in WIDE_BLUR:
        levels = noise_levels(conditions)
        settings += [Setting(WIDE_BLUR[scale], level, window=WIDE_KERNEL_SIZE) for level in levels]
    return settings


def noise_levels(conditions: tuple[str, ...]) -> tuple[int, ...]:
    """The noise levels to score with."""
    return NOISE_LEVELS if "noise" in conditions else (0,)


def scores(weights: Path, folders: list[Path], conditions: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Mean PSNR and SSIM of Y by pictures and degradation.

    The pictures of the first folder are scored with all degradations, the others without blur and noise.
    """
    settings = settings_for(conditions)
    all_scores = {}
    for data in folders:
        for setting in settings if data == folders[0] else settings[:1]:
            mean = test(weights, data, setting)
            all_scores[f"{data.name}, {setting}"] = {
                key: None if mean[key] is None else round(mean[key], 4) for key in SCORE_KEYS
            }
    return all_scores


def write_changed(output: Path, weights: Weights, changes: dict, folders: list[Path]) -> None:
    """Writes a network that was changed after its training, in float16, and adds `changes` to its metadata.

    Its scores are measured anew on HR pictures in `folders`; without folders it has none.
    """
    metadata = {key: value for key, value in weights.metadata.items() if key not in MEASURED} | changes
    write_weights(output, replace(weights, metadata=metadata), torch.float16)
    if folders:
        metadata["scores"] = scores(output, folders, weights.network.config.conditions)
        write_weights(output, replace(weights, metadata=metadata), torch.float16)


def history(training: dict) -> list[dict]:
    """The earlier trainings of a network: those of the weights that it started from, the oldest first."""
    if not training["weights"]:
        return []
    source = read_weights(Path(training["weights"])).metadata
    trainings = source.get("history", [])
    return [*trainings, source["training"]] if "training" in source else trainings


def with_trainings(metadata: dict, training: dict, conditions: tuple[str, ...]) -> dict:
    """The metadata that a run has written, with the settings of the run and of the trainings before it."""
    training = training | {"conditions": conditions}
    return metadata | {"training": training, "history": history(training), "license": "MIT"}


def read_training(path: Path) -> dict:
    """The settings of a run in its config.json that are kept; raises InputError for any other file."""
    check_is_file(path)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return {key: config[key] for key in TRAINING_KEYS}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a run's configuration, found {error!r}") from error


def ship(run: Path, folders: list[Path]) -> None:
    """Writes weights/NAME.safetensors from a run, if it is better than the network that is there."""
    weights = read_weights(run / "last.safetensors")
    config = weights.network.config
    output = ROOT / "weights" / f"{network_name(config.conditions, config.scale)}.safetensors"
    training = read_training(run / "config.json")
    metadata = with_trainings(weights.metadata, training, config.conditions)
    candidate = run / "float16.safetensors"
    write_weights(candidate, replace(weights, metadata=metadata), torch.float16)
    held_out = held_out_score(candidate, training["train_data"], config.conditions)
    print(f"{run}: {held_out:.2f} dB on the held-out pictures")
    if output.exists():
        shipped = held_out_score(output, training["train_data"], config.conditions)
        if shipped >= held_out:
            print(f"{output.relative_to(ROOT)} is not replaced: it has {shipped:.2f} dB")
            return
    metadata["held_out_psnr_y"] = round(held_out, 4)
    metadata["scores"] = scores(candidate, folders, config.conditions)
    write_weights(output, replace(weights, metadata=metadata), torch.float16)
    print(f"{output.relative_to(ROOT)} is written")


if __name__ == "__main__":
    parser = command_parser(__doc__)
    parser.add_argument("run", type=existing, help="folder of the run")
    add_test_data(parser, "folders")
    options = parser.parse_args()
    with one_line_errors():
        ship(options.run, options.folders)
