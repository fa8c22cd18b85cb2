"""Restore photos with the shipped network, train one for minutes, test it: what `make demo` runs."""

import json
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from srmd.cli import main
from srmd.show import visdom_server

RESTORING = ["--mode=test", f"--kernel={Path('kernels') / 'isotropic_1.3.mat'}"]
TRAINING = ["--mode=train", "--scale_factor=2", "--noise_free", "--steps=600", "--batch_size=8", "--patch_size=32"]
MIN_GAIN = 1.0  # dB over bicubic upscaling


def demo() -> int:
    """The exit code: 0 where the network that was just trained beats bicubic upscaling."""
    name = f"demo_{datetime.now():%Y%m%d-%H%M%S}"
    run, result, shipped = Path("runs") / name, Path("results") / name, Path("results") / f"{name}_shipped"
    server = visdom_server.start(visdom_server.PORT)  # for both modes, and until Ctrl-C
    try:
        print("1. Photos that were blurred and made small, restored with the shipped network\n")
        code = main.main([*RESTORING, f"--output={shipped}"])
        if code == 0:
            print("\n2. A network of your own: two to six minutes of training\n")
            code = main.main([*TRAINING, f"--output={run}"])
        if code == 0:
            print("\n3. The same photos with that network\n")
            code = main.main([*RESTORING, f"--weights={run}/last.safetensors", f"--output={result}"])
        if code != 0:
            return code
        for folder in (shipped, result):
            if gain(folder) < MIN_GAIN:
                found = f"{gain(folder):.2f} in {folder}"
                print(f"expected at least {MIN_GAIN} dB over bicubic, found {found}", file=sys.stderr)
                return 1
        say_where_to_look(run, result, shipped)
        if server and sys.stdin.isatty():
            print("The dashboard stays up until Ctrl-C.")
            with suppress(KeyboardInterrupt):
                server.wait()
        return 0
    finally:
        if server:
            visdom_server.stop(server)


def gain(result: Path) -> float:
    """dB of Y over bicubic upscaling, the mean over the pictures of a test."""
    mean = json.loads((result / "metrics.json").read_text(encoding="utf-8"))["mean"]
    return mean["psnr_y"] - mean["bicubic_psnr_y"]


def say_where_to_look(run: Path, result: Path, shipped: Path) -> None:
    """The tables were just printed; where the pictures, the curve and the dashboard are."""
    gains = f"{gain(shipped):.2f} dB, the new one by {gain(result):.2f} dB"
    print(f"\nThe shipped network beats bicubic upscaling by {gains}, on photos that neither has seen.")
    print(f"  LR | bicubic | SR | HR   {shipped}/compare/ and {result}/compare/")
    print(f"  loss curve               {run}/loss.png")
    if visdom_server.is_running(visdom_server.PORT):
        print(f"  dashboard                http://localhost:{visdom_server.PORT}/env/srmd_{run.name}")


if __name__ == "__main__":
    main.end_on_signals()
    sys.exit(demo())
