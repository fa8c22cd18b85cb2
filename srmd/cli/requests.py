"""Turns flags into the request of a mode, checked and typed."""

import argparse
import difflib
import os
import shlex
from datetime import datetime
from pathlib import Path

from srmd import __version__
from srmd.base.distributed import Processes
from srmd.base.errors import InputError
from srmd.cli.degradation_request import degradation_values
from srmd.cli.estimate_flags import check_estimating
from srmd.cli.export_request import export_request
from srmd.cli.flags import FLAGS, MODES, Parser, mode_parser
from srmd.cli.panel_flags import panel_request
from srmd.cli.restoring_checks import check_output, check_results, check_streams
from srmd.cli.standard_output import print_text
from srmd.cli.values import picture_source, words
from srmd.config import (
    AUTO,
    OFF,
    STANDARD_STREAM,
    ExportRequest,
    NamedDegradation,
    PackageRequest,
    PanelRequest,
    PrepareRequest,
    TestRequest,
    TrainConfig,
)
from srmd.kernel.files import is_kernel_output
from srmd.train.run_folder import check_shared_training, run_config
from srmd.weights.shipped import jpeg_counterpart, shipped_weights, weights_for_enlargement

Request = TrainConfig | TestRequest | PrepareRequest | ExportRequest | PanelRequest | PackageRequest
PACKAGE_COMMANDS = ("list_weights", "clear_cache")
HELP = """SRMD: super-resolution of pictures whose blur kernel and noise level are given or estimated.

    python main.py photo.png                                                    # restore a picture
    python main.py photo.png --kernel=gaussian:1.3 --noise_level=5              # with a known kernel and noise level
    python main.py --mode=test --test_data=pictures --kernel=gaussian:1.3       # degrade, restore and score pictures
    python main.py --mode=train --scale_factor=2                                # train a network
    python main.py --mode=prepare --train_data=pictures --output=pictures.h5    # pack pictures for training
    python main.py --mode=export --scale_factor=2 --export_format=onnx          # write a network for other programs
    python main.py --mode=panel photo.png                                       # restore a picture in the browser

--mode=MODE --help lists the flags of a mode: train, test (which also restores), prepare, export or panel.
--list_weights shows the networks of the package, --clear_cache empties its cache folder, --version prints the version.
The installed command srmd takes the same flags as python main.py."""


def parse(arguments: list[str], processes: Processes | None = None) -> Request:
    """The request that the arguments of the command line describe; `processes` are by default this one alone.

    Raises InputError, which names the flag, and SystemExit(0) after printing help or version.
    """
    processes = processes or Processes()
    arguments, pictures = _split_at_dashes(arguments)
    _check_values_of_dashes(arguments)
    first_parser = Parser("main.py", add_help=False, allow_abbrev=False)
    first_parser.add_argument("--mode", **words(*MODES))
    mode = first_parser.parse_known_args(arguments)[0].mode
    if mode is None and not pictures:
        _print_help_or_version(arguments)
        if request := _package_request(arguments):
            return request
    values, unknown = _parse_mode(mode, arguments, pictures)
    if unknown:
        raise InputError(_explain_unknown(unknown[0].split("=")[0], mode or "test"))
    if values.get("output") == STANDARD_STREAM and not values.get("input"):
        raise InputError("expected a path, because only --input writes to standard output, found '-'", "output")
    if mode in ("prepare", "export", "panel") and processes.are_several:
        raise InputError(f"expected train or test for {processes.count} processes, found {mode}", "mode")
    if mode == "prepare":
        return _prepare_request(values)
    if mode == "export":
        return export_request(values)
    if mode == "panel":
        return panel_request(values)
    check_output(values)
    values["command"] = shlex.join(["python", "main.py", *arguments, *(["--", *pictures] if pictures else [])])
    return _train_config(values, processes) if mode == "train" else _test_request(values, processes)


def _split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments before `--`, and those after it, which are pictures even if they start with a dash."""
    if "--" not in arguments:
        return arguments, []
    position = arguments.index("--")
    return arguments[:position], arguments[position + 1 :]


def _check_values_of_dashes(arguments: list[str]) -> None:
    """Raises InputError for `--flag=--`, whose value argparse would remove."""
    for argument in arguments:
        if argument.startswith("--") and argument.endswith("=--"):
            raise InputError("expected a value, found '--'", argument[2:-3])


def _print_help_or_version(arguments: list[str]) -> None:
    """Prints help or version and ends by SystemExit(0), if the arguments ask for them or are empty."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print_text(HELP)
        raise SystemExit(0)
    if "--version" in arguments:
        print_text(f"srmd {__version__}")
        raise SystemExit(0)


