"""The command `python main.py --mode=...`, and its functions for scripts; the code is in srmd/cli/."""

try:
    from srmd.__main__ import command
except KeyboardInterrupt:  # Ctrl-C before the command can handle it
    raise SystemExit(130) from None

if __name__ == "__main__":
    command()  # before the slower imports below, so that Ctrl-C ends the command cleanly from its start

from srmd.cli.main import end_on_signals, main, run
from srmd.cli.requests import parse

__all__ = ["command", "end_on_signals", "main", "parse", "run"]
