"""Restores photos with the shipped network, trains a network for a few minutes and tests it; `make demo` runs this."""

import json
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from srmd.cli import main
from srmd.show import visdom_server

TEST_FLAGS = ["--mode=test", f"--kernel={Path('kernels') / 'isotropic_1.3.mat'}"]
TRAIN_FLAGS = ["--mode=train", "--scale_factor=2", "--noise_free", "--steps=600", "--batch_size=8", "--patch_size=32"]
MIN_GAIN = 1.0  # dB over bicubic upscaling


def demo() -> int:
    """Runs the demo; returns the exit code, 0 if both networks beat bicubic upscaling by MIN_GAIN."""
    name = f"demo_{datetime.now():%Y%m%d-%H%M%S}"
    run, result, shipped_result = Path("runs") / name, Path("results") / name, Path("results") / f"{name}_shipped"
    server = visdom_server.start(visdom_server.PORT)  # one server for training and both tests
    try:
        print("1. Restoring blurred and downsampled photos with the shipped network\n")
        code = main.main([*TEST_FLAGS, f"--output={shipped_result}"])
        if code == 0:
            print("\n2. Training a new network, which takes two to six minutes\n")
            code = main.main([*TRAIN_FLAGS, f"--output={run}"])
        if code == 0:
            print("\n3. Restoring the same photos with the new network\n")
            code = main.main([*TEST_FLAGS, f"--weights={run}/last.safetensors", f"--output={result}"])
        if code != 0:
            return code
        for folder in (shipped_result, result):
            if gain(folder) < MIN_GAIN:
                found = f"{gain(folder):.2f} in {folder}"
                print(f"expected a gain of at least {MIN_GAIN} dB over bicubic, found {found}", file=sys.stderr)
                return 1
        print_result_paths(run, result, shipped_result)
        if server and sys.stdin.isatty():
            print("The dashboard stays open until you press Ctrl-C.")
            with suppress(KeyboardInterrupt):
                server.wait()
        return 0
    finally:
        if server:
            visdom_server.stop(server)


def gain(result: Path) -> float:
    """Mean gain in PSNR of Y over bicubic upscaling, in dB, of a test's pictures."""
    mean = json.loads((result / "metrics.json").read_text(encoding="utf-8"))["mean"]
    return mean["psnr_y"] - mean["bicubic_psnr_y"]


def print_result_paths(run: Path, result: Path, shipped_result: Path) -> None:
    """Prints both gains, and where the pictures, the loss curve and the dashboard are."""
    gains = f"{gain(shipped_result):.2f} dB, the new one by {gain(result):.2f} dB"
    print(f"\nThe shipped network beats bicubic upscaling by {gains}, on photos that neither was trained on.")
    print(f"  LR | bicubic | SR | HR   {shipped_result}/compare/ and {result}/compare/")
    print(f"  loss curve               {run}/loss.png")
    if visdom_server.is_running(visdom_server.PORT):
        print(f"  dashboard                http://localhost:{visdom_server.PORT}/env/srmd_{run.name}")


if __name__ == "__main__":
    main.end_on_signals()
    sys.exit(demo())
