"""Every flag: what it takes, which modes take it, what it means and what it is where it is not given."""

import argparse
import math
import os
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from srmd.base.errors import InputError
from srmd.config import NamedMap, PrepareRequest, TestRequest, TrainConfig
from srmd.kernel.specs import parse_kernels
from srmd.pictures.maps import read_labels, read_noise_map
from srmd.show.dashboard import check_address
from srmd.train.kernels import MAX_WINDOW

LONGEST_NAME = 255  # bytes that file systems take
MAX_SCALE = 8  # beyond, the last layer and the crops of a batch outgrow memory, and nothing is left to restore
REQUESTS = {"train": TrainConfig, "test": TestRequest, "prepare": PrepareRequest}
MODES = tuple(REQUESTS)


@dataclass(frozen=True)
class KernelChoice:
    """The kernels of a file, or the one of a formula, and the words they were asked for with."""

    spec: str
    arrays: list[np.ndarray]  # of (k, k), k odd, sum 1


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line that starts with the flag."""

    def error(self, message: str) -> NoReturn:
        raise InputError(re.sub(r"^argument (-\S+?)(/\S+)?:", r"\1:", message))


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


@dataclass(frozen=True)
class Flag:
    """A flag, the modes that take it, and what argparse is told of it."""

    name: str
    modes: tuple[str, ...]
    help: str
    options: dict[str, Any]


ON = {"action": "store_true"}
FLAGS = (
    Flag(
        "scale_factor",
        ("train", "test"),
        "HR pixels per LR pixel and axis",
        {"type": whole(1, MAX_SCALE), "metavar": "N"},
    ),
    Flag("output", ("train", "test", "prepare"), "where results go", {"type": output_path, "metavar": "PATH"}),
    Flag("weights", ("train", "test"), "the network to test, or to start from", {"type": existing, "metavar": "FILE"}),
    Flag("pca", ("test",), "P (.mat) for weights that carry none", {"type": existing, "metavar": "FILE"}),
    Flag(
        "train_data",
        ("train", "prepare"),
        "folder of pictures; to train, a packed .h5 too",
        {"type": existing, "metavar": "PATH"},
    ),
    Flag(
        "train_kernels",
        ("train",),
        "your own kernels to train on, in a folder or one file of many; P is then computed from what is trained on",
        {"type": existing, "metavar": "PATH"},
    ),
    Flag(
        "gaussian_share",
        ("train",),
        "share of Gaussians among the kernels, 0 to 1, with --train_kernels",
        {"type": number(0, 1), "metavar": "X"},
    ),
    Flag(
        "kernel_size",
        ("train",),
        "side of the kernels' window in HR pixels, odd, 3 to 63",
        {"type": odd(3, MAX_WINDOW), "metavar": "N"},
    ),
    Flag("pca_dim", ("train",), "numbers that a kernel code has", {"type": whole(1), "metavar": "N"}),
    Flag("head", ("train",), "the paper's sub-pixel head, or this project's own", words("subpixel", "upsample")),
    Flag("noise_free", ("train",), "SRMDNF: train without noise, tell no noise level", ON),
    Flag("batch_norm", ("train",), "batch norm behind the inner layers; wants large batches", ON),
    Flag("steps", ("train",), "steps of the optimizer", {"type": whole(1), "metavar": "N"}),
    Flag("batch_size", ("train",), "patches a step", {"type": whole(1), "metavar": "N"}),
    Flag("patch_size", ("train",), "side of a patch in LR pixels", {"type": whole(4), "metavar": "N"}),
    Flag("lr", ("train",), "learning rate after the warm-up", {"type": number(0, 1, above=True), "metavar": "X"}),
    Flag("loss", ("train",), "mean absolute or mean squared error", words("l1", "l2")),
    Flag(
        "cache",
        ("train",),
        "where the packed pictures lie: read from disk, in memory or on the device; auto: for a GPU the nearest that "
        "has room",
        words("auto", "off", "memory", "device"),
    ),
    Flag("save_every", ("train",), "steps between checkpoints", {"type": whole(1), "metavar": "N"}),
    Flag(
        "resume",
        ("train",),
        "go on from the newest checkpoint of PATH, of --output or of the newest run",
        {"type": lambda text: text and str(output_path(text)), "nargs": "?", "const": "", "metavar": "PATH"},
    ),
    Flag("test_data", ("test",), "HR pictures: degrade, restore, score", {"type": existing, "metavar": "PATH"}),
    Flag(
        "input",
        ("test",),
        "LR pictures or folders: restore",
        {"type": existing, "nargs": "+", "action": "extend", "metavar": "PATH"},
    ),
    Flag(
        "kernel",
        ("test",),
        "the blur: delta, gaussian:W, gaussian:W1,W2,ANGLE (widths: standard deviations in HR pixels, not variances; "
        "degrees) or a .mat, .npy, .png, .txt or .csv file; several times with --regions",
        {"type": checked(kernel_choice), "action": "append", "metavar": "SPEC"},
    ),
    Flag(
        "kernel_index",
        ("test",),
        "which kernel of a file that holds several, counted from 0; again for each further such file, or once for all",
        {"type": whole(0), "action": "append", "metavar": "N"},
    ),
    Flag("recentre_kernel", ("test",), "move each kernel's centre of mass to its middle", ON),
    Flag(
        "save_kernel",
        ("test",),
        "draw the kernel, enlarged (.png), or save it as it is applied (.mat)",
        {"type": kernel_output, "metavar": "FILE"},
    ),
    Flag(
        "regions",
        ("test",),
        "which kernel is where: a picture of LR's or HR's size whose pixels have the value i for the i-th --kernel, "
        "counted from 0",
        {"type": checked(named_map(read_labels)), "metavar": "FILE"},
    ),
    Flag(
        "region_blend",
        ("test",),
        "standard deviation, in LR pixels, of the Gaussian that softens the borders of --regions, 0 to 100",
        {"type": number(0, 100), "metavar": "X"},
    ),
    Flag(
        "noise_level", ("test",), "standard deviation of the noise, 0 to 255", {"type": number(0, 255), "metavar": "X"}
    ),
    Flag(
        "noise_map",
        ("test",),
        "a noise level for each pixel instead: a grey picture or .npy of LR's or HR's size, 0 to 255",
        {"type": checked(named_map(read_noise_map)), "metavar": "FILE"},
    ),
    Flag(
        "assumed_kernel",
        ("test",),
        "what the network is told instead",
        {"type": checked(kernel_choice), "metavar": "SPEC"},
    ),
    Flag("assumed_noise_level", ("test",), "what it is told instead", {"type": number(0, 255), "metavar": "X"}),
    Flag("downsampler", ("train", "test"), "MATLAB's bicubic, or every s-th pixel", words("bicubic", "direct")),
    Flag("self_ensemble", ("test",), "the mean over the picture's 8 flips and turns; 8 times as slow", ON),
    Flag(
        "tile",
        ("test",),
        "side in LR pixels of what is computed at once, in steps of 6; auto: what suits the engine",
        {"type": tile_side, "metavar": "auto|N"},
    ),
    Flag("save_lr", ("test",), "keep the LR pictures, clipped and rounded to 8 bits", ON),
    Flag(
        "device",
        ("train", "test"),
        "what computes",
        {
            "type": one_of(r"auto|cpu|mps|cuda(:\d{1,2})?", "auto, cpu, cuda[:N] or mps"),
            "metavar": "auto|cpu|cuda[:N]|mps",
        },
    ),
    Flag(
        "engine",
        ("test",),
        "what runs the network; auto: the fastest by a short benchmark, whose result is kept",
        words("auto", "torch", "ncnn", "openvino"),
    ),
    Flag(
        "precision",
        ("train", "test"),
        "auto: fp16 on a GPU, bf16 on a processor that gains by it",
        words("auto", "fp32", "bf16", "fp16"),
    ),
    Flag("threads", ("train", "test"), "processor threads", {"type": whole(1, 1024), "metavar": "N"}),
    Flag("seed", ("train", "test"), "of all that is random", {"type": whole(0), "metavar": "N"}),
    Flag(
        "visdom",
        ("train", "test"),
        "the dashboard's server; auto: on this machine, port 8097",
        {"type": checked(dashboard_server), "metavar": "auto|off|URL"},
    ),
    Flag("debug", ("train", "test", "prepare"), "show tracebacks", ON),
)
DEFAULTS = {
    ("train", "output"): "runs/NAME",
    ("test", "output"): "results/NAME",
    ("prepare", "output"): "data/NAME.h5",
    ("train", "train_data"): "the built-in set",
    ("train", "train_kernels"): "none: Gaussians alone",
    ("prepare", "train_data"): "the built-in set",
    ("train", "weights"): "none",
    ("test", "weights"): "the shipped network for scale and noise",
    ("test", "scale_factor"): "the weights' own, else 2",
    ("test", "test_data"): "the held-out built-in photos",
    ("test", "kernel"): "delta; required with --input",
    ("test", "assumed_kernel"): "--kernel",
    ("test", "assumed_noise_level"): "--noise_level or --noise_map",
    ("test", "tile"): "auto",
    ("train", "threads"): "PyTorch's own choice",
    ("test", "threads"): "PyTorch's own choice",
    ("test", "downsampler"): "what the weights were trained for",
}


def default(flag: Flag, mode: str) -> str:
    """What a flag means where it is not given, for a person."""
    values = {f.name: f.default for f in fields(REQUESTS[mode])}
    unread = False if flag.options == ON else None  # of flags that say how to read another one's file
    value = DEFAULTS.get((mode, flag.name), values.get(flag.name, unread))
    if isinstance(value, float):
        return f"{value:g}"
    return "off" if value is False else "none" if value in (None, MISSING) else str(value)


def mode_parser(mode: str) -> Parser:
    """The parser of one mode; flags that are not given leave no trace, so that a run can tell them apart."""
    parser = Parser(f"main.py --mode={mode}", description=f"--mode={mode} takes:", allow_abbrev=False)
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    for flag in FLAGS:
        if mode in flag.modes:
            text = f"{flag.help} (default: {default(flag, mode)})".replace("%", "%%")
            parser.add_argument(f"--{flag.name}", default=argparse.SUPPRESS, help=text, **flag.options)
    return parser


def flag_table() -> str:
    """All flags as the README's table."""
    lines = ["| flag | modes | means | default |", "|---|---|---|---|"]
    for flag in FLAGS:
        modes = flag.modes
        defaults = {mode: default(flag, mode) for mode in modes}
        same = len(set(defaults.values())) == 1
        stated = defaults[modes[0]] if same else "; ".join(f"{mode}: {text}" for mode, text in defaults.items())
        pattern = {None: "{} {}", "+": "{} {} ...", "?": "{}[={}]"}[flag.options.get("nargs")]
        name = pattern.format(f"--{flag.name}", flag.options.get("metavar", "")).strip().replace("|", "\\|")
        lines.append(f"| `{name}` | {', '.join(modes)} | {flag.help} | {stated} |")
    return "\n".join(lines)
