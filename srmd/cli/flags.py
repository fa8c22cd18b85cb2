"""The flags of the command line: their groups, modes, values, help texts and defaults.

`docs/flags.md` is made from this file by `python -m docs.generate`.
"""

import argparse
import re
from dataclasses import MISSING, dataclass, fields
from typing import Any, NoReturn

from srmd.base.errors import InputError
from srmd.cli.values import (
    checked,
    dashboard_server,
    existing,
    kernel_choice,
    kernel_output,
    number,
    odd,
    one_of,
    output_path,
    tile_side,
    whole,
    words,
)
from srmd.config import PrepareRequest, TestRequest, TrainConfig
from srmd.train.kernels import MAX_WINDOW

MAX_SCALE = 8  # a larger scale makes the last layer and the crops of a batch too large for memory
REQUESTS = {"train": TrainConfig, "test": TestRequest, "prepare": PrepareRequest}
MODES = tuple(REQUESTS)
DESCRIPTIONS = {
    "train": "Train a network.",
    "test": "Restore LR pictures (--input), or degrade, restore and score HR pictures (--test_data).",
    "prepare": "Pack a folder of pictures into one HDF5 file for training.",
}


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises InputError, with a message of one line that starts with the flag."""

    def error(self, message: str) -> NoReturn:
        raise InputError(re.sub(r"^argument (-\S+?)(/\S+)?:", r"\1:", message))

    def print_help(self, _file: object = None) -> None:
        """Prints the help; a full disk or a closed pipe is an error, which argparse's own method hides."""
        print(self.format_help(), end="")


@dataclass(frozen=True)
class Flag:
    """A flag: its name, the modes that take it, its help text, and further arguments of `add_argument`."""

    name: str
    modes: tuple[str, ...]
    help: str
    options: dict[str, Any]


