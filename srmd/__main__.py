"""The command line: `srmd`, `python -m srmd` and `python main.py`."""

# No other imports, not even typing: until `_exit_on_signals` is called, Ctrl-C prints a traceback.
import os
import sys

try:
    import signal
except KeyboardInterrupt:
    raise SystemExit(130) from None


def command() -> None:
    """Runs what the command line's flags ask for, and ends the process with the exit code."""
    _exit_on_signals()
    from srmd.cli.main import end_on_signals, main, silence_libraries  # these imports take half a second

    if signal.getsignal(signal.SIGINT) is _exit:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    end_on_signals()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the parent process closed it
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        getattr(sys, name).reconfigure(errors="backslashreplace")  # prints file names in any encoding without an error
    silence_libraries(sys.argv)
    code = main(sys.argv[1:])
    try:
        sys.stderr.flush()
    except OSError:  # a full disk or a closed pipe: Python would fail again when it exits, with the code 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sys.exit(code)


def _exit_on_signals() -> None:
    """Lets signals end the process at once and without a traceback: so far there is nothing to clean up."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # such as SIGHUP under nohup
            signal.signal(number, _exit)


def _exit(number: int, _frame: object) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    command()
