"""Makes anew what the documents show of the shipped networks: pictures, cards, tables and plots.

    make documents                                    # all that needs no other pictures; about an hour on two cores
    make documents DATA=folder                        # also the tables of Set5, Set14, … in it; takes hours
    python -m benchmarks.documents --only scores sensitivity

Each step is a command of its own. One that fails is named at the end, and the others still run. The figures in
docs/speed.md belong to a machine and the screenshots to a browser: they are not made here.
"""

import argparse
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.plans import ROOT, shipped
from srmd.cli.values import existing

BLIND = Path("results") / "blind"  # where the scores of blind restoring are kept, so that a stopped step continues
JPEG_TABLES = {  # the tables in docs/jpeg.md: pictures by network
    "srmdj_x1": ("Classic5",),
    "srmdj_x2": ("Set5", "Set14"),
    "srmdj_x3": ("Set5",),
    "srmdj_x4": ("Set5", "Set14", "B100"),
}
JPEG_REPORT = ("benchmarks.jpeg", "--report")  # from the stored scores


@dataclass(frozen=True)
class Step:
    """A part of the documents."""

    name: str
    writes: str
    commands: tuple[tuple[str, ...], ...]  # a module and its arguments


STEPS = (
    Step("flags", "docs/flags.md, docs/architecture.md", (("docs.generate",),)),
    Step("scores", "README.md, docs/results.md, docs/weights.md, docs/models/", (("benchmarks.card",),)),
    Step("sensitivity", "img/sensitivity.png", (("benchmarks.sensitivity",),)),
    Step("variant", "img/variant.webp", (("benchmarks.variant",),)),
    Step("blind", "img/blind.png", (("benchmarks.blind_picture",),)),
    Step("jpeg", "img/jpeg.webp", (("benchmarks.jpeg_picture",),)),
    Step("jpeg_scores", "docs/jpeg.md, img/jpeg_quality.png", (JPEG_REPORT,)),
    Step("results", "img/results.png", (("srmd.cli.demo",), ("benchmarks.figures",))),
    Step("motion", "img/motion.png, docs/training.md", (("benchmarks.motion",),)),
)


def data_steps(data: Path) -> list[Step]:
    """The steps that score pictures; `data` holds the folders Set5, Set14, B100 and Classic5."""
    steps = []
    for network, names in JPEG_TABLES.items():
        arguments = [str(shipped(network)), *(str(data / name) for name in names)]
        if network == "srmdj_x1":
            arguments.append("--grey")
        steps.append(Step(f"{network}_scores", "docs/jpeg.md", (("benchmarks.jpeg", *arguments), JPEG_REPORT)))
    curve = ("benchmarks.jpeg", str(shipped("srmdj_x2")), str(data / "Set5"), "--curve")
    steps.append(Step("jpeg_curve", "img/jpeg_quality.png", (curve, JPEG_REPORT)))
    blind = ("benchmarks.blind", str(data), f"--output={BLIND}")
    return [*steps, Step("blind_scores", "docs/blind_scores.md", (blind,))]


def run(step: Step) -> bool:
    """Runs a step's commands; returns whether all of them succeeded."""
    print(f"{step.name}: {step.writes}", flush=True)
    start = time.monotonic()
    for module, *arguments in step.commands:
        if subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT).returncode != 0:
            return False
    if step.name == "blind_scores":
        shutil.copyfile(ROOT / BLIND / "blind_scores.md", ROOT / "docs" / "blind_scores.md")
    print(f"{step.name}: done in {time.monotonic() - start:.0f} s", flush=True)
    return True


def main() -> int:
    """Runs the steps; returns 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=existing, help="folder with the folders Set5, Set14, B100 and Classic5")
    parser.add_argument("--only", nargs="+", metavar="STEP", help="names of steps (default: all)")
    options = parser.parse_args()
    steps = [*STEPS, *(data_steps(options.data.resolve()) if options.data else [])]
    names = [step.name for step in steps]
    for name in options.only or ():
        if name not in names:
            parser.error(f"--only: expected some of {', '.join(names)}; found {name}")
    chosen = steps if options.only is None else [step for step in steps if step.name in options.only]
    failed = [step.name for step in chosen if not run(step)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
