"""The command line: turns flags into a checked, typed request and dispatches one mode."""

import os
import signal
import sys
import traceback
from typing import NoReturn

from srmd.base.errors import InputError, Stopped, prefix_errors
from srmd.base.files import make_folder
from srmd.cli.console import log_to_console, one_line, progress_bar, training_bar
from srmd.cli.requests import Request, parse
from srmd.config import PrepareRequest, TestRequest, TrainConfig

PACKING = {"desc": "packing", "unit": "picture"}


def run(request: Request) -> None:
    """Dispatches one mode; imports only what it needs."""
    if isinstance(request, PrepareRequest):
        _prepare(request)
        return
    if request.threads is not None:
        import torch

        torch.set_num_threads(request.threads)
    if isinstance(request, TrainConfig):
        _train(request)
    else:
        _test(request)


def _train(request: TrainConfig) -> None:
    from srmd.training_run import train

    with training_bar(request) as progress, progress_bar(**PACKING) as packing:
        train(request, progress, packing)


def _test(request: TestRequest) -> None:
    from srmd.evaluate.run import evaluate

    with progress_bar(unit="px", unit_scale=True) as progress:
        evaluate(request, progress)


def _prepare(request: PrepareRequest) -> None:
    from srmd.data_loader import pack

    with prefix_errors("output"):
        make_folder(request.output.parent)
    with prefix_errors("train_data"), progress_bar(**PACKING) as progress:
        summary = pack(request.train_data, request.output, progress)
    print(summary)


def main(arguments: list[str]) -> int:
    """Runs what the flags ask for; 0, 1 (failed), 2 (wrong request), 129, 130, 143 (stopped), 141 (closed pipe)."""
    log_to_console()
    try:
        try:
            run(parse(arguments))
        finally:
            sys.stdout.flush()  # here, and not when Python has ended, it is known what to do with a closed pipe
    except BrokenPipeError:  # whoever read the output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # 128 + SIGPIPE, which Windows doesn't have
    except (Exception, KeyboardInterrupt, Stopped) as error:
        if "--debug" in arguments and not isinstance(error, (InputError, Stopped)):
            traceback.print_exc()
        if isinstance(error, Stopped):
            return 128 + error.signal
        if isinstance(error, KeyboardInterrupt):
            return 128 + signal.SIGINT
        print(one_line(error), file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def end_on_signals() -> None:
    """Makes SIGTERM and SIGHUP end the process as Ctrl-C does, so that what is half done is cleaned up."""

    def end(number: int, _frame: object) -> NoReturn:
        if number != signal.SIGTERM:  # a terminal that is closed sends two
            signal.signal(number, signal.SIG_IGN)
        raise Stopped(number)

    signal.signal(signal.SIGTERM, end)
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none
    if hang_up is not None and signal.getsignal(hang_up) != signal.SIG_IGN:  # under nohup it stays ignored
        signal.signal(hang_up, end)


def command() -> NoReturn:
    """The command `srmd`, and `python main.py`."""
    end_on_signals()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        getattr(sys, name).reconfigure(errors="backslashreplace")  # a name that the terminal can't show ends nothing
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    command()
