"""Every flag: what it takes, which modes take it, what it means and what it is where it is not given."""

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
    named_map,
    number,
    odd,
    one_of,
    output_path,
    tile_side,
    whole,
    words,
)
from srmd.config import PrepareRequest, TestRequest, TrainConfig
from srmd.pictures.maps import read_labels, read_noise_map
from srmd.train.kernels import MAX_WINDOW

MAX_SCALE = 8  # beyond, the last layer and the crops of a batch outgrow memory, and nothing is left to restore
REQUESTS = {"train": TrainConfig, "test": TestRequest, "prepare": PrepareRequest}
MODES = tuple(REQUESTS)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line that starts with the flag."""

    def error(self, message: str) -> NoReturn:
        raise InputError(re.sub(r"^argument (-\S+?)(/\S+)?:", r"\1:", message))


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
