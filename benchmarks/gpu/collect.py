"""Makes a run folder for each network of a run, such as runs/gpu/srmd_x2/, and ships the networks that are better.

    python -m benchmarks.gpu.collect runs/gpu Set5 Set14    # folder of the run, folders of HR pictures to score

`benchmarks/ship.py` scores each network on the held-out pictures and, if it is better, writes it to weights/.
"""

import json
import sys
from pathlib import Path

from benchmarks.gpu.state import read_ema
from benchmarks.ship import ship
from srmd.base.files import atomic_write, make_folder
from srmd.weights.files import write_weights


def collect(folder: Path) -> list[Path]:
    """Write last.safetensors and config.json of each network of a run; return the run folders."""
    runs = []
    for path in sorted(folder.glob("*.safetensors")):
        weights, config = read_ema(path)
        run = folder / path.stem
        make_folder(run)
        write_weights(run / "last.safetensors", weights)
        with atomic_write(run / "config.json") as temporary:
            temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        runs.append(run)
    return runs


if __name__ == "__main__":
    for run in collect(Path(sys.argv[1])):
        ship(run, [Path(folder) for folder in sys.argv[2:]])
