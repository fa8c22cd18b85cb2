"""From flags to what a mode is asked for, checked and typed."""

import argparse
import os
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from srmd import __version__
from srmd.base.errors import InputError, prefix_errors
from srmd.base.paths import shipped_folder
from srmd.cli.flags import FLAGS, MODES, Parser, mode_parser
from srmd.cli.values import KernelChoice, existing, words
from srmd.config import NamedDegradation, NamedKernel, PrepareRequest, TestRequest, TrainConfig
from srmd.kernel.families import delta
from srmd.kernel.window import recentre_kernel
from srmd.pictures.maps import check_labels
from srmd.train.run_folder import run_config

Request = TrainConfig | TestRequest | PrepareRequest
HELP = """SRMD: super-resolves pictures whose blur kernel and noise level it is told.

    python main.py photo.png --kernel=gaussian:1.3 --noise_level=5    # the same as --mode=test --input photo.png …
    python main.py --mode=test --kernel=kernels/isotropic_1.3.mat
    python main.py --mode=train --scale_factor=2
    python main.py --mode=prepare --train_data=pictures --output=pictures.h5

--mode=MODE --help lists what a mode takes (train, test or prepare), --version says which version this is."""


def parse(arguments: list[str]) -> Request:
    """What the flags ask for; InputError names the flag that is wrong. Help and version end by SystemExit(0)."""
    arguments, pictures = _split_at_dashes(arguments)
    first = Parser("main.py", add_help=False, allow_abbrev=False)
    first.add_argument("--mode", **words(*MODES))
    mode = first.parse_known_args(arguments)[0].mode
    if mode is None and not pictures:
        _answer_without_a_mode(arguments)
    given, unknown = _parse_mode(mode, arguments, pictures)
    if unknown:
        raise InputError(_why_unknown(unknown[0].split("=")[0], mode or "test"))
    if mode == "prepare":
        return _prepare_request(given)
    if "output" in given and given["output"].is_file():
        raise InputError(f"expected a folder, found the file {given['output']}", "output")
    given["command"] = shlex.join(["python", "main.py", *arguments, *(["--", *pictures] if pictures else [])])
    return _train_config(given) if mode == "train" else _test_request(given)


def _split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before `--`, and the pictures behind it, whatever they are called."""
    if "--" not in arguments:
        return arguments, []
    place = arguments.index("--")
    return arguments[:place], arguments[place + 1 :]


def _answer_without_a_mode(arguments: list[str]) -> None:
    if not arguments or {"-h", "--help"} & set(arguments):
        print(HELP)
        raise SystemExit(0)
    if "--version" in arguments:
        print(f"srmd {__version__}")
        raise SystemExit(0)


def _parse_mode(mode: str | None, arguments: list[str], behind: list[str]) -> tuple[dict, list[str]]:
    """The values of the flags that were given, and what is unknown. Without a mode pictures are to be restored."""
    if mode is not None:
        given, unknown = mode_parser(mode).parse_known_args(arguments)
        return {name: value for name, value in vars(given).items() if name != "mode"}, unknown + behind
    parser = mode_parser("test")
    parser.add_argument("pictures", nargs="*")
    given, unknown = parser.parse_known_intermixed_args(arguments)
    values = {name: value for name, value in vars(given).items() if name != "mode"}
    pictures = [*values.pop("pictures"), *behind]
    if not pictures and not values.get("input"):
        raise InputError("expected train, test or prepare, or pictures to restore, found neither", "mode")
    try:
        values["input"] = [*map(existing, pictures), *values.get("input", [])]
    except argparse.ArgumentTypeError as error:
        raise InputError(str(error), "input") from error
    return values, unknown


def _why_unknown(name: str, mode: str) -> str:
    if not name.startswith("-"):
        return f"{name}: expected a flag, such as --input or --test_data in front of pictures"
    modes = next((flag.modes for flag in FLAGS if f"--{flag.name}" == name), None)
    return f"{name}: not used by --mode={mode} (but by {', '.join(modes)})" if modes else f"{name}: unknown flag"


def _train_config(given: dict) -> TrainConfig:
    config = run_config(given)
    if "gaussian_share" in given and config.train_kernels is None:
        raise InputError(f"for `train_kernels`, found {config.gaussian_share:g} without it", "gaussian_share")
    return config


def _test_request(given: dict) -> TestRequest:
    given = given | _chosen_kernels(given)
    for name in ("kernel_index", "recentre_kernel"):
        given.pop(name, None)
    if given.get("input"):
        for name in ("test_data", "save_lr", "assumed_kernel", "assumed_noise_level"):
            if name in given:
                raise InputError("for HR pictures, found --input, which takes LR pictures", name)
        if not given["kernel"]:
            raise InputError("required with --input: there is no honest default (delta: no blur)", "kernel")
    given["kernel"] = given["kernel"] or [NamedKernel("delta", delta())]
    _check_maps(given)
    if "weights" not in given:
        given["weights"] = _shipped_weights(given)
    name = f"{given['weights'].stem}_{datetime.now():%Y%m%d-%H%M%S-%f}"  # two may start in one second
    request = TestRequest(**{"output": Path("results") / name} | given)
    if request.save_kernel:
        _check_kernel_overwrites_nothing(request)
    return request


def _check_maps(given: dict) -> None:
    """Raises InputError where kernels, regions and noise don't belong together."""
    count, regions = len(given["kernel"]), given.get("regions")
    if regions is None:
        if count > 1:
            raise InputError(f"found {count}, which need --regions to say where each one is", "kernel")
        if "region_blend" in given:
            raise InputError("softens the borders of --regions, found none", "region_blend")
    else:
        if count == 1:
            raise InputError("says which of several --kernel is where, found one kernel", "regions")
        with prefix_errors("regions"), prefix_errors(str(regions.path)):
            check_labels(regions.values, count)
    if "noise_map" in given and "noise_level" in given:
        raise InputError("takes the place of --noise_level, found both", "noise_map")


