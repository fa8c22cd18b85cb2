"""Where the files lie that the package ships."""

from pathlib import Path

ROOT = Path(__file__).parents[2]  # of a checkout


def shipped_folder(folder: str) -> Path:
    """The folder `kernels` or `weights`: in a checkout the one at its root, in a wheel the one inside the package."""
    inside = Path(__file__).parents[1] / "data" / folder
    return inside if inside.is_dir() else ROOT / folder
