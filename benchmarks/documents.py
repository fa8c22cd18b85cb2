"""Runs the scripts that make pictures, tables and plots of the documents (`make documents`).

    make documents                     # the steps that need no pictures but the built-in ones
    make documents DATA=folder         # also those that need Set5, Set14, B100 or Classic5, which are folders in it
    python -m benchmarks.documents --list                       # the steps, what they write, and what is missing
    python -m benchmarks.documents --only scores sensitivity    # some of them

A step that lacks something is skipped, with the reason. A step that fails is named at the end, and the others still
run; the exit code is then 1. What a step prints is in results/documents/.

Not made here: docs/speed.md, img/scaling.png and other times and amounts of memory, which belong to a machine
(`make bench`); docs/reproduction.md, on the published networks (`make reproduce`); what a person judged or compared, as
in docs/comparison.md and benchmarks/recipe.md. Sentences that quote a figure are not changed: check them by hand.
"""

import glob
import importlib.util
import itertools
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.browser import CHROMIUM
from benchmarks.commands import command_parser
from srmd.cli.values import existing

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "results" / "documents"


@dataclass(frozen=True)
class Step:
    """A script that writes parts of the documents.

    Spaces separate several words. Paths are relative to the repository and may contain `*`. The first part of a path
    in the folder of --data is DATA.
    """

    name: str
    command: str  # module and arguments
    writes: str  # paths
    time: str  # on one processor core, roughly
    needs: str = ""  # paths and Python packages


BROWSER = f"playwright {CHROMIUM}"
HALVES = "DATA/B100/101085.* DATA/B100/108070.* DATA/B100/302008.*"
LIMITS = "DATA/Set5/butterfly.* DATA/Set5/woman.*"
SCORES = "README.md docs/results.md docs/weights.md docs/models/ weights/README.md"
SETS = "DATA/Set5 DATA/Set14"
ALL = f"{SETS} DATA/B100"
JPEG_X1, JPEG_X2, JPEG_X3, JPEG_X4 = (f"benchmarks.jpeg weights/srmdj_x{scale}.safetensors" for scale in (1, 2, 3, 4))
JPEG_SCORES = "benchmarks/jpeg_scores.csv"  # what was measured with the shipped weights is not measured again
STEPS = (
    Step("flags", "docs.generate", "docs/flags.md docs/architecture.md", "1 s"),
    Step("scores", "benchmarks.card", SCORES, "5 s"),
    Step("results", "benchmarks.figures", "img/results.png", "10 s"),
    Step("variant", "benchmarks.variant", "img/variant.webp", "10 s"),
    Step("blind", "benchmarks.blind_picture", "img/blind.png", "10 s"),
    Step("jpeg", "benchmarks.jpeg_picture", "img/jpeg.webp", "10 s"),
    Step(
        "sensitivity",
        "benchmarks.sensitivity --page=docs/degradations.md",
        "img/sensitivity.png docs/degradations.md",
        "40 s",
    ),
    Step("estimates", "benchmarks.blind_jpeg --page=docs/blind.md", "docs/blind.md", "15 s"),
    Step(
        "loss", "benchmarks.figures runs/weights/srmd_x4", "img/loss.png", "5 s", "runs/weights/srmd_x4/metrics.jsonl"
    ),
    Step("panel", "benchmarks.screenshots panel", "img/panel.png", "30 s", f"gradio {BROWSER}"),
    Step("dashboard", "benchmarks.screenshots dashboard", "img/dashboard.png", "3 min", f"visdom {BROWSER}"),
    Step("halves", f"benchmarks.blind_halves {HALVES} --page=docs/blind.md", "docs/blind.md", "1 min", HALVES),
    Step("limits", f"benchmarks.blind_limits {LIMITS} --page=docs/blind.md", "docs/blind.md", "1 min", LIMITS),
    Step(
        "blind_scores",
        "benchmarks.blind DATA --report --page=docs/blind_scores.md",
        "docs/blind_scores.md",
        "10 s",
        f"{ALL} results/blind/*.jsonl",
    ),
    Step("motion", "benchmarks.motion --page=docs/training.md", "img/motion.png docs/training.md", "25 min"),
    Step("jpeg_x1", f"{JPEG_X1} DATA/Classic5 --grey", JPEG_SCORES, "1 min", "DATA/Classic5"),
    Step("jpeg_x2", f"{JPEG_X2} {ALL}", JPEG_SCORES, "80 min", ALL),
    Step("jpeg_curve", f"{JPEG_X2} DATA/Set5 --curve", JPEG_SCORES, "5 min", "DATA/Set5"),
    Step("jpeg_x3", f"{JPEG_X3} DATA/Set5", JPEG_SCORES, "5 min", "DATA/Set5"),
    Step("jpeg_x4", f"{JPEG_X4} {ALL}", JPEG_SCORES, "40 min", ALL),
    Step("jpeg_page", "benchmarks.jpeg --report", "docs/jpeg.md img/jpeg_quality.png", "5 s", JPEG_SCORES),
    Step("formats", "benchmarks.other_formats DATA/Set5 --page=docs/jpeg.md", "docs/jpeg.md", "5 min", "DATA/Set5"),
)


