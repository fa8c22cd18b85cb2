"""The flags of the command line: groups, notes, defaults, and the parser of a mode.

`docs/flags.md` is made from GROUPS by `python -m docs.generate`.
"""

import argparse
import re
from dataclasses import MISSING, fields
from typing import NoReturn

from srmd.base.errors import InputError
from srmd.cli.device_flags import DEVICE_GROUPS
from srmd.cli.estimate_flags import ESTIMATE_GROUPS
from srmd.cli.export_flags import EXPORT_GROUPS
from srmd.cli.flag import ON, Flag
from srmd.cli.panel_flags import PANEL_GROUPS
from srmd.cli.picture_flags import PICTURE_GROUPS
from srmd.cli.restoring_flags import DEFAULT_TEXTS, RESTORING_GROUPS
from srmd.cli.standard_output import print_text
from srmd.cli.training_flags import TRAINING_GROUPS
from srmd.config import ExportRequest, PanelRequest, PrepareRequest, TestRequest, TrainConfig

REQUESTS = {
    "train": TrainConfig,
    "test": TestRequest,
    "prepare": PrepareRequest,
    "export": ExportRequest,
    "panel": PanelRequest,
}
MODES = tuple(REQUESTS)
DESCRIPTIONS = {
    "train": "Train a network.",
    "test": "Restore LR pictures (--input), or degrade, restore and score HR pictures (--test_data).",
    "prepare": "Pack a folder of pictures into one HDF5 file for training.",
    "export": "Write a network in a format of other programs, with or without a degradation built in.",
    "panel": "Restore pictures in the browser: one setting after the other, by eye.",
}


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises InputError, with a message of one line that starts with the flag."""

    def error(self, message: str) -> NoReturn:
        message = message.replace(": ignored explicit argument ", ": expected no value, found ")
        raise InputError(re.sub(r"^argument (-\S+?)(/\S+)?:", r"\1:", message))

    def print_help(self, _file: object = None) -> None:
        """Prints the help; a full disk or a closed pipe is an error, which argparse's own method hides."""
        print_text(self.format_help(), end="")


GROUPS: dict[str, tuple[Flag, ...]] = (
    PICTURE_GROUPS | ESTIMATE_GROUPS | RESTORING_GROUPS | TRAINING_GROUPS | EXPORT_GROUPS | PANEL_GROUPS | DEVICE_GROUPS
)
NOTES = {  # below the titles of groups
    "Degradation": "What is applied to the HR pictures and told to the network; with --input, what the LR pictures are "
    "assumed to have gone through; with --mode=export, what is built in.",
    "Choosing by eye, and maps": "Only with --input, which restores LR pictures.",
    "Results of --input": "Only with --input, which restores LR pictures.",
    "What the network is told": "Only for HR pictures. Without these flags the network is told what was applied.",
}
FLAGS = tuple(flag for flags in GROUPS.values() for flag in flags)
DEFAULTS = {  # those that are not the default of the request's field
    ("train", "output"): "runs/NAME",
    ("test", "output"): "results/NAME",
    ("prepare", "output"): "data/NAME.h5",
    ("train", "train_data"): "the built-in set",
    ("train", "pack_sizes_lossy"): "the value of --pack_sizes",
    ("prepare", "pack_sizes_lossy"): "the value of --pack_sizes",
    ("train", "train_kernels"): "none: Gaussians only",
    ("prepare", "train_data"): "the built-in set",
    ("train", "weights"): "none",
    ("test", "weights"): "the shipped network for the scale, the noise level and JPEG",
    ("test", "scale_factor"): "the scale of --weights, or that which --outscale or --size needs, else 2",
    ("test", "test_data"): "the held-out built-in photos",
    ("test", "kernel"): "auto with --input, else delta",
    ("test", "noise_level"): "auto with --input, else 0",
    ("test", "assumed_kernel"): "the value of --kernel",
    ("test", "assumed_noise_level"): "the value of --noise_level or --noise_map",
    ("test", "jpeg"): "auto with --input, else off",
    ("test", "assumed_jpeg"): "the value of --jpeg",
    ("test", "kernel_grid"): "none",
    ("test", "noise_grid"): "none",
    ("test", "tile"): "auto",
    ("train", "threads"): "PyTorch's default",
    ("test", "threads"): "PyTorch's default",
    ("test", "downsampler"): "the one that the weights were trained for",
    ("export", "weights"): "the shipped network for the scale, the noise level and JPEG",
    ("panel", "weights"): "the shipped networks",
    ("panel", "threads"): "PyTorch's default",
    ("panel", "port"): "7860, or the next one that is free",
    ("export", "scale_factor"): "the scale of --weights, else 2",
    ("export", "kernel"): "delta",
    ("export", "downsampler"): "the one that the weights were trained for",
    **{("test", name): text for name, text in DEFAULT_TEXTS.items()},
}


def default(flag: Flag, mode: str) -> str:
    """Return the default of a flag in a mode, in words."""
    values = {field.name: field.default for field in fields(REQUESTS[mode])}
    fallback = False if flag.options == ON else None  # for flags without a field, such as --kernel_index
    value = DEFAULTS.get((mode, flag.name), values.get(flag.name, fallback))
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ",".join(each if isinstance(each, str) else f"{each:g}" for each in value)
    if value is False:
        return "off"
    return "none" if value in (None, MISSING) else str(value)


def mode_parser(mode: str) -> Parser:
    """Return the parser of a mode, with an argument group for each subject.

    A flag that is absent from the command line is absent from the result: a resumed run must tell it from a default.
    """
    parser = Parser(f"main.py --mode={mode}", description=DESCRIPTIONS[mode], allow_abbrev=False)
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    for title, flags in GROUPS.items():
        group = parser.add_argument_group(title, NOTES.get(title) if mode == "test" else None)
        for flag in flags:
            if mode in flag.modes:
                text = f"{flag.help} (default: {default(flag, mode)})".replace("%", "%%")
                group.add_argument(f"--{flag.name}", default=argparse.SUPPRESS, help=text, **flag.options)
    return parser
