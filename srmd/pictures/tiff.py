"""TIFF files whose values Pillow reads wrongly: they are corrected, or refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from srmd.base.errors import InputError
from srmd.pictures.picture import Picture
from srmd.pictures.pillow import pillow_settings

BITS_PER_SAMPLE = ExifTags.Base.BitsPerSample
COMPRESSION = ExifTags.Base.Compression
PHOTOMETRIC = ExifTags.Base.PhotometricInterpretation
SAMPLES_PER_PIXEL = ExifTags.Base.SamplesPerPixel
PLANAR_CONFIGURATION = ExifTags.Base.PlanarConfiguration
SAMPLE_FORMAT = 339
REQUIRED_TAGS = (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength)
WHITE_IS_ZERO = 0
SEPARATE_PLANES = 2
SIGNED = 2
EXTRA_SAMPLES = ExifTags.Base.ExtraSamples
PREMULTIPLIED = 1
NUMBER_TYPES = {1: "unsigned", 2: "signed", 3: "float"}  # by SampleFormat
RGB = 2  # PhotometricInterpretation
UNSIGNED = 1  # SampleFormat
BIG_ENDIAN_BIGTIFF = b"MM\0+"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", BIG_ENDIAN_BIGTIFF)
Tags = TiffImagePlugin.ImageFileDirectory_v2


def check_tiff(image: Image.Image) -> None:
    """Raises InputError if Pillow would read wrong values, or none, from a TIFF that is opened, but not loaded."""
    tags = image.tag_v2
    bits, compressed = max(tags.get(BITS_PER_SAMPLE, (1,))), tags.get(COMPRESSION, 1) != 1
    premultiplied = PREMULTIPLIED in tags.get(EXTRA_SAMPLES, ())
    # Pillow takes 16-bit planes for 8-bit ones where they are not compressed, and the grey plane for alpha.
    has_wrong_values = premultiplied or (bits > 8 and not has_16_bit_colours(tags))  # tiff16.py reads these colours
    wrong_planes = (not compressed and has_wrong_values) or image.mode in ("LA", "La", "PA")
    if tags.get(PLANAR_CONFIGURATION, 1) == SEPARATE_PLANES and wrong_planes:
        raise InputError(f"expected interleaved channels, found separate planes of {bits} bits")
    if tags.prefix == b"MM" and compressed and image.mode in ("I", "F"):  # Pillow swaps their bytes once too often
        raise InputError("expected an uncompressed TIFF or one with little-endian values, found big-endian values")


def correct_tiff(picture: Picture, image: Image.Image) -> Picture:
    """The picture that Pillow read from a TIFF, with white and black as the file defines them.

    Pillow inverts values whose white is 0 only if they have up to 8 bits, and takes 12 bits for 16 bits. Raises
    InputError for negative values of 8 bits, to which Pillow adds 256.
    """
    pixels, tags = picture.pixels, image.tag_v2
    if pixels.dtype == np.uint8 and max(tags.get(SAMPLE_FORMAT, (1,))) == SIGNED and pixels.max() > 127:
        raise InputError("expected grey values of 0 to 127, found negative ones")
    if pixels.dtype != np.uint16:
        return picture
    if tags.get(BITS_PER_SAMPLE) == (12,):
        pixels = np.rint(pixels * (65535 / 4095)).astype(np.uint16)
    if tags.get(PHOTOMETRIC, WHITE_IS_ZERO) == WHITE_IS_ZERO:
        pixels = 65535 - pixels
    return replace(picture, pixels=pixels)


def has_16_bit_colours(tags: Tags) -> bool:
    """Whether a TIFF holds RGB, with or without a fourth channel, of unsigned integers with 16 bits."""
    return (
        tags.get(SAMPLES_PER_PIXEL) in (3, 4)
        and tags.get(PHOTOMETRIC) == RGB
        and set(tags.get(BITS_PER_SAMPLE, ())) == {16}
        and set(tags.get(SAMPLE_FORMAT, (UNSIGNED,))) == {UNSIGNED}
    )


def numbers_of(value: int | tuple[int, ...]) -> tuple[int, ...]:
    """The value of a tag that holds one number or several."""
    return value if isinstance(value, tuple) else (value,)


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an opened TIFF as they are in the file, before it is turned upright."""
    return image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]


def describe_tiff(path: Path) -> str | None:
    """Why Pillow can't read a TIFF file, for a message; None if it is no TIFF."""
    with pillow_settings(), path.open("rb") as file:
        header = file.read(16)
        if header[:4] not in TIFF_SIGNATURES:
            return None
        if header[:4] == BIG_ENDIAN_BIGTIFF:  # Pillow takes it for a TIFF with offsets of 32 bits
            return "this kind of TIFF can't be read: BigTIFF in big-endian order"
        try:
            tags = Tags(header if header[2:3] == b"+" else header[:8])
            file.seek(tags.next)
            tags.load(file)
            missing = [tag.name for tag in REQUIRED_TAGS if max(numbers_of(tags.get(tag, 0)), default=0) < 1]
            if missing:
                return f"a broken picture (the directory of the TIFF states no {', '.join(missing)})"
            bits, number_format = max(tags.get(BITS_PER_SAMPLE, (1,))), max(tags.get(SAMPLE_FORMAT, (1,)))
            samples, photometric = tags.get(SAMPLES_PER_PIXEL, 1), tags.get(PHOTOMETRIC)
        except Exception:  # a damaged file can raise any exception
            return "a broken picture (the directory of the TIFF is damaged)"
    numbers, compression = NUMBER_TYPES.get(number_format, "other"), tags.get(COMPRESSION, 1)
    kind = f"{samples} × {bits} bits per pixel, {numbers}, PhotometricInterpretation {photometric}"
    return f"this kind of TIFF can't be read: {kind}, Compression {compression}"