def _package_request(arguments: list[str]) -> PackageRequest | None:
    """The request of a command on the package itself; raises InputError if it comes with other arguments."""
    for command in PACKAGE_COMMANDS:
        if f"--{command}" in arguments:
            others = [argument for argument in arguments if argument not in (f"--{command}", "--debug")]
            if others:
                raise InputError(f"--{command}: expected no other argument, found {others[0]}")
            return PackageRequest(command, "--debug" in arguments)
    return None


def _parse_mode(mode: str | None, arguments: list[str], pictures_after_dashes: list[str]) -> tuple[dict, list[str]]:
    """The values of flags by name, and the unknown arguments. Without a mode, pictures are restored."""
    if mode in (None, "panel"):
        return _parse_pictures(mode or "test", arguments, pictures_after_dashes)
    namespace, unknown = mode_parser(mode).parse_known_args(arguments)
    return _without_mode(namespace), unknown + pictures_after_dashes


def _parse_pictures(mode: str, arguments: list[str], pictures_after_dashes: list[str]) -> tuple[dict, list[str]]:
    """The values and the unknown arguments of a mode; pictures between the flags become values of --input."""
    parser = mode_parser(mode)
    parser.add_argument("pictures", nargs="*")
    namespace, unknown = parser.parse_known_intermixed_args(arguments)
    values = _without_mode(namespace)
    pictures = [*values.pop("pictures"), *pictures_after_dashes]
    if mode == "test" and not pictures and not values.get("input") and not any(map(os.path.lexists, unknown)):
        raise InputError(
            "expected train, test, prepare, export or panel, or pictures to restore, found neither", "mode"
        )
    try:
        values["input"] = [*map(picture_source, pictures), *values.get("input", [])]
    except argparse.ArgumentTypeError as error:
        raise InputError(str(error), "input") from error
    return values, unknown


def _without_mode(namespace: argparse.Namespace) -> dict:
    return {name: value for name, value in vars(namespace).items() if name != "mode"}


def _explain_unknown(name: str, mode: str) -> str:
    """The error message for an argument that the mode does not take."""
    if not name.startswith("-"):
        examples = {"test": "--input or --test_data", "train": "--train_data", "prepare": "--train_data"}
        example = f", such as {examples[mode]} before the path of a picture" if mode in examples else ""
        return f"{name}: expected a flag{example}"
    if name.removeprefix("--") in (*PACKAGE_COMMANDS, "version"):
        return f"{name}: expected no other argument"
    modes = [mode for flag in FLAGS if f"--{flag.name}" == name for mode in flag.modes]
    if not modes and os.path.lexists(name):
        return f"{name}: expected a flag, found a file whose name begins like one; ./{name} names the file"
    if not modes:
        return f"{name}: unknown flag{_suggestion(name, mode)}"
    return f"{name}: not used by --mode={mode}, only by {' and '.join(modes)}"


def _suggestion(name: str, mode: str) -> str:
    """The flag of a mode that an unknown one resembles, as a question, or nothing."""
    flags = [f"--{flag.name}" for flag in FLAGS if mode in flag.modes]
    name = "--" + name.lstrip("-").replace("-", "_").lower()
    longer = [flag for flag in flags if flag.startswith(name) and len(name) > len("--x")]
    similar = longer or difflib.get_close_matches(name, flags, n=1, cutoff=0.8)
    return f"; do you mean {similar[0]}?" if similar else ""


def _train_config(values: dict, processes: Processes) -> TrainConfig:
    if values.pop("noise_free", False):
        if "conditions" in values:
            raise InputError("expected either this flag or --conditions, found both", "noise_free")
        values["conditions"] = ("kernel",)
    if processes.may_restart and not (values.get("resume") or {"output", "resume"} <= values.keys()):
        expected = "expected --output=FOLDER --resume, with which a restart by torchrun continues the run"
        raise InputError(f"{expected}, found {'no folder' if 'resume' in values else 'no --resume'}", "resume")
    if not processes.is_first:  # it may run on a machine without the run's folder, and gets the first one's values
        return TrainConfig(**values)
    config = run_config(values)
    check_shared_training(config, processes)
    _check_pack_flags(values, config.train_data)
    if "gaussian_share" in values and config.train_kernels is None:
        raise InputError("expected --train_kernels with it, found none", "gaussian_share")
    if "pca" in values and config.weights is None:
        raise InputError("expected --weights with it, the network that P belongs to, found none", "pca")
    return config


