"""The compiled functions compute what those in PyTorch compute."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from srmd.base.arithmetic import ceil_div
from srmd.winograd import compiled, convolution, transforms
from srmd.winograd.transforms import OUTPUT_TILE

ROOT = Path(__file__).parents[2]
NO_GCC = "no GCC on Linux"


def has_gcc() -> bool:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if sys.platform != "linux" or compiler is None:
        return False
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    return "Free Software Foundation" in version


@pytest.fixture(scope="module")
def compiled_functions() -> compiled.CompiledTransforms:
    if not has_gcc():
        pytest.skip(NO_GCC)
    functions = compiled.load()
    assert functions is not None
    return functions


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 2), (13, 7), (9, 1030), (40, 48)])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(32, 96), (96, 32)])
def test_the_compiled_functions_agree_with_pytorch(
    compiled_functions: compiled.CompiledTransforms, height: int, width: int, in_channels: int, out_channels: int
):
    rows = ceil_div(height, OUTPUT_TILE)
    for strip in {(0, rows), (rows // 2, rows - rows // 2)}:
        arguments = (height, width, in_channels), out_channels, strip
        results = results_of_each_function(compiled_functions, *arguments)
        for name, expected in results_of_each_function(transforms, *arguments).items():
            assert (results[name] - expected).abs().max() <= 1e-5 * max(expected.abs().max(), 1), name


def results_of_each_function(
    functions: compiled.CompiledTransforms | ModuleType,
    image_shape: tuple[int, int, int],
    out_channels: int,
    strip: tuple[int, int],
) -> dict[str, Tensor]:
    """The result of each function for arguments that do not depend on `functions`."""
    height, width, in_channels = image_shape
    image, weight, bias = random(*image_shape), random(out_channels, in_channels, 3, 3), random(out_channels)
    old_output = random(height, width, out_channels)
    grad_output = random(height, width, out_channels, seed=1)
    transformed_input = transforms.input_transform(image, *strip)
    product = transforms.multiply(transformed_input, transforms.filter_transform(weight))
    grad_product = transforms.output_transform_backward(grad_output, old_output, *strip)
    transformed_filter = functions.filter_transform(weight)
    output, grad_image = old_output.clone(), image.clone()
    grad_transformed_filter = random(64, in_channels, out_channels)
    functions.output_transform(product, bias, output, *strip)
    functions.filter_gradient(transformed_input, grad_product, grad_transformed_filter)
    functions.input_transform_backward(transformed_input, grad_image, *strip)
    return {
        "input_transform": functions.input_transform(image, *strip),
        "multiply": functions.multiply(transformed_input, transformed_filter),
        "output_transform": output,
        "output_transform_backward": functions.output_transform_backward(grad_output, old_output, *strip),
        "filter_gradient": grad_transformed_filter,
        "input_transform_backward": grad_image,
    }


@pytest.mark.usefixtures("compiled_functions")
def test_the_number_of_threads_changes_no_bit():
    def output_and_gradient(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        x = random(2, 32, 90, 70).to(memory_format=torch.channels_last).requires_grad_()
        weight, bias = random(32, 32, 3, 3).requires_grad_(), random(32).requires_grad_()
        output = convolution.conv_relu(x, weight, bias)
        return [output, torch.autograd.grad(output.sum(), x)[0]]

    threads = torch.get_num_threads()
    try:
        with_one, with_four = output_and_gradient(1), output_and_gradient(4)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(with_one, with_four, strict=True))


@pytest.mark.parametrize("functions", [transforms, "compiled"])
def test_relu_passes_nan_and_its_gradient(functions: object, request: pytest.FixtureRequest):
    if functions == "compiled":
        functions = request.getfixturevalue("compiled_functions")
    product, output = torch.full((64, 1, 32), torch.nan), torch.zeros(6, 6, 32)
    functions.output_transform(product, torch.zeros(32), output, 0, 1)
    assert output.isnan().all()
    assert functions.output_transform_backward(torch.ones(6, 6, 32), output, 0, 1).any()


def test_tensors_of_another_shape_dtype_or_layout_are_refused(compiled_functions: compiled.CompiledTransforms):
    output, product, bias = torch.zeros(12, 12, 32), torch.zeros(64, 4, 32), torch.zeros(32)
    for wrong in (product[:, :2], product.bfloat16(), product.permute(0, 2, 1)):
        with pytest.raises(ValueError, match=r"expected contiguous float32 \(4, 32\), found"):
            compiled_functions.output_transform(wrong, bias, output, 0, 2)
    with pytest.raises(ValueError, match=r"expected contiguous float32 \(32,\), found"):
        compiled_functions.output_transform(product, bias[:16], output, 0, 2)


def test_a_number_of_channels_that_is_not_a_multiple_of_32_is_refused(compiled_functions: compiled.CompiledTransforms):
    with pytest.raises(ValueError, match="expected a multiple of 32 columns, found 33"):
        compiled_functions.input_transform(torch.zeros(12, 12, 33), 0, 2)


@pytest.mark.usefixtures("compiled_functions")
def test_the_library_brings_no_openmp_of_its_own():
    assert b"libgomp" not in compiled._library_path().read_bytes()  # PyTorch's would then be loaded a second time


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment", [{"CC": "/no/compiler"}, {"CC": 'gcc "'}, {"XDG_CACHE_HOME": "/dev/null"}], ids=str
)
def test_without_compiler_or_cache_folder_pytorch_computes(environment: dict[str, str]):
    program = """
import torch
from srmd.winograd import compiled
from srmd.winograd.convolution import conv_relu
assert compiled.load() is None
x = torch.rand(1, 32, 9, 9).to(memory_format=torch.channels_last)
weight, bias = torch.rand(32, 32, 3, 3), torch.rand(32)
expected = torch.conv2d(x, weight, bias, padding=1)
torch.testing.assert_close(conv_relu(x, weight, bias), expected, atol=1e-4, rtol=1e-4)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | environment, cwd=ROOT)


def test_a_library_of_another_user_is_not_loaded(tmp_path: Path):
    if not has_gcc():
        pytest.skip(NO_GCC)
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")

    def is_loaded() -> bool:
        program = "from srmd.winograd import compiled; print(compiled.load() is not None)"
        environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
        command = [sys.executable, "-c", program]
        process = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT)
        return process.stdout == "True\n"

    assert is_loaded()
    os.chown(next(tmp_path.rglob("transforms-*.so")), 65534, -1)
    assert not is_loaded()
