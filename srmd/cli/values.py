"""Parsers of the flags' values: each turns a text into a typed value, or raises ArgumentTypeError."""

import argparse
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from srmd.base.errors import InputError
from srmd.base.files import MAX_NAME_BYTES, NO_PERMISSION, SPECIAL_FILES, describe_path
from srmd.config import AUTO, CONDITIONS, OFF, STANDARD_STREAM, are_conditions
from srmd.kernel.files import is_kernel_output
from srmd.kernel.specs import parse_kernels
from srmd.show.dashboard import check_address

MAX_PATH_BYTES = 4000  # of an absolute path: most systems allow 4096, and the names of results are added to it
MAX_SIDE = 65535  # of a result, in pixels
# Suffixes of the files of this package that are no pictures: no folder to write to is meant to have such a name.
FILE_SUFFIXES = {".safetensors", ".pt", ".pth", ".onnx", ".param", ".bin", ".mat", ".npy", ".h5", ".json", ".jsonl"}
MAX_WHOLE = 10**12  # largest whole number of a flag without a smaller maximum


@dataclass(frozen=True)
class KernelChoice:
    """The value of --kernel: one kernel, or all kernels of a file, of which --kernel_index chooses one."""

    spec: str  # as it was typed
    arrays: list[np.ndarray]  # (k, k) each, k odd, sum 1


def number(minimum: float, maximum: float = math.inf, above: bool = False) -> Callable[[str], float]:
    """A parser of finite numbers from `minimum` to `maximum`; with `above` they must be larger than `minimum`."""
    if above:
        bounds = f"above {minimum:g}" + (f" and at most {maximum:g}" if maximum < math.inf else "")
    else:
        bounds = f"from {minimum:g} to {maximum:g}" if maximum < math.inf else f"of at least {minimum:g}"

    def parse(text: str) -> float:
        try:
            value = float(text.replace("_", "?"))  # float("1_0") would be 10
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not minimum <= value <= maximum or (above and value == minimum):
            raise argparse.ArgumentTypeError(f"expected a number {bounds}, found {text!r}")
        return value

    return parse


def auto_or(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser of `auto`, or of what `parse` parses."""
    return lambda text: AUTO if text == AUTO else parse(text)


def whole(minimum: int, maximum: int = MAX_WHOLE) -> Callable[[str], int]:
    """A parser of whole numbers from `minimum` to `maximum`."""
    bounds = f"of at least {minimum}" if maximum == MAX_WHOLE else f"from {minimum} to {maximum}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,12}", text) or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f"expected a whole number {bounds}, found {text!r}")
        return int(text)

    return parse


def odd(minimum: int, maximum: int) -> Callable[[str], int]:
    """A parser of odd numbers from `minimum` to `maximum`, which are both odd."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,12}", text) or int(text) not in range(minimum, maximum + 1, 2):
            raise argparse.ArgumentTypeError(f"expected an odd number from {minimum} to {maximum}, found {text!r}")
        return int(text)

    return parse