def _check_pack_flags(values: dict, train_data: Path | None) -> None:
    """Raises InputError if a flag for packing a folder is given without a folder."""
    for name in ("recursive", "pack_sizes", "pack_sizes_lossy", "max_pixels"):
        if name in values and (train_data is None or not train_data.is_dir()):
            found = "none" if train_data is None else f"the file {train_data}"
            raise InputError(f"expected a folder in --train_data, whose pictures are packed, found {found}", name)


def _test_request(values: dict, processes: Processes) -> TestRequest:
    if processes.are_several and STANDARD_STREAM in (values.get("output"), *values.get("input", [])):
        name = "output" if values.get("output") == STANDARD_STREAM else "input"
        raise InputError(f"expected a path for {processes.count} processes, found '-'", name)
    if values.get("input"):
        for name in ("test_data", "save_lr", "seed", "assumed_kernel", "assumed_noise_level", "assumed_jpeg"):
            if name in values:
                raise InputError("only for HR pictures, found --input, which takes LR pictures", name)
        check_streams(values)
    check_results(values)
    check_estimating(values)
    values = degradation_values(values)
    if "weights" not in values:
        values |= _shipped_networks(values)
    network = values["weights"].stem if values["weights"] else "srmd"
    name = f"{network}_{datetime.now():%Y%m%d-%H%M%S-%f}"  # unique, even for two tests in one second
    request = TestRequest(**{"output": Path("results") / name} | values)
    if request.save_kernel:
        _check_save_kernel(request)
    return request


def _check_save_kernel(request: TestRequest) -> None:
    """Raises InputError if --save_kernel would overwrite an input, or is a folder and there is one kernel."""
    if not is_kernel_output(request.save_kernel) and request.kernel != AUTO:
        raise InputError(f"expected a .png or .mat file, found {str(request.save_kernel)!r}", "save_kernel")
    path = request.save_kernel.resolve()
    if path.is_file() and any(path.is_relative_to(source.resolve()) for source in request.input_paths):
        raise InputError(f"{request.save_kernel} would overwrite an input", "save_kernel")


def _shipped_networks(values: dict) -> dict[str, Path | None]:
    """The values of `weights` and, where pictures may need different networks, of the fields for the other ones.

    `noise_free_weights` is for estimated noise levels, `jpeg_weights` for LR pictures that may be JPEGs.
    """
    noise = values.get("assumed_noise_level", values.get("noise_map", values.get("noise_level", 0.0)))
    networks = {"weights": _shipped_network(values, noise == AUTO or NamedDegradation([], noise).has_noise)}
    if noise == AUTO:
        networks["noise_free_weights"] = _shipped_network(values, False)
    qualities = {values.get("jpeg", OFF), values.get("assumed_jpeg", OFF)} - {OFF}
    if networks["weights"] is None or not qualities:
        return networks
    jpeg_weights = jpeg_counterpart(networks["weights"])
    if qualities == {AUTO}:
        return networks | {"jpeg_weights": jpeg_weights}
    return {"weights": jpeg_weights or networks["weights"]}  # all pictures are JPEGs, or assumed to be some


def _shipped_network(values: dict, noisy: bool) -> Path | None:
    """The path of the shipped network for a scale; None if `size` needs one for each picture."""
    scale = values.get("scale_factor")
    if scale is None and "size" in values:
        return None
    if scale is None and "outscale" in values:
        path, scale = weights_for_enlargement(values["outscale"], noisy), 2
    else:
        scale = scale or 2
        path = shipped_weights(scale, noisy)
    if path:
        return path
    kinds = "srmd" if noisy else "srmdnf or srmd"
    noise_free = "" if noisy else " --noise_free"
    train = f"python main.py --mode=train --scale_factor={scale}{noise_free}"
    raise InputError(f"no {kinds} network for x{scale} is shipped; train one: {train}", "weights")


def _prepare_request(values: dict) -> PrepareRequest:
    train_data = values.get("train_data")
    if train_data is not None and not train_data.is_dir():
        raise InputError(f"expected a folder of pictures, found the file {train_data}", "train_data")
    _check_pack_flags(values, train_data)
    name = train_data.resolve().name if train_data else "builtin"
    request = PrepareRequest(**{"output": Path("data") / f"{name}.h5"} | values)
    if request.output.suffix != ".h5" or request.output.is_dir():
        raise InputError(f"expected an .h5 file, found {request.output}", "output")
    return request
