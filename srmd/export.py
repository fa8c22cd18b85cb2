"""Exports a network to a format of other programs, with or without a degradation built in."""

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from srmd import __version__
from srmd.backends.choice import is_installed
from srmd.base.errors import InputError, prefix_errors
from srmd.base.files import atomic_write, make_folder
from srmd.config import OFF, ExportRequest, NamedDegradation, NamedKernel, TestRequest
from srmd.degradation import Degradation, degradation_map
from srmd.evaluate.announcement import warnings
from srmd.evaluate.metrics_file import degradation_entry
from srmd.evaluate.settings import resolve_settings
from srmd.jpeg.tables import JpegTables
from srmd.kernel.window import fit_kernel
from srmd.model import NetworkConfig
from srmd.weights.export_ncnn import ncnn_export
from srmd.weights.export_onnx import OPSET, onnx_model
from srmd.weights.files import Weights, read_weights_with_pca, weights_bytes
from srmd.weights.shipped import network_name
from srmd.weights.surgery import merge_batch_norm

logger = logging.getLogger("srmd")

MAX_FLOAT16 = torch.finfo(torch.float16).max
KERNEL_DIGITS = 8  # of a kernel's SHA-256 in the name of a file


def export(request: ExportRequest) -> list[Path]:
    """Writes the files that a request asks for, and returns their paths; an existing file is replaced.

    Raises InputError, which names the argument, before anything is written.
    """
    if request.export_format == "onnx" and not is_installed("onnx"):
        raise InputError("onnx is not installed: pip install onnx", "export_format")
    weights = read_weights_with_pca(request.weights, request.pca)
    weights = Weights(merge_batch_norm(weights.network).eval(), weights.pca, weights.metadata)
    _check_float16(request, weights)
    baked = _baked_degradation(request, weights)
    path = _path(request, weights.network.config, baked)
    files = _files(path, request, weights, baked)
    with prefix_errors("output"):
        for file in files:
            if file.exists() and file.samefile(request.weights):
                raise InputError(f"{file} would overwrite the weights that are exported")
        make_folder(path.parent)
    for file, content in files.items():
        with atomic_write(file) as temporary:
            temporary.write_bytes(content)
    logger.info("%s: %s", ", ".join(map(str, files)), _describe(weights, baked))
    return list(files)


def _check_float16(request: ExportRequest, weights: Weights) -> None:
    largest = max(parameter.abs().max().item() for parameter in weights.network.parameters())
    if request.precision == "fp16" and largest > MAX_FLOAT16:
        raise InputError(f"expected fp32 for weights up to {largest:g}, found fp16", "precision")


def _baked_degradation(request: ExportRequest, weights: Weights) -> NamedDegradation | None:
    """The degradation that is built in, as the network is told it; None if it stays an input.

    Warnings are those of a test with the same degradation. Raises InputError if it does not suit the network.
    """
    if request.jpeg != OFF and "jpeg" not in weights.network.config.conditions:
        raise InputError(f"expected off for {request.weights}, not trained for JPEGs, found {request.jpeg}", "jpeg")
    test = TestRequest(
        weights=request.weights,
        output=request.output,
        kernel=request.kernel,
        noise_level=request.noise_level,
        jpeg=request.jpeg,
        scale_factor=request.scale_factor,
        downsampler=request.downsampler,
        input=[request.weights],  # stands for LR pictures: nothing is applied to them
    )
    settings = resolve_settings(test, weights)
    if not request.bake:
        return None
    for line in warnings(settings, weights):
        logger.warning(line)
    return settings.assumed


def baked_map(degradation: NamedDegradation, weights: Weights) -> Tensor:
    """The degradation map (1, C, 1, 1) of a degradation with one kernel, one noise level and one JPEG quality.

    The JPEG has the standard tables of its quality, in 4:2:0.
    """
    config = weights.network.config
    kernel = torch.from_numpy(fit_kernel(degradation.kernels[0].array, config.kernel_size)).float()
    uniform = Degradation.uniform(kernel[None], torch.tensor([float(degradation.noise)]))
    if degradation.jpeg is not None:
        uniform = uniform.with_jpeg(JpegTables.of_quality(degradation.jpeg))
    return degradation_map(uniform, weights.pca, config.conditions)


