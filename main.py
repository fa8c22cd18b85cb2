"""SRMD: super-resolves pictures whose blur kernel and noise level it is told.

    python main.py --mode=train --scale_factor=2
    python main.py --mode=test --kernel=kernels/isotropic_1.3.mat
    python main.py --mode=test --input photo.png --kernel=gaussian:1.3 --noise_level=5
    python main.py --mode=prepare --train_data=pictures --output=pictures.h5

Turns flags into a checked, typed configuration and dispatches one mode; --mode=MODE --help lists what that mode takes.
"""

import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from config import KernelChoice, NamedKernel, PrepareConfig, TestConfig, TrainConfig
from errors import InputError, Stopped, asked_by
from files import make_folder
from flags import CONFIGS, FLAGS, Parser, mode_parser, words
from kernel import delta, recentred
from regions import check_labels

HERE = Path(__file__).parent


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
        if not name.startswith("-"):
            raise InputError(f"{name}: expected a flag, such as --input or --test_data in front of pictures")
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

    config = run_config(given)
    if "gaussian_share" in given and config.train_kernels is None:
        raise InputError(f"--gaussian_share: for --train_kernels, found {config.gaussian_share:g} without it")
    return config


def _test_config(given: dict) -> TestConfig:
    config = TestConfig(**given | _chosen_kernels(given))
    if config.input:
        for name in ("test_data", "save_lr", "assumed_kernel", "assumed_noise_level"):
            if name in given:
                raise InputError(f"--{name}: for HR pictures, found --input, which takes LR pictures")
        if not config.kernel:
            raise InputError("--kernel: required with --input: there is no honest default (delta: no blur)")
    config = replace(config, kernel=config.kernel or [NamedKernel("delta", delta())])
    _check_maps(config, given)
    config = replace(config, given_paths=_given_paths(config, given))
    if config.save_kernel:
        _check_kernel_overwrites_nothing(config)
    config = replace(config, weights=config.weights or _shipped_weights(config))
    name = f"{config.weights.stem}_{datetime.now():%Y%m%d-%H%M%S-%f}"  # two may start in one second
    return replace(config, output=config.output or Path("results") / name)


def _check_maps(config: TestConfig, given: dict) -> None:
    """Raises InputError where kernels, regions and noise don't belong together."""
    count = len(config.kernel)
    if config.regions is None:
        if count > 1:
            raise InputError(f"--kernel: found {count}, which need --regions to say where each one is")
        if "region_blend" in given:
            raise InputError("--region_blend: softens the borders of --regions, found none")
    else:
        if count == 1:
            raise InputError("--regions: says which of several --kernel is where, found one kernel")
        with asked_by(f"--regions: {config.regions.path}"):
            check_labels(config.regions.values, count)
    if "noise_map" in given and "noise_level" in given:
        raise InputError("--noise_map: takes the place of --noise_level, found both")


def _given_paths(config: TestConfig, given: dict) -> list[Path]:
    kernels = [Path(choice.spec) for _, choice in _kernel_choices(given) if os.path.isfile(choice.spec)]
    maps = [named.path for named in (config.regions, config.noise_map) if named]
    return [path for path in (*config.input, *kernels, *maps, config.test_data, config.weights, config.pca) if path]


def _check_kernel_overwrites_nothing(config: TestConfig) -> None:
    """Refuses to draw a kernel over a file that was given, or that lies in a folder that was given."""
    path = config.save_kernel.resolve()
    if path.exists() and any(path.is_relative_to(source.resolve()) for source in config.given_paths):
        raise InputError(f"--save_kernel: {config.save_kernel} would overwrite an input")


def _kernel_choices(given: dict) -> list[tuple[str, KernelChoice]]:
    """What was asked for as a kernel, by the flags' names."""
    choices = [("kernel", choice) for choice in given.get("kernel", [])]
    return [*choices, ("assumed_kernel", given["assumed_kernel"])] if "assumed_kernel" in given else choices


def _chosen_kernels(given: dict) -> dict[str, list[NamedKernel] | NamedKernel]:
    """What the flags of kernels mean: of each file of several the one of its index, re-centred where asked."""
    choices = _kernel_choices(given)
    several = [(name, choice) for name, choice in choices if len(choice.arrays) > 1]
    indices = given.get("kernel_index", [])
    if several and not indices:
        name, choice = several[0]
        found = f"found {choice.spec}, which holds {len(choice.arrays)}"
        raise InputError(f"--{name}: expected one kernel, {found}: take one by --kernel_index=N, counted from 0")
    if indices and not several:
        raise InputError("--kernel_index: for a file of several kernels, found none of them given")
    if len(indices) not in (0, 1, len(several)):
        expected = "expected it once, or once for each file of several kernels"
        raise InputError(f"--kernel_index: {expected}, found it {len(indices)} times for {len(several)} such files")
    of_each = iter(indices * len(several) if len(indices) == 1 else indices)
    chosen = [(name, _chosen(choice, of_each, "recentre_kernel" in given)) for name, choice in choices]
    kernels = {"kernel": [kernel for name, kernel in chosen if name == "kernel"]}
    return kernels | {name: kernel for name, kernel in chosen if name == "assumed_kernel"}


def _chosen(choice: KernelChoice, indices: Iterator[int], recentre: bool) -> NamedKernel:
    spec, index, count = choice.spec, 0, len(choice.arrays)
    if count > 1:
        index = next(indices)
        if index >= count:
            raise InputError(f"--kernel_index: {spec} holds {count} kernels, 0 to {count - 1}; found {index}")
        spec = f"{spec}[{index}]"
    kernel = choice.arrays[index]
    if recentre:
        with asked_by(f"--recentre_kernel: {spec}"):
            kernel = recentred(kernel)
    return NamedKernel(spec if kernel is choice.arrays[index] else f"{spec}, re-centred", kernel)


def _shipped_weights(config: TestConfig) -> Path:
    """SRMDNF where no noise is assumed, SRMD otherwise or where there is no SRMDNF."""
    scale = config.scale_factor or 2
    noisy = config.assumed.noisy
    kinds = ["srmd"] if noisy else ["srmdnf", "srmd"]
    for kind in kinds:
        path = HERE / "weights" / f"{kind}_x{scale}.safetensors"
        if path.exists():
            return path
    noise_free = "" if noisy else " --noise_free"
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
    """Runs what the flags ask for; 0, 1 (failed), 2 (wrong request), 130 or 143 (stopped, saved), 141 (closed pipe)."""
    try:
        try:
            run(parse(arguments))
        finally:
            sys.stdout.flush()  # here, and not when Python has ended, it is known what to do with a closed pipe
    except BrokenPipeError:  # whoever read the output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
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
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        getattr(sys, name).reconfigure(errors="backslashreplace")  # a name that the terminal can't show ends nothing
    sys.exit(main(sys.argv[1:]))
