"""Turns the flags of `--mode=export` into a request, checked and typed."""

from dataclasses import replace
from pathlib import Path

from srmd.base.errors import InputError
from srmd.cli.degradation_request import degradation_values
from srmd.cli.values import FILE_SUFFIXES
from srmd.config import AUTO, OFF, ExportRequest
from srmd.pictures.formats import is_picture_name
from srmd.weights.shipped import jpeg_counterpart, shipped_weights

SUFFIXES = {"onnx": ".onnx", "ncnn": ".param", "safetensors": ".safetensors"}
BAKED_FLAGS = ("kernel", "kernel_index", "recentre_kernel", "noise_level", "jpeg", "downsampler")
PRECISIONS = {"auto": "fp32", "fp32": "fp32", "fp16": "fp16"}


def export_request(values: dict) -> ExportRequest:
    """The request that the values of the flags describe; raises InputError."""
    _check_baked_flags(values)
    precision = values.get("precision", "auto")
    if precision not in PRECISIONS:
        raise InputError(f"expected fp32 or fp16 with --mode=export, found {precision}", "precision")
    if "bake" in values:
        values = degradation_values(values)
    if "weights" not in values:
        values["weights"] = _shipped_weights(values)
    request = ExportRequest(**values | {"precision": PRECISIONS[precision]})
    return _with_result(request)


def _check_baked_flags(values: dict) -> None:
    """Raises InputError if a degradation is described but not built in, or if it is not one for all pictures."""
    for name in BAKED_FLAGS:
        if name in values and "bake" not in values:
            raise InputError("expected --bake with it, which builds a degradation in, found none", name)
    kernels = values.get("kernel", [])
    for name, is_auto in (
        ("kernel", AUTO in kernels),
        ("noise_level", values.get("noise_level") == AUTO),
        ("jpeg", values.get("jpeg") == AUTO),
    ):
        if is_auto:
            raise InputError("expected a value for all pictures, which is built in, found auto", name)
    if len(kernels) > 1:
        raise InputError(f"expected one, which is built in, found {len(kernels)}", "kernel")


def _shipped_weights(values: dict) -> Path:
    """The shipped network for the scale: SRMDJ if a JPEG is built in, else SRMDNF without noise and SRMD with it."""
    scale = values.get("scale_factor", 2)
    path = shipped_weights(scale, noisy="bake" not in values or bool(values.get("noise_level")))
    if path is None:
        raise InputError(f"expected a network, because none for x{scale} is shipped, found none", "weights")
    quality = values.get("jpeg", OFF)
    if quality == OFF:
        return path
    jpeg_path = jpeg_counterpart(path)
    if jpeg_path is None:
        expected = f"expected off, because no network for x{scale} that is told of JPEG is shipped"
        raise InputError(f"{expected}, found {quality}", "jpeg")
    return jpeg_path


def _with_result(request: ExportRequest) -> ExportRequest:
    """The request with `output` as folder, and as `result` if it names a file; raises InputError if it cannot."""
    suffix, output = SUFFIXES[request.export_format], request.output
    if output.is_dir():
        return request
    if output.suffix == suffix:
        return replace(request, output=output.parent, result=output)
    if output.suffix.lower() in FILE_SUFFIXES or is_picture_name(output):
        raise InputError(f"expected a folder, or a {suffix} file, found {output}", "output")
    return request
