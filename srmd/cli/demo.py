"""Restores photos, trains a network for a minute and writes a page of what came out; `make demo` runs this."""

import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from srmd.base.errors import InputError, Stopped
from srmd.base.signals import deferred_signals
from srmd.cli import main
from srmd.cli.console import print_error
from srmd.cli.demo_steps import JPEG_GAIN, Budget, Demo, Step
from srmd.show import visdom_server

INTRODUCTION = "This restores two photos and trains a network, which takes two to three minutes on two processor cores."


def run_demo(budget: Budget) -> int:
    """Runs the demo.

    Returns the exit code: 0; 1 if a network does not beat bicubic upscaling by the gain that is expected; or that of
    the command that failed.
    """
    name, start = f"demo_{datetime.now():%Y%m%d-%H%M%S}", time.monotonic()
    demo = Demo(Path("results") / name, Path("runs") / name, budget)
    print(INTRODUCTION, flush=True)
    with deferred_signals():
        from srmd.cli import demo_page

    demo_page.write_photos(demo)
    server = visdom_server.start(visdom_server.PORT)  # one server for the training and the test
    try:
        code = _run_steps(demo.steps())
        if code != 0:
            return code
        gains = demo_page.write_page(demo)
        print(f"\nThe demo took {time.monotonic() - start:.0f} seconds.")
        _print_results(demo, gains)
        if _is_below(gains, budget):
            return 1
        if server and sys.stdin.isatty():
            print("The dashboard stays open until you press Ctrl-C.")
            with suppress(KeyboardInterrupt):
                server.wait()
        return 0
    finally:
        if server:
            visdom_server.stop(server)


def _run_steps(steps: list[Step]) -> int:
    """Prints what comes, and runs the commands of each step; returns the first exit code that is not 0, or 0."""
    for number, step in enumerate(steps, 1):
        print(f"\n{number}/{len(steps)} {step.title}")
        for flags, line in zip(step.commands, step.lines(), strict=True):
            print(f"$ {line}", flush=True)
            code = main.main([*flags])
            if code != 0:
                return code
    return 0


def _print_results(demo: Demo, gains: dict[str, float]) -> None:
    """Prints the gains, and where the page, the loss curve and the dashboard are."""
    print("PSNR, compared with bicubic upscaling:")
    for label, gain in gains.items():
        print(f"  {label:30} {gain:+.2f} dB")
    print(f"Open this page in a browser:     {demo.page}")
    print(f"The loss curve:                  {demo.run}/loss.png")
    if visdom_server.is_running(visdom_server.PORT):
        print(f"The dashboard of the training:   http://localhost:{visdom_server.PORT}/env/srmd_{demo.run.name}")


def _is_below(gains: dict[str, float], budget: Budget) -> bool:
    """Whether any gain is below what is expected; then it prints which are."""
    minima = {label: budget.min_jpeg_gain if label == JPEG_GAIN else budget.min_gain for label in gains}
    too_low = [label for label, gain in gains.items() if gain < minima[label]]
    for label in too_low:
        print(f"{label}: expected at least {minima[label]:+g} dB, found {gains[label]:+.2f} dB", file=sys.stderr)
    return bool(too_low)


def command() -> int:
    """Runs the demo in its full length; returns the exit code, also if a signal ends it."""
    main.end_on_signals()
    try:
        return run_demo(Budget())
    except KeyboardInterrupt:
        return 130
    except Stopped as error:
        return 128 + error.signal
    except (InputError, OSError) as error:  # such as a file in the place of a folder, or a full disk
        print_error(error)
        return 2 if isinstance(error, InputError) else 1


if __name__ == "__main__":
    sys.exit(command())
