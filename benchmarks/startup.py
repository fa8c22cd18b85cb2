"""What a command takes besides importing torch and the network's own time.

    python -m benchmarks.startup

Restores a picture of 256×256 three times, and prints the best. The network's own time is that of the same picture in a
process that has restored one already.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from srmd.pictures.photos import builtin_test_pictures

ROOT = Path(__file__).parents[1]
TIMES = 3
MAX_SECONDS = 1.5  # that everything else may take


def seconds(work: Callable[[], object]) -> float:
    """What it takes, the best of three."""
    times = []
    for _ in range(TIMES):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def python(*arguments: str) -> None:
    """Runs a Python of its own."""
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def networks_own(weights: Path) -> float:
    """The time of the network alone."""
    import torch

    from srmd.restore.restorer import open_restorer
    from srmd.weights.files import read_weights

    restorer = open_restorer(read_weights(weights))
    lr, degradation_map = torch.rand(1, 3, 256, 256), torch.zeros(1, restorer.config.map_channels, 256, 256)
    restorer.run(lr, degradation_map)
    return seconds(lambda: restorer.run(lr, degradation_map))


if __name__ == "__main__":
    from srmd.cli.requests import parse

    with tempfile.TemporaryDirectory() as folder:
        picture = f"{folder}/picture.png"
        Image.fromarray(builtin_test_pictures()["astronaut"][:256, :256]).save(picture)
        flags = ["--mode=test", "--input", picture, "--kernel=delta", "--visdom=off", f"--output={folder}/result"]
        command = seconds(lambda: python(str(ROOT / "main.py"), *flags))
        torch_import = seconds(lambda: python("-c", "import torch"))
        network = networks_own(parse(flags).weights)
    print(f"command {command:.2f} s, import torch {torch_import:.2f} s, network {network:.2f} s")
    rest = command - torch_import - network
    print(f"everything else {rest:.2f} s")
    print(f"ratio start_within_{MAX_SECONDS}_s {MAX_SECONDS / rest:.2f}")
