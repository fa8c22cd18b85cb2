"""Watches the memory of a long training and of restoring many pictures."""

import os
import signal
import time
from pathlib import Path

import numpy as np
from PIL import Image

from srmd.weights.checkpoint import load_checkpoint
from torture.commands import RESTORE, resident, start, train, wait_until

MAX_SLOPE = 30.0  # MB per hour of a long training
SAMPLE_SECONDS = 2
MAX_GROWTH = 60  # MB of memory from the first tenth of the pictures to the last


def memory(minutes: int) -> str:
    """Measures the slope of a long training's memory after its first three saves, for which modules are imported."""
    flags = ("--train_data=pictures", "--steps=10000000", "--save_every=100")
    process = start(*train("long", *flags))
    wait_until(lambda: len(list(Path("long").glob("checkpoint-*.pt"))) >= 3, process)
    samples, end = [], time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        time.sleep(SAMPLE_SECONDS)
        samples.append(resident(process.pid))
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate()
    assert process.returncode == 143, error
    steps = max(load_checkpoint(path).step for path in Path("long").glob("checkpoint-*.pt"))
    slope = np.polyfit(np.arange(len(samples)), samples, 1)[0] * 3600 / SAMPLE_SECONDS
    measured = f"{steps} steps, {minutes} min: {samples[0]:.0f} to {samples[-1]:.0f} MB, slope {slope:.1f} MB per hour"
    assert slope < MAX_SLOPE, measured
    return measured


def pictures(count: int) -> str:
    """Restores many pictures and compares the memory of the first with that of the last ones."""
    Path("many").mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(f"many/{number}.png")
    process, early, late = start("many", *RESTORE, "--output=restored_many"), 0.0, 0.0
    while process.poll() is None:
        time.sleep(0.5)
        late = max(late, resident(process.pid))
        if _count_results(Path("restored_many")) <= count // 10:
            early = late
    _, error = process.communicate()
    assert process.returncode == 0, error
    assert _count_results(Path("restored_many")) == count
    assert late - early < MAX_GROWTH, f"{early:.0f} to {late:.0f} MB"
    return f"{count} pictures: {early:.0f} MB at most in the first tenth of them, {late:.0f} MB in all"


def _count_results(folder: Path) -> int:
    return sum(entry.name.endswith(".png") for entry in os.scandir(folder)) if folder.exists() else 0
