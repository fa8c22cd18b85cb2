"""Paths of the kernels and weights that come with the package."""

from pathlib import Path

ROOT = Path(__file__).parents[2]  # the root of the repository, if the package is not installed


def shipped_folder(folder: str) -> Path:
    """The folder `kernels` or `weights`: inside an installed package, or else at the root of the repository."""
    installed = Path(__file__).parents[1] / "data" / folder
    return installed if installed.is_dir() else ROOT / folder
