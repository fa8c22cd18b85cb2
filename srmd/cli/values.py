"""Parsers of the flags' values: each takes a text and gives a typed value, or says what is wrong with it."""

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
from srmd.config import NamedMap
from srmd.kernel.specs import parse_kernels
from srmd.show.dashboard import check_address

LONGEST_NAME = 255  # bytes that file systems take


@dataclass(frozen=True)
class KernelChoice:
    """The kernels of a file, or the one of a formula, and the words they were asked for with."""

    spec: str
    arrays: list[np.ndarray]  # of (k, k), k odd, sum 1


def number(least: float, most: float = math.inf, above: bool = False) -> Callable[[str], float]:
    """A parser of finite numbers from `least` (itself excluded where `above`) to `most`."""
    bounds = f"{'above' if above else 'of at least'} {least:g}" + (f" and at most {most:g}" if most < math.inf else "")

    def parse(text: str) -> float:
        try:
            value = float(text.replace("_", "?"))  # Python takes 1_0 for 10
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not least <= value <= most or (above and value == least):
            raise argparse.ArgumentTypeError(f"expected a number {bounds}, found {text!r}")
        return value

    return parse


def whole(least: int, most: int = 10**12) -> Callable[[str], int]:
    """A parser of whole numbers from `least` to `most`."""
    bounds = f"of at least {least}" if most == 10**12 else f"from {least} to {most}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,12}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number {bounds}, found {text!r}")
        return int(text)

    return parse


def odd(least: int, most: int) -> Callable[[str], int]:
    """A parser of odd numbers from `least` to `most`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,12}", text) or int(text) not in range(least, most + 1, 2):
            raise argparse.ArgumentTypeError(f"expected an odd number from {least} to {most}, found {text!r}")
        return int(text)

    return parse


def one_of(pattern: str, expected: str) -> Callable[[str], str]:
    """A parser of words that a regular expression describes."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")
        return text

    return parse


def tile_side(text: str) -> int | None:
    """A parser of `auto` or the side of a tile."""
    return None if text == "auto" else whole(16)(text)


def existing(text: str) -> Path:
    """A parser of paths to what is there and can be read."""
    if not os.path.exists(text):  # Path.exists raises where a name is too long
        raise argparse.ArgumentTypeError(f"{text}: expected a file or folder, found neither")
    if not os.access(text, os.R_OK):
        raise argparse.ArgumentTypeError(f"{text}: expected what can be read, found no permission")
    return Path(text)


def output_path(text: str) -> Path:
    """A parser of paths to write to."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found nothing")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in Path(text).parts):
        raise argparse.ArgumentTypeError(f"expected names of up to {LONGEST_NAME} bytes, found {text!r}")
    return Path(text)


def checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser that says by InputError what is wrong, as argparse wants it said."""

    def parse_or_say(text: str) -> Any:
        try:
            return parse(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse_or_say


def kernel_choice(spec: str) -> KernelChoice:
    """A parser of kernels: one, or all that a file holds."""
    return KernelChoice(spec, parse_kernels(spec))


def kernel_output(text: str) -> Path:
    """A parser of paths to draw or save a kernel to."""
    path = output_path(text)
    if path.suffix.lower() not in (".png", ".mat") or path.is_dir():
        raise argparse.ArgumentTypeError(f"expected a .png or .mat file, found {text!r}")
    return path


def named_map(read: Callable[[Path], np.ndarray]) -> Callable[[str], NamedMap]:
    """A parser of the paths of maps."""
    return lambda text: NamedMap(Path(text), read(existing(text)))


def dashboard_server(text: str) -> str:
    """A parser of what `--visdom` takes."""
    return text if text in ("auto", "off") else check_address(text)


def words(*choices: str) -> dict:
    """The arguments of a flag that takes one of a few words."""
    return {
        "type": one_of("|".join(choices), ", ".join(choices[:-1]) + f" or {choices[-1]}"),
        "metavar": "|".join(choices),
    }