def _check_kernel_overwrites_nothing(request: TestRequest) -> None:
    """Refuses to draw a kernel over a file that was given, or that lies in a folder that was given."""
    path = request.save_kernel.resolve()
    if path.exists() and any(path.is_relative_to(source.resolve()) for source in request.input_paths):
        raise InputError(f"{request.save_kernel} would overwrite an input", "save_kernel")


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
        raise InputError(f"expected one kernel, {found}: take one by --kernel_index=N, counted from 0", name)
    if indices and not several:
        raise InputError("for a file of several kernels, found none of them given", "kernel_index")
    if len(indices) not in (0, 1, len(several)):
        expected = "expected it once, or once for each file of several kernels"
        raise InputError(f"{expected}, found it {len(indices)} times for {len(several)} such files", "kernel_index")
    of_each = iter(indices * len(several) if len(indices) == 1 else indices)
    chosen = [(name, _chosen(choice, of_each, "recentre_kernel" in given)) for name, choice in choices]
    kernels = {"kernel": [kernel for name, kernel in chosen if name == "kernel"]}
    return kernels | {name: kernel for name, kernel in chosen if name == "assumed_kernel"}


def _chosen(choice: KernelChoice, indices: Iterator[int], recentre: bool) -> NamedKernel:
    spec, index, count = choice.spec, 0, len(choice.arrays)
    if count > 1:
        index = next(indices)
        if index >= count:
            raise InputError(f"{spec} holds {count} kernels, 0 to {count - 1}; found {index}", "kernel_index")
        spec = f"{spec}[{index}]"
    kernel = choice.arrays[index]
    if recentre:
        with prefix_errors("recentre_kernel"), prefix_errors(spec):
            kernel = recentre_kernel(kernel)
    spec = spec if kernel is choice.arrays[index] else f"{spec}, re-centred"
    return NamedKernel(spec, kernel, Path(choice.spec) if os.path.isfile(choice.spec) else None)


def _shipped_weights(given: dict) -> Path:
    """SRMDNF where no noise is assumed, SRMD otherwise or where there is no SRMDNF."""
    scale = given.get("scale_factor") or 2
    noise = given.get("assumed_noise_level", given.get("noise_map", given.get("noise_level", 0.0)))
    noisy = NamedDegradation([], noise).has_noise
    kinds = ["srmd"] if noisy else ["srmdnf", "srmd"]
    for kind in kinds:
        path = shipped_folder("weights") / f"{kind}_x{scale}.safetensors"
        if path.exists():
            return path
    noise_free = "" if noisy else " --noise_free"
    train = f"python main.py --mode=train --scale_factor={scale}{noise_free}"
    raise InputError(f"no {' or '.join(kinds)} network for x{scale} is shipped; train one: {train}", "weights")


def _prepare_request(given: dict) -> PrepareRequest:
    train_data = given.get("train_data")
    if train_data is not None and not train_data.is_dir():
        raise InputError(f"expected a folder of pictures, found the file {train_data}", "train_data")
    name = train_data.resolve().name if train_data else "builtin"
    request = PrepareRequest(**{"output": Path("data") / f"{name}.h5"} | given)
    if request.output.suffix != ".h5" or request.output.is_dir():
        raise InputError(f"expected an .h5 file, found {request.output}", "output")
    return request
