"""Train for two minutes, test, and say where to look: what `make demo` runs."""

import json
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import main
import visdom_server

TRAINING = ["--mode=train", "--scale_factor=2", "--noise_free", "--steps=600", "--batch_size=8", "--patch_size=32"]
KERNEL = Path("kernels") / "isotropic_1.3.mat"
LEAST_GAIN = 1.0  # dB over bicubic upscaling


def demo() -> int:
    """The exit code: 0 where the network that was just trained beats bicubic upscaling."""
    name = f"demo_{datetime.now():%Y%m%d-%H%M%S}"
    run, result = Path("runs") / name, Path("results") / name
    server = visdom_server.start(visdom_server.PORT)  # for both modes, and until Ctrl-C
    try:
        code = main.main([*TRAINING, f"--output={run}"])
        if code == 0:
            code = main.main(
                ["--mode=test", f"--weights={run}/last.safetensors", f"--kernel={KERNEL}", f"--output={result}"]
            )
        if code != 0:
            return code
        if gain(result) < LEAST_GAIN:
            print(f"expected at least {LEAST_GAIN} dB over bicubic, found {gain(result):.2f}", file=sys.stderr)
            return 1
        say_where_to_look(run, result)
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
    mean = json.loads((result / "metrics.json").read_text())["mean"]
    return mean["psnr_y"] - mean["bicubic_psnr_y"]


def say_where_to_look(run: Path, result: Path) -> None:
    """The table was just printed; where the pictures, the curve and the dashboard are."""
    print(f"\nThe network beats bicubic upscaling by {gain(result):.2f} dB on photos that it has not seen.")
    print(f"  LR | bicubic | SR | HR   {result}/compare/")
    print(f"  loss curve               {run}/loss.png")
    if visdom_server.is_running(visdom_server.PORT):
        print(f"  dashboard                http://localhost:{visdom_server.PORT}/env/srmd_{run.name}")


if __name__ == "__main__":
    main.end_on_sigterm()
    sys.exit(demo())
