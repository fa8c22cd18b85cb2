"""Moves the clock of the day back and forth while a run trains."""

import math
from pathlib import Path

from small_runs import read_rows
from torture.commands import RESTORE, check_equal_runs, run, train
from torture.shim import shim_environment

MAX_IMAGES_PER_S = 1e5


def clock() -> str:
    """Trains, saves and restores while the clock jumps by up to 30 years: equal results and sensible figures."""
    environment = shim_environment(TORTURE_CLOCK="1")
    flags = ("--train_data=pictures", "--steps=40", "--save_every=10")
    for folder, options in (("steady", {}), ("jumping", {"env": environment})):
        code, error = run(*train(folder, *flags), **options)
        assert code == 0, error
    check_equal_runs(Path("steady"), Path("jumping"))
    speeds = [row["images_per_s"] for row in read_rows("jumping")]
    assert all(math.isfinite(speed) and 0 < speed < MAX_IMAGES_PER_S for speed in speeds), speeds
    for output, options in (("a", {}), ("b", {"env": environment})):
        code, error = run("pictures", *RESTORE, f"--output={output}", **options)
        assert code == 0, error
    pictures = [{path.name: path.read_bytes() for path in Path(name).glob("*.png")} for name in ("a", "b")]
    assert pictures[0] == pictures[1]
    return "the clock of the day jumped by up to 30 years (preloaded shim): runs and results are equal in bits"
