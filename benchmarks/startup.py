"""Measures what a command takes beside the import of torch and the network's computation.

    python -m benchmarks.startup    # a minute; prints the times and a `ratio NAME X.XX` line

The command restores a picture of 256×256. The network's computation is timed with the same picture in a process that
has restored it before. All times are the shortest of three. A ratio above 1 means less than the target in its name.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from benchmarks.commands import command_parser
from srmd.pictures.photos import builtin_test_pictures

ROOT = Path(__file__).parents[1]
ROUNDS = 3
SIDE = 256  # pixels
MAX_SECONDS = 1.5


def shortest_seconds(function: Callable[[], object]) -> float:
    """The shortest time of a call, of three."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def run_python(*arguments: str) -> None:
    """Runs Python in another process."""
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def network_seconds(weights: Path) -> float:
    """Seconds of the network's computation alone."""
    import torch

    from srmd.restore.restorer import open_restorer
    from srmd.weights.files import read_weights

    restorer = open_restorer(read_weights(weights))
    lr, degradation_map = torch.rand(1, 3, SIDE, SIDE), torch.zeros(1, restorer.config.map_channels, SIDE, SIDE)
    restorer.run(lr, degradation_map)
    return shortest_seconds(lambda: restorer.run(lr, degradation_map))


def main() -> None:
    """Prints the times and the ratio."""
    from srmd.cli.requests import parse

    with tempfile.TemporaryDirectory() as folder:
        picture = f"{folder}/picture.png"
        Image.fromarray(builtin_test_pictures()["astronaut"][:SIDE, :SIDE]).save(picture)
        flags = ["--mode=test", "--input", picture, "--kernel=delta", "--noise_level=0", "--visdom=off"]
        flags += [f"--output={folder}/result"]
        flags += ["--overwrite"]  # otherwise only the first run would restore the picture
        command = shortest_seconds(lambda: run_python(str(ROOT / "main.py"), *flags))
        torch_import = shortest_seconds(lambda: run_python("-c", "import torch"))
        network = network_seconds(parse(flags).weights)
    print(f"command {command:.2f} s, import torch {torch_import:.2f} s, network {network:.2f} s")
    rest = command - torch_import - network
    print(f"everything else {rest:.2f} s")
    print(f"ratio start_within_{MAX_SECONDS}_s {MAX_SECONDS / rest:.2f}")


if __name__ == "__main__":
    command_parser(__doc__).parse_args()
    main()
