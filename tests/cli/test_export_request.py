"""Requests of `--mode=export`."""

from pathlib import Path

import numpy as np
import pytest

from srmd.base.errors import InputError
from srmd.cli.requests import parse
from srmd.config import ExportRequest
from srmd.kernel.families import delta, gaussian
from srmd.weights.shipped import shipped_weights

pytestmark = pytest.mark.usefixtures("folder_with_files")


def export(flags: str = "") -> ExportRequest:
    return parse(["--mode=export", *flags.split()])


def test_flags_that_are_not_given_have_their_defaults():
    assert export() == ExportRequest(shipped_weights(2, noisy=True))
    assert export("--precision=auto").precision == "fp32"


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("--scale_factor=3", "srmd_x3"),
        ("--bake --scale_factor=3", "srmdnf_x3"),
        ("--bake --noise_level=0 --kernel=gaussian:2", "srmdnf_x2"),
        ("--bake --noise_level=0.5", "srmd_x2"),
        ("--bake --jpeg=50", "srmdj_x2"),
        ("--bake --jpeg=50 --noise_level=5 --scale_factor=1", "srmdj_x1"),
        ("--bake --jpeg=50 --scale_factor=4", "srmdj_x4"),
        ("--bake --jpeg=off", "srmdnf_x2"),
    ],
)
def test_the_shipped_network_suits_what_is_built_in(flags: str, name: str):
    assert export(flags).weights.stem == name


def test_jpeg_is_refused_at_scales_without_a_network_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("srmd.cli.export_request.jpeg_counterpart", lambda path: None)
    with pytest.raises(InputError, match="expected off, because no network for x4 that is told of JPEG is shipped"):
        export("--bake --jpeg=50 --scale_factor=4")


def test_the_degradation_that_is_built_in_has_the_defaults_of_a_test():
    request = export("--bake")
    assert (request.kernel[0].spec, request.noise_level) == ("delta", 0)
    np.testing.assert_array_equal(request.kernel[0].array, delta())


def test_the_kernel_is_chosen_as_in_a_test():
    np.save("several.npy", np.stack([gaussian(1), gaussian(2)]))
    request = export("--bake --kernel=several.npy --kernel_index=1 --recentre_kernel")
    assert request.kernel[0].spec == "several.npy[1]"
    np.testing.assert_allclose(request.kernel[0].array, gaussian(2))


@pytest.mark.parametrize(
    ("flags", "output", "result"),
    [
        ("--output=out", "out", None),
        ("--output=models/v1.0", "models/v1.0", None),
        ("--output=empty", "empty", None),
        ("--output=a/net.onnx", "a", "a/net.onnx"),
        ("--output=a/net.x2.param --export_format=ncnn", "a", "a/net.x2.param"),
    ],
)
def test_output_is_a_folder_or_a_file_of_the_format(flags: str, output: str, result: str | None):
    request = export(flags)
    assert (request.output, request.result) == (Path(output), result and Path(result))