ON = {"action": "store_true"}
ALL_MODES = ("train", "test", "prepare")
GROUPS: dict[str, tuple[Flag, ...]] = {
    "Pictures and output": (
        Flag(
            "input",
            ("test",),
            "LR pictures, or folders of them, to restore",
            {"type": existing, "nargs": "+", "action": "extend", "metavar": "PATH"},
        ),
        Flag(
            "test_data",
            ("test",),
            "HR picture, or folder of them, to degrade, restore and score",
            {"type": existing, "metavar": "PATH"},
        ),
        Flag(
            "output",
            ALL_MODES,
            "folder for the results, or the file for the result of one --input; with --mode=prepare, the HDF5 file",
            {"type": output_path, "metavar": "PATH"},
        ),
        Flag(
            "max_pixels",
            ("test", "prepare"),
            "most pixels of a picture; larger pictures are left out",
            {"type": whole(1), "metavar": "N"},
        ),
        Flag("save_lr", ("test",), "also save the LR pictures, clipped and rounded to 8 bits", ON),
    ),
    "Degradation": (
        Flag(
            "kernel",
            ("test",),
            "blur kernel: delta (no blur), gaussian:W, gaussian:W1,W2,ANGLE, or a .mat, .npy, .png, .txt or .csv file; "
            "W: widths, that is standard deviations (not variances) in HR pixels; ANGLE: of the long axis, in degrees; "
            "with --regions, give the flag once for each region",
            {"type": checked(kernel_choice), "action": "append", "metavar": "SPEC"},
        ),
        Flag(
            "kernel_index",
            ("test",),
            "which kernel to take from a file of several kernels, counted from 0; give the flag once for all such "
            "files, or once for each",
            {"type": whole(0), "action": "append", "metavar": "N"},
        ),
        Flag("recentre_kernel", ("test",), "shift each kernel so that its centre of mass is in the middle", ON),
        Flag(
            "save_kernel",
            ("test",),
            "save the kernel: as an enlarged picture (.png), or as numbers (.mat)",
            {"type": kernel_output, "metavar": "FILE"},
        ),
        Flag(
            "noise_level",
            ("test",),
            "standard deviation of the Gaussian noise, 0 to 255",
            {"type": number(0, 255), "metavar": "X"},
        ),
        Flag(
            "noise_map",
            ("test",),
            "a noise level for each pixel, in place of --noise_level: a grey picture or .npy file of LR's or HR's "
            "size, values 0 to 255",
            {"type": existing, "metavar": "FILE"},
        ),
        Flag(
            "regions",
            ("test",),
            "label picture of LR's or HR's size: where a pixel has the value i, the i-th --kernel applies, counted "
            "from 0",
            {"type": existing, "metavar": "FILE"},
        ),
        Flag(
            "region_blend",
            ("test",),
            "standard deviation of the Gaussian that blends the --regions at their borders, in LR pixels, 0 to 100",
            {"type": number(0, 100), "metavar": "X"},
        ),
        Flag(
            "downsampler",
            ("train", "test"),
            "how HR becomes LR after the blur: MATLAB's bicubic imresize, or direct (every s-th pixel, s being the "
            "scale)",
            words("bicubic", "direct"),
        ),
    ),
    "What the network is told": (
        Flag(
            "assumed_kernel",
            ("test",),
            "kernel that the network is told, where it differs from the one applied to HR pictures",
            {"type": checked(kernel_choice), "metavar": "SPEC"},
        ),
        Flag(
            "assumed_noise_level",
            ("test",),
            "noise level that the network is told, where it differs from the one applied, 0 to 255",
            {"type": number(0, 255), "metavar": "X"},
        ),
    ),
    "Network and weights": (
        Flag(
            "scale_factor",
            ("train", "test"),
            f"HR pixels per LR pixel along each axis, 1 to {MAX_SCALE}",
            {"type": whole(1, MAX_SCALE), "metavar": "N"},
        ),
        Flag(
            "weights",
            ("train", "test"),
            "weights file of the network to test, or to start training from",
            {"type": existing, "metavar": "FILE"},
        ),
        Flag(
            "pca",
            ("test",),
            "file (.mat) of the PCA matrix P, for weights files that do not contain it",
            {"type": existing, "metavar": "FILE"},
        ),
        Flag(
            "noise_free",
            ("train",),
            "train SRMDNF: no noise is added in training, and the network is told the kernel only",
            ON,
        ),
        Flag(
            "kernel_size",
            ("train",),
            f"side of the kernel window in HR pixels, odd, 3 to {MAX_WINDOW}",
            {"type": odd(3, MAX_WINDOW), "metavar": "N"},
        ),
        Flag("pca_dim", ("train",), "numbers in a kernel code, that is rows of P", {"type": whole(1), "metavar": "N"}),
        Flag(
            "head",
            ("train",),
            "last layers: the paper's sub-pixel convolution, or upsampling of the features before the last convolution",
            words("subpixel", "upsample"),
        ),
        Flag("batch_norm", ("train",), "add batch norm to the inner layers; needs large batches", ON),
    ),
    "Training": (
        Flag("steps", ("train",), "optimizer steps", {"type": whole(1), "metavar": "N"}),
        Flag("batch_size", ("train",), "patches per step", {"type": whole(1), "metavar": "N"}),
        Flag("patch_size", ("train",), "side of a patch in LR pixels", {"type": whole(4), "metavar": "N"}),
        Flag(
            "lr",
            ("train",),
            "highest learning rate, reached after the warm-up",
            {"type": number(0, 1, above=True), "metavar": "X"},
        ),
        Flag("loss", ("train",), "mean absolute error (l1) or mean squared error (l2)", words("l1", "l2")),
        Flag("save_every", ("train",), "steps between checkpoints", {"type": whole(1), "metavar": "N"}),
        Flag(
            "resume",
            ("train",),
            "continue from the newest checkpoint of the run in PATH; without PATH, of the run in --output or else of "
            "the newest run, or start a new run if there is none",
            {"type": lambda text: text and str(output_path(text)), "nargs": "?", "const": "", "metavar": "PATH"},
        ),
    ),
    "Training data": (
        Flag(
            "train_data",
            ("train", "prepare"),
            "folder of HR pictures; for training also a packed .h5 file",
            {"type": existing, "metavar": "PATH"},
        ),
        Flag(
            "train_kernels",
            ("train",),
            "kernels of your own to train on: a folder of kernel files, or one file of several kernels; P is computed "
            "from them and the Gaussians",
            {"type": existing, "metavar": "PATH"},
        ),
        Flag(
            "gaussian_share",
            ("train",),
            "share of Gaussians among the kernels drawn with --train_kernels, 0 to 1",
            {"type": number(0, 1), "metavar": "X"},
        ),
        Flag(
            "cache",
            ("train",),
            "where the packed pictures are kept: on disk (off), in main memory, or in device memory; auto: on a GPU "
            "the fastest with enough room, else on disk",
            words("auto", "off", "memory", "device"),
        ),
    ),
    "Device and speed": (
        Flag(
            "device",
            ("train", "test"),
            "device to compute on; auto: a CUDA GPU if there is one, else the CPU",
            {
                "type": one_of(r"auto|cpu|mps|cuda(:\d{1,2})?", "auto, cpu, cuda[:N] or mps"),
                "metavar": "auto|cpu|cuda[:N]|mps",
            },
        ),
        Flag(
            "engine",
            ("test",),
            "library that runs the network; auto: the fastest in a short benchmark, whose result is cached",
            words("auto", "torch", "ncnn", "openvino"),
        ),
        Flag(
            "precision",
            ("train", "test"),
            "number format of the computation; auto: fp16 on a GPU, bf16 on a CPU where it is faster, else fp32",
            words("auto", "fp32", "bf16", "fp16"),
        ),
        Flag("threads", ("train", "test"), "CPU threads", {"type": whole(1, 1024), "metavar": "N"}),
        Flag(
            "tile",
            ("test",),
            "largest side in LR pixels of the tiles that are computed one at a time, rounded down to a multiple of 6; "
            "auto: chosen for the engine",
            {"type": tile_side, "metavar": "auto|N"},
        ),
        Flag(
            "self_ensemble",
            ("test",),
            "average the results for the 8 flips and rotations of the picture, which takes 8 times as long",
            ON,
        ),
    ),
    "Logging and reproducibility": (
        Flag("seed", ("train", "test"), "seed of the random numbers", {"type": whole(0), "metavar": "N"}),
        Flag(
            "visdom",
            ("train", "test"),
            "address of the dashboard server; auto: localhost, port 8097, where training starts a server if there is "
            "none",
            {"type": checked(dashboard_server), "metavar": "auto|off|URL"},
        ),
        Flag("debug", ALL_MODES, "show the traceback of an error", ON),
    ),
}
NOTES = {  # below the titles of groups
    "Degradation": "What is applied to the HR pictures and told to the network; with --input, what the LR pictures are "
    "assumed to have gone through.",
    "What the network is told": "Only for HR pictures. Without these flags the network is told what was applied.",
}
FLAGS = tuple(flag for flags in GROUPS.values() for flag in flags)
DEFAULTS = {  # those that are not the default of the request's field
    ("train", "output"): "runs/NAME",
    ("test", "output"): "results/NAME",
    ("prepare", "output"): "data/NAME.h5",
    ("train", "train_data"): "the built-in set",
    ("train", "train_kernels"): "none: Gaussians only",
    ("prepare", "train_data"): "the built-in set",
    ("train", "weights"): "none",
    ("test", "weights"): "the shipped network for the scale and the noise level",
    ("test", "scale_factor"): "the scale of --weights, else 2",
    ("test", "test_data"): "the held-out built-in photos",
    ("test", "kernel"): "delta; required with --input",
    ("test", "assumed_kernel"): "the value of --kernel",
    ("test", "assumed_noise_level"): "the value of --noise_level or --noise_map",
    ("test", "tile"): "auto",
    ("train", "threads"): "PyTorch's default",
    ("test", "threads"): "PyTorch's default",
    ("test", "downsampler"): "the one that the weights were trained for",
}


def default(flag: Flag, mode: str) -> str:
    """Return the default of a flag in a mode, in words."""
    values = {field.name: field.default for field in fields(REQUESTS[mode])}
    fallback = False if flag.options == ON else None  # for flags without a field, such as --kernel_index
    value = DEFAULTS.get((mode, flag.name), values.get(flag.name, fallback))
    if isinstance(value, float):
        return f"{value:g}"
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
