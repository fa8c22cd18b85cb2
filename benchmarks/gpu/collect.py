"""Makes a run folder for each network of a run, such as runs/gpu/srmd_x2/, and ships the networks that are better.

    python -m benchmarks.gpu.collect runs/gpu Set5 Set14    # folder of the run, folders of HR pictures to score

`benchmarks/ship.py` scores each network on the held-out pictures and, if it is better, writes it to weights/.
"""

import json
from pathlib import Path

from benchmarks.commands import add_test_data, command_parser, one_line_errors
from benchmarks.gpu.state import read_ema
from benchmarks.ship import ship
from srmd.base.errors import InputError
from srmd.base.files import atomic_write, make_folder
from srmd.cli.values import existing
from srmd.weights.files import write_weights


def collect(folder: Path) -> list[Path]:
    """Write last.safetensors and config.json of each network of a run; return the run folders.

    Raises InputError if the folder has no file of a network.
    """
    paths, runs = sorted(folder.glob("*.safetensors")), []
    if not paths:
        raise InputError(f"{folder}: expected the files NAME.safetensors of a run of benchmarks.gpu, found none")
    for path in paths:
        weights, config = read_ema(path)
        run = folder / path.stem
        make_folder(run)
        write_weights(run / "last.safetensors", weights)
        with atomic_write(run / "config.json") as temporary:
            temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        runs.append(run)
    return runs


if __name__ == "__main__":
    parser = command_parser(__doc__)
    parser.add_argument("run", type=existing, help="folder of the run")
    add_test_data(parser, "folders")
    options = parser.parse_args()
    with one_line_errors():
        for folder in collect(options.run):
            ship(folder, options.folders)
