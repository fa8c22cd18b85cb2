"""Ships a trained network: scores it, and writes it in float16 with its scores and its training in the metadata.

    python -m benchmarks.ship runs/srmdnf_x2 Set5    # the run, then folders of HR pictures to score on

The card's table is printed; bf16 is what a test uses by default where the processor has it.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

import main
from run_folder import RunFolder
from weights import read_weights, write_weights

ROOT = Path(__file__).parents[1]
KERNELS = ("delta", "gaussian:1.3", "gaussian:2.6", "gaussian:2.6,1.0,30")
NOISE_LEVELS = (0, 15, 50)


def test(weights: Path, data: Path, kernel: str, noise_level: int, precision: str) -> dict[str, float]:
    """The mean scores of one test."""
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"--weights={weights}", f"--test_data={data}", f"--kernel={kernel}", f"--noise_level={noise_level}"]
        flags += [f"--precision={precision}", f"--output={folder}", "--visdom=off"]
        if main.main(["--mode=test", *flags]) != 0:
            raise SystemExit(1)
        return json.loads(Path(folder, "metrics.json").read_text())["mean"]


def scores(weights: Path, folders: list[Path], noise_free: bool) -> dict[str, dict[str, float]]:
    """PSNR and SSIM of Y for each folder, kernel and noise level, in fp32 and, without noise, in bf16."""
    found = {}
    for data in folders:
        for kernel in KERNELS:
            for noise_level in NOISE_LEVELS[: 1 if noise_free else None]:
                for precision in ("fp32", "bf16")[: 1 if noise_level else None]:
                    mean = test(weights, data, kernel, noise_level, precision)
                    name = f"{data.name}, {kernel}, noise {noise_level}, {precision}"
                    keys = ("psnr_y", "ssim_y", "bicubic_psnr_y", "bicubic_ssim_y")
                    found[name] = {key: round(mean[key], 4) for key in keys}
    return found


def ship(run: Path, folders: list[Path]) -> None:
    """Writes weights/NAME.safetensors from a run."""
    weights = read_weights(run / "last.safetensors")
    config = weights.network.config
    output = ROOT / "weights" / f"{'srmdnf' if config.noise_free else 'srmd'}_x{config.scale}.safetensors"
    rows = [row for row in RunFolder(run).rows() if "psnr_y" in row]
    training = json.loads((run / "config.json").read_text())
    keys = ("train_data", "weights", "noise_free", "downsampler", "steps", "batch_size", "patch_size", "lr", "loss")
    metadata = weights.metadata | {
        "training": {key: training[key] for key in keys},
        "validation": {key: rows[-1][key] for key in ("psnr_y", "bicubic_psnr_y")},
    }
    write_weights(output, replace(weights, metadata=metadata), torch.float16)
    metadata["scores"] = scores(output, folders, config.noise_free)  # of the file as it is shipped
    write_weights(output, replace(weights, metadata=metadata), torch.float16)
    print(
        f"\n{output.relative_to(ROOT)}\n| pictures, kernel, noise, precision | bicubic | {output.stem} |\n|---|---|---|"
    )
    for name, s in metadata["scores"].items():
        bicubic = f"{s['bicubic_psnr_y']:.2f} / {s['bicubic_ssim_y']:.4f}"
        print(f"| {name} | {bicubic} | {s['psnr_y']:.2f} / {s['ssim_y']:.4f} |")


if __name__ == "__main__":
    ship(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]])
