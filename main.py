"""SRMD: super-resolves pictures whose blur kernel and noise level it is told.

    python main.py --mode=train --scale_factor=2
    python main.py --mode=test --kernel=kernels/isotropic_1.3.mat
    python main.py --mode=test --input photo.png --kernel=gaussian:1.3 --noise_level=5
    python main.py --mode=prepare --train_data=pictures --output=pictures.h5

Turns flags into a checked, typed configuration and dispatches one mode; --mode=MODE --help lists what that mode takes.
"""

import argparse
import math
import os
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from config import NamedKernel, PrepareConfig, TestConfig, TrainConfig
from dashboard import check_address
from errors import InputError, Stopped, asked_by
from files import make_folder
from kernel import delta, parse_kernel

HERE = Path(__file__).parent
CONFIGS = {"train": TrainConfig, "test": TestConfig, "prepare": PrepareConfig}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line that starts with the flag."""

    def error(self, message: str) -> NoReturn:
        raise InputError(re.sub(r"^argument (-\S+?)(/\S+)?:", r"\1:", message))


def number(least: float, most: float = math.inf, above: bool = False) -> Callable[[str], float]:
    """A parser of finite numbers from `least` (itself excluded where `above`) to `most`."""
    bounds = f"{'above' if above else 'of at least'} {least:g}" + (f" and at most {most:g}" if most < math.inf else "")

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not least <= value <= most or (above and value == least):
            raise argparse.ArgumentTypeError(f"expected a number {bounds}, found {text!r}")
        return value

    return parse


def whole(least: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` on."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,12}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, found {text!r}")
        return int(text)

    return parse


def one_of(pattern: str, expected: str) -> Callable[[str], str]:
    """A parser of words that a regular expression describes."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")
        return text

    return parse


def existing(text: str) -> Path:
    """A parser of paths that exist."""
    if not os.path.exists(text):  # Path.exists raises where a name is too long
        raise argparse.ArgumentTypeError(f"{text}: no such file or folder")
    return Path(text)


def output_path(text: str) -> Path:
    """A parser of paths to write to."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found nothing")
    return Path(text)


def checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser that says by InputError what is wrong, as argparse wants it said."""

    def parse_or_say(text: str) -> Any:
        try:
            return parse(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse_or_say


def named_kernel(spec: str) -> NamedKernel:
    """A parser of kernels."""
    return NamedKernel(spec, parse_kernel(spec))


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
    Flag("scale_factor", ("train", "test"), "HR pixels per LR pixel and axis", {"type": whole(1), "metavar": "N"}),
    Flag("output", ("train", "test", "prepare"), "where results go", {"type": output_path, "metavar": "PATH"}),
    Flag("weights", ("train", "test"), "the network to test, or to start from", {"type": existing, "metavar": "FILE"}),
    Flag("pca", ("test",), "P (.mat) for weights that carry none", {"type": existing, "metavar": "FILE"}),
    Flag(
        "train_data", ("train", "prepare"), "folder of pictures, or a packed .h5", {"type": existing, "metavar": "PATH"}
    ),
    Flag("head", ("train",), "the paper's sub-pixel head, or this project's own", words("subpixel", "upsample")),
    Flag("noise_free", ("train",), "SRMDNF: train without noise, tell no noise level", ON),
    Flag("batch_norm", ("train",), "batch norm behind the inner layers; wants large batches", ON),
    Flag("steps", ("train",), "steps of the optimizer", {"type": whole(1), "metavar": "N"}),
    Flag("batch_size", ("train",), "patches a step", {"type": whole(1), "metavar": "N"}),
    Flag("patch_size", ("train",), "side of a patch in LR pixels", {"type": whole(4), "metavar": "N"}),
    Flag("lr", ("train",), "learning rate after the warm-up", {"type": number(0, 1, above=True), "metavar": "X"}),
    Flag("loss", ("train",), "mean absolute or mean squared error", words("l1", "l2")),
    Flag("save_every", ("train",), "steps between checkpoints", {"type": whole(1), "metavar": "N"}),
    Flag(
        "resume",
        ("train",),
        "go on from the newest checkpoint of PATH, of --output or of the newest run",
        {"nargs": "?", "const": "", "metavar": "PATH"},
    ),
    Flag("test_data", ("test",), "HR pictures: degrade, restore, score", {"type": existing, "metavar": "PATH"}),
    Flag("input", ("test",), "LR pictures or folders: restore", {"type": existing, "nargs": "+", "metavar": "PATH"}),
    Flag(
        "kernel",
        ("test",),
        "the blur: delta, gaussian:W, gaussian:W1,W2,ANGLE (widths, i.e. standard deviations, in HR pixels; degrees) "
        "or a .mat, .npy or .png file",
        {"type": checked(named_kernel), "metavar": "SPEC"},
    ),
    Flag(
        "noise_level", ("test",), "standard deviation of the noise, 0 to 255", {"type": number(0, 255), "metavar": "X"}
    ),
    Flag(
        "assumed_kernel",
        ("test",),
        "what the network is told instead",
        {"type": checked(named_kernel), "metavar": "SPEC"},
    ),
    Flag("assumed_noise_level", ("test",), "what it is told instead", {"type": number(0, 255), "metavar": "X"}),
    Flag("downsampler", ("train", "test"), "MATLAB's bicubic, or every s-th pixel", words("bicubic", "direct")),
    Flag("save_lr", ("test",), "keep the LR pictures, clipped and rounded to 8 bits", ON),
    Flag(
        "device",
        ("train", "test"),
        "what computes",
        {"type": one_of(r"auto|cpu|cuda(:\d{1,2})?", "auto, cpu or cuda[:N]"), "metavar": "auto|cpu|cuda[:N]"},
    ),
    Flag("precision", ("train", "test"), "auto: bf16 where the hardware gains by it", words("auto", "fp32", "bf16")),
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
    ("prepare", "train_data"): "the built-in set",
    ("train", "weights"): "none",
    ("test", "weights"): "the shipped network for scale and noise",
    ("test", "scale_factor"): "the weights' own, else 2",
    ("test", "test_data"): "the held-out built-in photos",
    ("test", "kernel"): "delta; required with --input",
    ("test", "assumed_kernel"): "--kernel",
    ("test", "assumed_noise_level"): "--noise_level",
}


