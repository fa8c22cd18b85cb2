"""Reading picture files in tests."""

from pathlib import Path

from PIL import Image


def open_picture(path: str | Path) -> Image.Image:
    """A picture, read completely; its file is closed."""
    with Image.open(path) as picture:
        picture.load()
    return picture
