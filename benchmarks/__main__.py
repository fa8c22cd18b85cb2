"""Everything that is measured of speed, and all its ratios once more at the end: what `make bench` runs.

python -m benchmarks    # under 30 minutes; the machine should be doing nothing else
"""

import subprocess
import sys

PARTS = ("training", "engines", "scaling", "memory", "startup")


def measure(part: str) -> list[str]:
    """Runs one script in a process of its own; the ratio lines among what it prints."""
    print(f"\n== {part}\n", flush=True)
    ratios = []
    with subprocess.Popen([sys.executable, "-m", f"benchmarks.{part}"], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith("ratio "):
                ratios.append(line)
    if process.returncode:
        raise SystemExit(process.returncode)
    return ratios


if __name__ == "__main__":
    lines = [line for part in PARTS for line in measure(part)]
    print("\n== all ratios; above 1: faster than the others, or within what was aimed at\n")
    print("".join(lines), end="")
