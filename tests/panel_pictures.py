"""Small photos for the tests of the page in the browser."""

from pathlib import Path

from PIL import Image

SIZE = (120, 96)  # width and height


def photo(left: int = 170, top: int = 30, size: tuple[int, int] = SIZE) -> Image.Image:
    """A part of a built-in photo."""
    from skimage import data

    return Image.fromarray(data.astronaut()).crop((left, top, left + size[0], top + size[1]))


def write_photo(path: Path, **options: object) -> Path:
    """A photo with EXIF, and with the quality 80 if it is a JPEG."""
    exif = Image.Exif()
    exif[0x010E] = "a test"  # ImageDescription
    photo(**options).save(path, exif=exif, **({"quality": 80} if path.suffix == ".jpg" else {}))
    return path
