"""`python -m srmd`: the command line."""

from srmd.cli.main import command

if __name__ == "__main__":
    command()
