"""Kills processes, fills disks, stops servers, moves clocks and watches memory; an hour of real commands.

    python -m torture.run                           # all parts (`make torture`)
    python -m torture.run --only=kills,disk         # some of them

Each part prints one line: what was measured, or the first fault. The exit code is 1 if a part has failed.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np

from picture_files import save_smooth_picture
from torture.clock import clock
from torture.disk import disk, every_write
from torture.faults import changed_pack, not_finite, stopped_server
from torture.kills import kills, restoring
from torture.memory import memory, pictures

Part = Callable[[argparse.Namespace], str]
PARTS: dict[str, Part] = {
    "kills": lambda values: kills(values.kills),
    "restoring": lambda values: restoring(values.kills // 3),
    "disk": lambda _: disk(),
    "every_write": lambda _: every_write(),
    "pack": lambda _: changed_pack(),
    "server": lambda _: stopped_server(),
    "clock": lambda _: clock(),
    "not_finite": lambda _: not_finite(),
    "pictures": lambda values: pictures(values.pictures),
    "memory": lambda values: memory(values.minutes),
}


def run_part(name: str, values: argparse.Namespace) -> bool:
    """Runs a part in a temporary folder and prints its line; whether it has passed."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path("pictures").mkdir()
        rng = np.random.default_rng(0)
        for picture in "abc":
            save_smooth_picture(f"pictures/{picture}.png", rng, (84, 72))
        try:
            line, passed = PARTS[name](values), True
        except (AssertionError, OSError) as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            line, passed = f"FAILED in {Path(where.filename).name}:{where.lineno} ({error!s:.2000})", False
    print(f"{name}: {line} [{time.monotonic() - begin:.0f} s]", flush=True)
    return passed


def main() -> int:
    """Runs the parts that the command line names; the exit code is 1 if one has failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), metavar="PART,PART,…")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--minutes", type=int, default=20, help="of the part memory")
    values = parser.parse_args()
    if unknown := set(values.only) - PARTS.keys():
        parser.error(f"--only: expected {', '.join(PARTS)}, found {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unmounts the small disk
    os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, os.environ["PYTHONPATH"].split(os.pathsep)))
    failed = [name for name in values.only if not run_part(name, values)]
    print(f"failed: {', '.join(failed)}" if failed else f"{len(values.only)} parts passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
