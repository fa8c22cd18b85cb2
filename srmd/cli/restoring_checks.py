"""Checks of the flags that say which pictures are restored, and where and how the results are written."""

import sys

from srmd.base.errors import InputError, prefix_errors
from srmd.cli.restoring_flags import RESTORING_FLAGS
from srmd.cli.values import FILE_SUFFIXES
from srmd.config import STANDARD_STREAM
from srmd.pictures.formats import QUALITY_FORMATS, check_writable, format_of, format_to_write, is_picture_name


def check_output(values: dict) -> None:
    """Replaces `output` by its folder and `result` where it names the file of a result.

    Raises InputError if it names a file where a folder is expected, or a picture in a format that can't be written.
    """
    output = values.get("output")
    if output is None or output == STANDARD_STREAM or output.is_dir():
        return
    if output.suffix.lower() in FILE_SUFFIXES:
        expected = "a folder, or the name of a picture" if values.get("input") else "a folder"
        raise InputError(f"expected {expected}, found {output}", "output")
    if is_picture_name(output):
        if not values.get("input"):
            raise InputError(f"expected a folder, found the name of a picture, {output}", "output")
        with prefix_errors("output"):
            format_to_write(output)
        for name in ("recursive", "format", "suffix", "overwrite"):
            if name in values:
                raise InputError(f"expected a folder in --output with it, found the name of a picture, {output}", name)
        values |= {"output": output.parent, "result": output}
    elif output.is_file():
        raise InputError(f"expected a folder, found the file {output}", "output")


def check_streams(values: dict) -> None:
    """Raises InputError for flags that standard input or output does not take."""
    if STANDARD_STREAM in values["input"]:
        if len(values["input"]) > 1:
            raise InputError("expected only -, standard input, or other pictures, found both", "input")
        if sys.stdin is None or sys.stdin.isatty():
            found = "that it is closed" if sys.stdin is None else "a terminal"
            raise InputError(f"expected a picture on standard input, found {found}", "input")
    if values.get("output") != STANDARD_STREAM:
        return
    for name in ("recursive", "suffix", "overwrite"):
        if name in values:
            raise InputError("not used with --output=-, which writes one picture to standard output", name)
    if sys.stdout.isatty() and "dry_run" not in values:
        raise InputError("expected a pipe or a file as standard output, found a terminal", "output")


def check_results(values: dict) -> None:
    """Raises InputError if flags of restored pictures are used in vain or contradict each other."""
    for name in ("recursive", *(flag.name for flag in RESTORING_FLAGS)):
        if name in values and not values.get("input"):
            raise InputError("only for LR pictures, expected --input, found none", name)
    if "recursive" in values and not any(path.is_dir() for path in values["input"]):
        raise InputError("expected a folder in --input, found none", "recursive")
    if "size" in values and "outscale" in values:
        raise InputError("expected either --size or --outscale, found both", "size")
    file_format = values.get("format", "png")
    if "quality" in values and "result" in values:
        if format_of(values["result"]) not in QUALITY_FORMATS:
            raise InputError(f"expected jpg, webp or avif, found {values['result']}", "quality")
    elif "quality" in values and file_format in ("png", "tiff"):
        raise InputError(
            f"expected --format=jpg, webp, avif or keep, found {file_format}, which loses nothing", "quality"
        )
    check_writable(file_format)
