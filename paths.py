"""Where the files lie that the package ships."""

from pathlib import Path

ROOT = Path(__file__).parent


def shipped(folder: str) -> Path:
    """The folder `kernels` or `weights`."""
    return ROOT / folder
