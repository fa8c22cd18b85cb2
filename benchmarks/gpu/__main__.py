"""Trains several networks side by side on one GPU for some minutes; the same command again continues the run.

    python -m benchmarks.gpu --output=runs/gpu --minutes=9 --total_minutes=27 --train_data=pictures

benchmarks/gpu.md says how to bring the pictures to a machine without a network, and the results back.
"""

import argparse
import shlex
import sys
from pathlib import Path

from benchmarks.gpu.clock import STARTED  # noqa: F401 - before all others, so that the time of their import counts

# isort: split
from benchmarks.commands import add_train_data, command_parser, one_line_errors, positive
from benchmarks.gpu.run import run_job
from benchmarks.gpu.settings import BY_NAME, NETWORKS, Settings
from srmd.base.errors import Stopped
from srmd.cli.console import log_to_console
from srmd.cli.values import number, whole


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the values of the flags."""
    parser = command_parser(__doc__, "python -m benchmarks.gpu")
    add = parser.add_argument
    add("--output", type=Path, required=True, help="folder of the run, new or to continue")
    add("--minutes", type=positive, required=True, help="time of this job, from the start of the process")
    add("--total_minutes", type=positive, required=True, help="time of all jobs; then the learning rate is zero")
    add_train_data(parser)
    add("--networks", nargs="+", choices=sorted(BY_NAME), default=NETWORKS, help=f"default: {' '.join(NETWORKS)}")
    add("--batch_size", type=whole(1), default=128, help="patches per step of each network (default: %(default)s)")
    add("--patch_size", type=whole(1), default=48, help="side of a patch in LR pixels (default: %(default)s)")
    add("--lr", type=positive, default=1e-3, help="maximum learning rate (default: %(default)s)")
    add("--save_minutes", type=number(0), default=2, help="time between savings (default: %(default)s)")
    return parser.parse_args(arguments)


@one_line_errors()
def main(arguments: list[str]) -> int:
    """Run a job; return the exit code: 1 if a network diverged."""
    flags = parse(arguments)
    train_data = str(flags.train_data) if flags.train_data else None
    networks = tuple(flags.networks)
    sizes = flags.batch_size, flags.patch_size
    settings = Settings(networks, flags.total_minutes, train_data, *sizes, flags.lr)
    log_to_console()
    command = f"python -m benchmarks.gpu {shlex.join(arguments)}"
    try:
        finished, diverged = run_job(flags.output, settings, flags.minutes, flags.save_minutes, command)
    except Stopped as stopped:
        print("stopped and saved; the same command continues")
        return 128 + stopped.signal
    if diverged:
        print(f"diverged, files not replaced: {', '.join(diverged)}", file=sys.stderr)
    print("the run is finished" if finished else "this job is over; the same command continues")
    return 1 if diverged else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
