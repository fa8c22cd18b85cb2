"""Where the time of training steps goes, and the table that shows it."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

FORWARD_BACKWARD = "forward, backward"
OPTIMIZER = "optimizer, EMA"
BATCH = "batch"
PARTS = (FORWARD_BACKWARD, OPTIMIZER, BATCH)


class PartTimes:
    """Times the parts of steps. On a CUDA GPU, events in the stream are the clock, so that no part waits for another.

    The batches are made in another stream than the rest, at the same time.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._events: list[tuple[tuple, torch.cuda.Event, torch.cuda.Event]] = []
        self._seconds: dict[tuple, float] = defaultdict(float)
        self._waited = 0.0

    @contextmanager
    def measure(self, *key: str) -> Iterator[None]:
        """Add the time of the `with` block to that of `key`: the part's name, and the network's if it has one."""
        if self._device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            yield
            end.record()
            self._events.append((key, start, end))
        else:
            start = time.perf_counter()
            yield
            self._seconds[key] += time.perf_counter() - start

    def wait(self, event: torch.cuda.Event) -> None:
        """Let the CPU wait for an event of the GPU."""
        start = time.perf_counter()
        event.synchronize()
        self._waited += time.perf_counter() - start

    def take_waited(self) -> float:
        """Return the seconds that the CPU waited since the last call. Near 0, the CPU is what limits the speed."""
        waited, self._waited = self._waited, 0.0
        return waited

    def take(self) -> dict[tuple, float]:
        """Return the seconds of each key since the last call. Waits for the device."""
        if self._events:
            torch.cuda.synchronize(self._device)
        for key, start, end in self._events:
            self._seconds[key] += start.elapsed_time(end) / 1000
        seconds, self._seconds, self._events = self._seconds, defaultdict(float), []
        return seconds


def table(rows: list[dict], matrix_rate: float) -> str:
    """Return a table with a line for each network, and one for all of them together.

    `rows` are rows of metrics.jsonl, `matrix_rate` is that of a large matrix product in operations per second. A time
    is the mean of a step in milliseconds; "of peak" is the rate of operations divided by `matrix_rate`, in a network's
    line while it computes, in the last line over the whole time.
    """
    lines = [
        ("network", "steps", "patches/s", *(f"{part} [ms]" for part in PARTS), "of peak", "loss", "PSNR of Y [dB]")
    ]
    for row in rows:
        times = [f"{row[f'{part} [ms]']:.2f}" for part in PARTS]
        scores = f"{row['loss']:.5f}", f"{row['psnr_y']:.3f} ({row['psnr_y_gain']:+.3f})"
        rate = f"{row['operations_per_s_computing'] / matrix_rate:.1%}"
        lines.append((row["network"], str(row["step"]), f"{row['patches_per_s']:.0f}", *times, rate, *scores))
    sums = [f"{sum(row[f'{part} [ms]'] for row in rows):.2f}" for part in PARTS]
    patches, operations = (sum(row[name] for row in rows) for name in ("patches_per_s", "operations_per_s"))
    lines.append(("all", "", f"{patches:.0f}", *sums, f"{operations / matrix_rate:.1%}", "", ""))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