def _path(request: ExportRequest, config: NetworkConfig, baked: NamedDegradation | None) -> Path:
    """The file to write: `request.result`, or in the folder `request.output` one named after its content."""
    if request.result:
        return request.result
    suffix = {"onnx": f"_op{OPSET}.onnx", "ncnn": ".param", "safetensors": ".safetensors"}[request.export_format]
    parts = [network_name(config.conditions, config.scale), *_baked_names(config, baked), request.precision]
    return request.output / ("_".join(parts) + suffix)


def _baked_names(config: NetworkConfig, baked: NamedDegradation | None) -> list[str]:
    """The parts of a file's name that say what is built in, such as gaussian2.6-1-30, noise5 and jpeg50."""
    if baked is None:
        return []
    names = [_kernel_name(baked.kernels[0])]
    if "noise" in config.conditions:
        names.append(f"noise{baked.noise:g}")
    return names if baked.jpeg is None else [*names, f"jpeg{baked.jpeg}"]


def _kernel_name(kernel: NamedKernel) -> str:
    """A name of a kernel for a file: of a kernel from a file, `kernel-` and the first digits of its SHA-256.

    A kernel file's own name could contain an x2, which programs for ncnn would take for the scale, and kernel files in
    different folders can have the same name.
    """
    if kernel.spec == "delta" or kernel.spec.startswith("gaussian:"):
        return kernel.spec.replace("gaussian:", "gaussian").replace(",", "-")
    values = kernel.array.astype("<f4")  # the precision in which it is built in
    return f"kernel-{hashlib.sha256(values.tobytes()).hexdigest()[:KERNEL_DIGITS]}"


def _files(path: Path, request: ExportRequest, weights: Weights, baked: NamedDegradation | None) -> dict[Path, bytes]:
    """The files to write, `path` and those beside it, and their contents."""
    float16 = request.precision == "fp16"
    built_in = None if baked is None else baked_map(baked, weights)
    if request.export_format == "safetensors":
        return {path: weights_bytes(weights, torch.float16 if float16 else torch.float32, built_in)}
    metadata = export_metadata(weights, baked)
    if request.export_format == "onnx":
        return {path: onnx_model(weights.network, metadata, float16, built_in).SerializeToString()}
    param, binary = ncnn_export(weights.network, float16, built_in)
    files = {path.with_name(f"{path.stem}.bin"): binary, path: param.encode()}
    if baked is None:  # whoever computes degradation maps needs P; ncnn's files have no metadata
        files[path.with_name(f"{path.stem}.json")] = json.dumps(metadata, indent=1).encode()
    return files


def export_metadata(weights: Weights, baked: NamedDegradation | None) -> dict[str, str]:
    """What a program must know to run an exported network; values other than names are JSON.

    `pca` is P, (pca_dim, kernel_size²); `condition_channels` the first and last channel + 1 of each condition in the
    degradation map; `ranges` those of the pictures and of the noise level; `degradation` what is built in, or null.
    """
    config = weights.network.config
    channels = {name: [part.start, part.stop] for name, part in config.condition_channels.items()}
    metadata = {
        "config": asdict(config),
        "condition_channels": channels,
        "pca": [[float(f"{number:.9g}") for number in row] for row in weights.pca.tolist()],
        "ranges": {"lr": [0, 1], "sr": [0, 1], "noise_level": [0, 255]},
        "degradation": None if baked is None else degradation_entry(baked, config.conditions),
    }
    names = {"name": f"{config.kind} x{config.scale}", "version": __version__, "downsampler": weights.downsampler}
    if "license" in weights.metadata:
        names["license"] = str(weights.metadata["license"])
    return names | {key: json.dumps(value) for key, value in metadata.items()}


def _describe(weights: Weights, baked: NamedDegradation | None) -> str:
    config = weights.network.config
    network = f"{config.kind} x{config.scale}"
    if baked is None:
        return f"{network}, which takes a picture and its degradation map of {config.map_channels} channels"
    parts = [f"kernel {baked.kernels[0].spec}"]
    if "noise" in config.conditions:
        parts.append(f"noise level {baked.noise:g}")
    if "jpeg" in config.conditions:
        parts.append("no JPEG" if baked.jpeg is None else f"JPEG quality {baked.jpeg}")
    return f"{network} for {', '.join(parts)}, which takes a picture"
