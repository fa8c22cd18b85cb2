"""The command `python main.py --mode=...`, and what scripts call of it; the code is in srmd/cli/."""

from srmd.cli.main import command, end_on_signals, main, run
from srmd.cli.requests import parse

__all__ = ["command", "end_on_signals", "main", "parse", "run"]

if __name__ == "__main__":
    command()