def default(flag: Flag, mode: str) -> str:
    """What a flag means where it is not given, for a person."""
    values = {f.name: f.default for f in fields(CONFIGS[mode])}
    value = DEFAULTS.get((mode, flag.name), values[flag.name])
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


def parse(arguments: list[str]) -> TrainConfig | TestConfig | PrepareConfig:
    """Flags to the configuration of their mode; InputError names the flag that is wrong."""
    first = Parser("main.py", add_help=False, allow_abbrev=False)
    first.add_argument("--mode", **words(*CONFIGS))
    mode = first.parse_known_args(arguments)[0].mode
    if mode is None:
        if {"-h", "--help"} & set(arguments):
            print(__doc__)
            raise SystemExit(0)
        raise InputError("--mode: expected train, test or prepare, found nothing")
    given, unknown = mode_parser(mode).parse_known_args(arguments)
    if unknown:
        name = unknown[0].split("=")[0]
        modes = next((flag.modes for flag in FLAGS if f"--{flag.name}" == name), None)
        raise InputError(
            f"{name}: not used by --mode={mode} (but by {', '.join(modes)})" if modes else f"{name}: unknown flag"
        )
    values = {name: value for name, value in vars(given).items() if name != "mode"}
    if mode == "prepare":
        return _prepare_config(values)
    if "output" in values and values["output"].is_file():
        raise InputError(f"--output: expected a folder, found the file {values['output']}")
    values["command"] = shlex.join(["python", "main.py", *arguments])
    return _train_config(values) if mode == "train" else _test_config(values)


def _train_config(given: dict) -> TrainConfig:
    from run_folder import run_config

    return run_config(given)


def _test_config(given: dict) -> TestConfig:
    config = TestConfig(**given)
    if config.input:
        for name in ("test_data", "save_lr", "assumed_kernel", "assumed_noise_level", "downsampler"):
            if name in given:
                raise InputError(f"--{name}: for HR pictures, found --input, which takes LR pictures")
        if config.kernel is None:
            raise InputError("--kernel: required with --input: there is no honest default (delta: no blur)")
    applied = config.kernel or NamedKernel("delta", delta())
    noise_level = config.noise_level if config.assumed_noise_level is None else config.assumed_noise_level
    config = replace(config, kernel=applied, assumed_kernel=config.assumed_kernel or applied)
    config = replace(config, assumed_noise_level=noise_level)
    config = replace(config, weights=config.weights or _shipped_weights(config))
    name = f"{config.weights.stem}_{datetime.now():%Y%m%d-%H%M%S}"
    return replace(config, output=config.output or Path("results") / name)


def _shipped_weights(config: TestConfig) -> Path:
    """SRMDNF where no noise is assumed, SRMD otherwise or where there is no SRMDNF."""
    scale = config.scale_factor or 2
    kinds = ["srmd"] if config.assumed_noise_level else ["srmdnf", "srmd"]
    for kind in kinds:
        path = HERE / "weights" / f"{kind}_x{scale}.safetensors"
        if path.exists():
            return path
    noise_free = "" if config.assumed_noise_level else " --noise_free"
    train = f"python main.py --mode=train --scale_factor={scale}{noise_free}"
    raise InputError(f"--weights: no {' or '.join(kinds)} network for x{scale} is shipped; train one: {train}")


def _prepare_config(given: dict) -> PrepareConfig:
    config = PrepareConfig(**given)
    if config.train_data is not None and not config.train_data.is_dir():
        raise InputError(f"--train_data: expected a folder of pictures, found the file {config.train_data}")
    name = config.train_data.resolve().name if config.train_data else "builtin"
    output = config.output or Path("data") / f"{name}.h5"
    if output.suffix != ".h5" or output.is_dir():
        raise InputError(f"--output: expected an .h5 file, found {output}")
    return replace(config, output=output)


def run(config: TrainConfig | TestConfig | PrepareConfig) -> None:
    """Dispatches one mode; imports only what it needs."""
    if isinstance(config, PrepareConfig):
        from data_loader import pack

        with asked_by("--output"):
            make_folder(config.output.parent)
        with asked_by("--train_data"):
            print(pack(config.train_data, config.output))
        return
    from solver import Solver

    solver = Solver(config)
    solver.train() if isinstance(config, TrainConfig) else solver.test()


def main(arguments: list[str]) -> int:
    """Runs what the flags ask for; 0, 2 (wrong request), 1 (failed work), 130 or 143 (stopped, after saving)."""
    try:
        run(parse(arguments))
    except (Exception, KeyboardInterrupt, Stopped) as error:
        if "--debug" in arguments and not isinstance(error, (InputError, Stopped)):
            traceback.print_exc()
        if isinstance(error, Stopped):
            return 128 + error.signal
        if isinstance(error, KeyboardInterrupt):
            return 128 + signal.SIGINT
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def end_on_sigterm() -> None:
    """Makes SIGTERM end the process as Ctrl-C does, so that what is half done is cleaned up."""

    def end(number: int, _frame: object) -> NoReturn:
        raise Stopped(number)

    signal.signal(signal.SIGTERM, end)


if __name__ == "__main__":
    end_on_sigterm()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a name that the terminal can't show ends nothing
    sys.exit(main(sys.argv[1:]))