def is_in_data(word: str) -> bool:
    """Whether a word of a step is a path in the folder of --data."""
    return word.split("/")[0] == "DATA"


def paths(pattern: str, data: Path | None) -> list[str]:
    """The paths that exist for a pattern of a step."""
    if data is not None and is_in_data(pattern):
        pattern = glob.escape(str(data)) + pattern.removeprefix("DATA")
    return sorted(glob.glob(pattern, root_dir=ROOT))


def lacking(step: Step, data: Path | None) -> str | None:
    """The reason why a step cannot run; None if it can."""
    for need in step.needs.split():
        if is_in_data(need) and data is None:
            return "needs pictures: --data=FOLDER, or DATA=folder for make"
        if "/" not in need and importlib.util.find_spec(need) is None:
            return f"the Python package {need} is not installed"
        if "/" in need and not paths(need, data):
            return f"there is no {need}"
    return None


def run(step: Step, data: Path | None) -> bool:
    """Runs a step, and prints a line with its seconds; returns whether it succeeded."""
    print(f"{step.name:13}", end="", flush=True)
    if reason := lacking(step, data):
        print(f"skipped: {reason}")
        return True
    words = [paths(word, data) if is_in_data(word) else [word] for word in step.command.split()]
    command = [sys.executable, "-m", *itertools.chain(*words)]
    LOGS.mkdir(parents=True, exist_ok=True)
    log, start = LOGS / f"{step.name}.log", time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT).returncode
    seconds = f"{time.monotonic() - start:6.1f} s  "
    if code == 0:
        print(f"{seconds}{step.writes}")
        return True
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    print(f"{seconds}failed with exit code {code}: {last}")
    return False


def list_steps(steps: list[Step], data: Path | None) -> None:
    """Prints a line for each step."""
    for step in steps:
        reason = lacking(step, data)
        print(f"{step.name:13}{step.time:>8}  {step.writes}{f'  (skipped: {reason})' if reason else ''}")


def main(arguments: list[str]) -> int:
    """Runs the steps; returns the exit code."""
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=existing, metavar="FOLDER", help="contains Set5, Set14, B100 and Classic5")
    names = [step.name for step in STEPS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help="steps to run (default: all)")
    parser.add_argument("--list", action="store_true", help="run nothing: list the steps")
    options = parser.parse_args(arguments)
    steps = [step for step in STEPS if step.name in (options.only or names)]
    data = options.data and options.data.resolve()
    if options.list:
        list_steps(steps, data)
        return 0
    failed = [step.name for step in steps if not run(step, data)]
    if failed:
        print(f"failed: {', '.join(failed)}; {LOGS.relative_to(ROOT)}/ has what they printed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
