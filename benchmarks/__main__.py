"""Runs all benchmarks of speed, memory and start-up, and prints all their ratios again at the end (`make bench`).

python -m benchmarks    # under 30 minutes, on a machine that does nothing else meanwhile
"""

import subprocess
import sys

from benchmarks.commands import command_parser

BENCHMARKS = ("training", "engines", "scaling", "memory", "startup")


def run(benchmark: str) -> list[str]:
    """Runs a benchmark in another process and prints its output; returns its `ratio` lines."""
    print(f"\n== {benchmark}\n", flush=True)
    ratios = []
    command = [sys.executable, "-m", f"benchmarks.{benchmark}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith("ratio "):
                ratios.append(line)
    if process.returncode:
        raise SystemExit(process.returncode)
    return ratios


if __name__ == "__main__":
    command_parser(__doc__, "python -m benchmarks").parse_args()
    lines = [line for benchmark in BENCHMARKS for line in run(benchmark)]
    print("\n== all ratios; above 1: faster than the compared program, or better than the target\n")
    print("".join(lines), end="")
