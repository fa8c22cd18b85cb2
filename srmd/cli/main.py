"""Runs the request that the flags make, prints errors and chooses the exit code."""

import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from typing import BinaryIO, NoReturn

from srmd.base.distributed import Processes
from srmd.base.errors import InputError, Stopped, prefix_errors
from srmd.base.files import make_folder, name_in_errors
from srmd.base.signals import deferred_signals
from srmd.cli.console import discard_log, log_to_console, print_error, printable, progress_bar, training_bar
from srmd.cli.package import run_package_command
from srmd.cli.panel_flags import check_gradio
from srmd.cli.requests import Request, parse
from srmd.cli.standard_output import STANDARD_OUTPUT, print_text
from srmd.config import (
    STANDARD_STREAM,
    ExportRequest,
    PackageRequest,
    PanelRequest,
    PrepareRequest,
    TestRequest,
    TrainConfig,
)

PACKING = {"desc": "packing", "unit": "picture"}


def run(request: Request, processes: Processes | None = None) -> None:
    """Runs the mode of a request, as one of several processes if they are given; imports only what the mode needs."""
    processes = processes or Processes()
    if isinstance(request, PackageRequest):
        run_package_command(request)
        return
    if isinstance(request, PrepareRequest):
        _prepare(request)
        return
    if isinstance(request, ExportRequest):
        _export(request)
        return
    if isinstance(request, PanelRequest):
        check_gradio()
    if request.threads is not None:
        with deferred_signals():
            import torch
        torch.set_num_threads(request.threads)
    if isinstance(request, TrainConfig):
        _train(request, processes)
    elif isinstance(request, PanelRequest):
        _serve(request)
    else:
        _test(request, processes)


def _train(request: TrainConfig, processes: Processes) -> None:
    with deferred_signals():
        from srmd.training_run import train

    if not processes.is_first:
        train(request, processes=processes)
        return
    with training_bar(request) as progress, progress_bar(**PACKING) as packing:
        train(request, progress, packing, processes)


def _test(request: TestRequest, processes: Processes) -> None:
    with deferred_signals():
        from srmd.evaluate.run import evaluate

    standard_input = sys.stdin.buffer if STANDARD_STREAM in request.input else None
    with ExitStack() as stack:
        standard_output = None
        if request.output == STANDARD_STREAM:
            standard_output = stack.enter_context(standard_output_for_picture())
        progress = stack.enter_context(progress_bar(unit="px", unit_scale=True, smoothing=0))
        # Without a bar the sizes of all pictures need not be read.
        has_bar = sys.stderr.isatty() and processes.is_first
        evaluate(request, progress if has_bar else None, standard_input, standard_output, processes)


@contextmanager
def standard_output_for_picture() -> Iterator[BinaryIO]:
    """Standard output as a binary stream; inside the `with` block all other output goes to standard error.

    The file descriptors are exchanged, so that this also holds for what an engine's C code prints.
    """
    if sys.__stdout__ is None:
        raise InputError("expected a file or a pipe as standard output, found it closed", "output")
    sys.stdout.flush()
    # Closing a stream writes what is left in it, so that an error of a full disk may come from there too.
    with name_in_errors(STANDARD_OUTPUT), os.fdopen(os.dup(sys.stdout.fileno()), "wb") as stream:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        try:
            yield stream
        finally:
            sys.stdout.flush()
            os.dup2(stream.fileno(), sys.stdout.fileno())


def _prepare(request: PrepareRequest) -> None:
    with deferred_signals():
        from srmd.packs.sources import pack

    with prefix_errors("output"):
        make_folder(request.output.parent)
    with prefix_errors("train_data"), progress_bar(**PACKING) as progress:
        summary = pack(request.train_data, request.output, progress, request.pack_options)
    print_text(printable(str(summary)))


def _export(request: ExportRequest) -> None:
    with deferred_signals():
        from srmd.export import export

    export(request)


def _serve(request: PanelRequest) -> None:
    with deferred_signals():
        from srmd.panel.server import serve

    # Flushed, because a program that reads the address through a pipe would wait for the end of the server.
    serve(request, lambda address: print(f"The page is at {address} (Ctrl-C ends it)", flush=True))


def main(arguments: list[str]) -> int:
    """Runs what the flags ask for, and prints an error on one line.

    Returns the exit code: 0; 1 if the work failed; 2 if the request is invalid; 129, 130 or 143 if SIGHUP, Ctrl-C or
    SIGTERM stopped the work; 141 if the reader of the output has closed the pipe. Of several processes the first one
    prints for all; another prints only an error that the first one does not have.
    """
    processes = Processes()
    try:
        try:
            processes = Processes.of_environment()
            log_to_console() if processes.is_first else discard_log()
            run(_parse(arguments, processes), processes)
        finally:
            with name_in_errors(STANDARD_OUTPUT):  # now, and not when Python exits and would print a traceback
                sys.stdout.flush()
    except BrokenPipeError:  # such as from `head`, which reads only the first lines
        # Python flushes standard output again when it exits: that must not fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # 128 + SIGPIPE, which Windows doesn't have
    except (Exception, KeyboardInterrupt, Stopped) as error:
        if "--debug" in arguments and not isinstance(error, (InputError, Stopped)):
            with suppress(OSError):
                traceback.print_exc()
        if isinstance(error, Stopped):
            return 128 + error.signal
        if isinstance(error, KeyboardInterrupt):
            return 128 + signal.SIGINT
        if processes.is_first or not processes.has_common_error:
            name = "" if processes.is_first else f"process {processes.rank}: "
            print_error(error, name)
        return 2 if isinstance(error, InputError) else 1
    return 0


def _parse(arguments: list[str], processes: Processes) -> Request:
    """The request of the flags. The first process prints for all what they have in common: help, and errors."""
    if processes.is_first:
        return parse(arguments, processes)
    try:
        with redirect_stdout(None):
            return parse(arguments, processes)
    except InputError:
        processes.wait_for_first()
        raise


def end_on_signals() -> None:
    """Makes SIGTERM and SIGHUP raise `Stopped`, as Ctrl-C raises KeyboardInterrupt, so that the work is cleaned up."""

    def end(number: int, _frame: object) -> NoReturn:
        if number != signal.SIGTERM:  # a terminal sends SIGHUP twice when it is closed
            signal.signal(number, signal.SIG_IGN)
        raise Stopped(number)

    signal.signal(signal.SIGTERM, end)
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none
    if hang_up is not None and signal.getsignal(hang_up) != signal.SIG_IGN:  # under nohup it stays ignored
        signal.signal(hang_up, end)


def silence_libraries(arguments: list[str]) -> None:
    """Discards the lines that libpng, Matplotlib and others print or log, and Python's warnings; not with --debug.

    Compiled libraries write to file descriptor 2. `sys.stderr` gets a descriptor of its own.
    """
    if "--debug" in arguments:
        return
    try:
        own = os.dup(2)
    except OSError:  # it is closed
        return
    encoding = sys.stderr.encoding
    sys.stderr = open(  # noqa: SIM115 - it stays open until the process ends
        own, "w", buffering=1, encoding=encoding, errors="backslashreplace"
    )
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    logging.lastResort = logging.NullHandler()  # prints what is logged where no handler is installed
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