def one_of(pattern: str, expected: str) -> Callable[[str], str]:
    """A parser of texts that match a regular expression; `expected` describes them in the error message."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")
        return text

    return parse


def relative_sizes(text: str) -> tuple[float, ...]:
    """Parses sizes relative to a picture, above 0 and up to 1, separated by commas; returns them in falling order."""
    parse = number(0, 1, above=True)
    sizes = [parse(part) for part in text.split(",")]
    if len(set(sizes)) < len(sizes):
        raise argparse.ArgumentTypeError(f"expected different sizes, found {text!r}")
    return tuple(sorted(sizes, reverse=True))


def conditions(text: str) -> tuple[str, ...]:
    """The conditions of a network, in the order of its channels, from text such as "kernel,noise"."""
    names = text.split(",")
    if not are_conditions(names):
        expected = f"expected kernel, and any of {' and '.join(CONDITIONS[1:])}, separated by commas"
        raise argparse.ArgumentTypeError(f"{expected}, found {text!r}")
    return tuple(sorted(names, key=CONDITIONS.index))


def numbers(minimum: float, maximum: float, max_count: int) -> Callable[[str], tuple[float, ...]]:
    """A parser of different numbers from `minimum` to `maximum`, separated by commas; they are sorted."""
    parse_one = number(minimum, maximum)

    def parse(text: str) -> tuple[float, ...]:
        values = sorted(parse_one(part) for part in text.split(","))
        if len(values) > max_count:
            raise argparse.ArgumentTypeError(f"expected at most {max_count} numbers, found {len(values)}")
        if len(set(values)) < len(values):
            raise argparse.ArgumentTypeError(f"expected different numbers, found {text!r}")
        return tuple(values)

    return parse


def jpeg_quality(text: str) -> int | str:
    """Parses `auto`, `off` or the quality of a JPEG, 1 to 100."""
    if text in (AUTO, OFF):
        return text
    if not re.fullmatch(r"\d{1,3}", text) or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"expected auto, off or a quality from 1 to 100, found {text!r}")
    return int(text)


def tile_side(text: str) -> int | None:
    """Parses `auto`, as None, or the side of a tile in LR pixels."""
    return None if text == AUTO else whole(16)(text)


def picture_source(text: str) -> Path:
    """Parses `-`, standard input, or the path of a file or folder that can be read."""
    return STANDARD_STREAM if text == "-" else _not_a_stream(existing(text))


def output_place(text: str) -> Path:
    """Parses `-`, standard output, or a path to write to."""
    return STANDARD_STREAM if text == "-" else _not_a_stream(output_path(text))


def _not_a_stream(path: Path) -> Path:
    """The path; ./- is made absolute, because `Path` turns it into -, which stands for a stream."""
    return path.absolute() if path == STANDARD_STREAM else path


def final_size(text: str) -> tuple[int, int]:
    """Parses a width and a height in pixels, such as 1920x1080 or 1920×1080."""
    match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text)
    sides = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= side <= MAX_SIDE for side in sides):
        expected = f"expected width and height from 1 to {MAX_SIDE}, such as 1920x1080"
        raise argparse.ArgumentTypeError(f"{expected}, found {text!r}")
    return sides


def name_suffix(text: str) -> str:
    """Parses a part of a file name."""
    if not text or re.search(r'[/\\:*?"<>|\x00-\x1f]', text):  # what Windows allows in no name, and / nowhere
        raise argparse.ArgumentTypeError(f"expected a part of a file name, such as _x2, found {text!r}")
    return text


def existing(text: str) -> Path:
    """Parses the path of a file or folder that exists and can be read."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found nothing")
    found = describe_path(text)
    if found == "no such file":
        raise argparse.ArgumentTypeError(f"{text}: expected a file or folder, found neither")
    if found not in ("a file", "a folder"):
        raise argparse.ArgumentTypeError(f"{text}: expected a file or folder, found {found}")
    if not os.access(text, os.R_OK):
        raise argparse.ArgumentTypeError(f"{text}: expected a file or folder that can be read, found no permission")
    return Path(text)


def existing_file(text: str) -> Path:
    """Parses the path of a file that exists and can be read."""
    if (found := describe_path(text)) in ("no such file", "a folder") and text:
        raise argparse.ArgumentTypeError(f"{text}: expected a file, found {found}")
    return existing(text)


def output_path(text: str) -> Path:
    """Parses a path to write to."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found nothing")
    if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in Path(text).parts):
        raise argparse.ArgumentTypeError(f"expected file names of up to {MAX_NAME_BYTES} bytes, found {text!r}")
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"expected a path, found a null character in {text!r}")
    length = len(os.fsencode(os.path.abspath(text)))
    if length > MAX_PATH_BYTES:
        raise argparse.ArgumentTypeError(f"expected a path of up to {MAX_PATH_BYTES} bytes, found {length} bytes")
    if (found := describe_path(text)) in (*SPECIAL_FILES.values(), NO_PERMISSION):
        raise argparse.ArgumentTypeError(f"{text}: expected a path to write to, found {found}")
    return Path(text)


def checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """The parser `parse`, which raises InputError, changed to raise ArgumentTypeError instead."""

    def checked_parse(text: str) -> Any:
        try:
            return parse(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked_parse


def kernel_choice(spec: str) -> KernelChoice:
    """Parses a kernel, or the path of a file with one or several kernels."""
    return KernelChoice(spec, parse_kernels(spec))


def kernel_output(text: str) -> Path:
    """Parses the path of a .png or .mat to write a kernel to, or of a folder for several kernels."""
    path = output_path(text)
    is_new_folder = not path.suffix and not path.exists()
    if not (is_kernel_output(path) or path.is_dir() or is_new_folder):
        raise argparse.ArgumentTypeError(f"expected a .png or .mat file, or a folder, found {text!r}")
    return path


def dashboard_server(text: str) -> str:
    """Parses `auto`, `off` or the address of a visdom server."""
    return text if text in ("auto", "off") else check_address(text)


def words(*choices: str) -> dict:
    """The argparse options of a flag whose value is one of these words."""
    return {
        "type": one_of("|".join(choices), ", ".join(choices[:-1]) + f" or {choices[-1]}"),
        "metavar": "|".join(choices),
    }
