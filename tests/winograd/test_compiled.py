"""The compiled functions compute what those in PyTorch compute."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from srmd.winograd import compiled, convolution, uncompiled

ROOT = Path(__file__).parents[2]
NO_GCC = "no GCC on Linux"


def has_gcc() -> bool:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if sys.platform != "linux" or compiler is None:
        return False
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    return "Free Software Foundation" in version


@pytest.fixture(scope="module")
def compiled_functions() -> compiled.CompiledConvolution:
    if not has_gcc():
        pytest.skip(NO_GCC)
    functions = compiled.load()
    assert functions is not None
    return functions


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 2), (13, 7), (9, 1030), (40, 48)])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(32, 96), (96, 32), (128, 128)])
@pytest.mark.parametrize("relu", [True, False])
def test_the_compiled_functions_agree_with_pytorch(
    compiled_functions: compiled.CompiledConvolution,
    height: int,
    width: int,
    in_channels: int,
    out_channels: int,
    relu: bool,
):
    images, weight = random(2, height, width, in_channels), random(out_channels, in_channels, 3, 3)
    bias, grad_output = random(out_channels), random(2, height, width, out_channels, seed=1)
    output = random(2, height, width, out_channels, seed=2)  # where it is not positive, no gradient passes
    results = {}
    for functions in (compiled_functions, uncompiled):
        new_output, grad_images = torch.empty_like(output), torch.empty_like(images)
        functions.conv(images, functions.filter_transform(weight), bias, relu, new_output)
        gate = output if relu else None
        functions.input_gradient(grad_output, gate, weight, grad_images)
        grad_filter, grad_bias = functions.filter_gradient(images, grad_output, gate)
        results[functions] = [new_output, grad_images, grad_filter, grad_bias]
    for result, expected in zip(*results.values(), strict=True):
        assert (result - expected).abs().max() <= 3e-5 * max(expected.abs().max(), 1)


@pytest.mark.usefixtures("compiled_functions")
def test_the_number_of_threads_changes_no_bit():
    def output_and_gradients(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        x = random(2, 32, 90, 70).to(memory_format=torch.channels_last).requires_grad_()
        weight, bias = random(32, 32, 3, 3).requires_grad_(), random(32).requires_grad_()
        output = convolution.conv(x, weight, bias, True)
        grad_output = random(*output.shape, seed=1)
        return [output, *torch.autograd.grad(output, (x, weight, bias), grad_output)]

    threads = torch.get_num_threads()
    try:
        with_one = output_and_gradients(1)
        for number in (2, 3, 4):
            for a, b in zip(with_one, output_and_gradients(number), strict=True):
                assert torch.equal(a, b)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("functions", [uncompiled, "compiled"])
def test_relu_passes_nan_and_its_gradient(functions: object, request: pytest.FixtureRequest):
    if functions == "compiled":
        functions = request.getfixturevalue("compiled_functions")
    images, weight, output = torch.full((1, 6, 6, 32), torch.nan), torch.ones(32, 32, 3, 3), torch.zeros(1, 6, 6, 32)
    functions.conv(images, functions.filter_transform(weight), torch.zeros(32), True, output)
    assert output.isnan().all()
    functions.input_gradient(torch.ones(1, 6, 6, 32), output, weight, images)
    assert (images > 0).all()


def test_tensors_of_another_shape_dtype_or_layout_are_refused(compiled_functions: compiled.CompiledConvolution):
    images, output, weight, bias = (
        torch.zeros(1, 9, 9, 32),
        torch.zeros(1, 9, 9, 64),
        torch.zeros(64, 32, 3, 3),
        torch.zeros(64),
    )
    for wrong in (images.bfloat16(), images.permute(0, 2, 1, 3)[:, ::2]):
        with pytest.raises(ValueError, match=r"expected contiguous float32 \(1, \d, 9, 32\), found"):
            compiled_functions.filter_gradient(wrong, output[:, : wrong.shape[1]].contiguous(), output)
    transformed = compiled_functions.filter_transform(weight)
    with pytest.raises(ValueError, match=r"expected contiguous float32 \(64,\), found"):
        compiled_functions.conv(images, transformed, bias[:32], True, output)
    for images_shape, output_shape in [((1, 9, 9, 64), (1, 9, 9, 64)), ((1, 9, 9, 32), (1, 9, 8, 64))]:
        with pytest.raises(ValueError, match="expected images of 32 channels and output"):
            compiled_functions.conv(torch.zeros(images_shape), transformed, bias, True, torch.zeros(output_shape))
    with pytest.raises(ValueError, match=r"found torch.float32 \(1, 9, 9, 32\)"):
        compiled_functions.filter_gradient(images, output, images)
    unaligned = torch.zeros(output.numel() + 1)[1:].view(output.shape)
    with pytest.raises(ValueError, match="expected output at a multiple of 64 bytes"):
        compiled_functions.conv(images, transformed, bias, True, unaligned)


def test_a_number_of_channels_that_is_not_a_multiple_of_32_is_refused(compiled_functions: compiled.CompiledConvolution):
    output = torch.zeros(1, 9, 9, 32)
    with pytest.raises(ValueError, match="expected a multiple of 32 channels, found 33"):
        compiled_functions.filter_gradient(torch.zeros(1, 9, 9, 33), output, output)


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
from srmd.winograd.convolution import conv
assert compiled.load() is None
x = torch.rand(1, 32, 9, 9).to(memory_format=torch.channels_last)
weight, bias = torch.rand(32, 32, 3, 3), torch.rand(32)
expected = torch.conv2d(x, weight, bias, padding=1)
torch.testing.assert_close(conv(x, weight, bias, False), expected, atol=1e-4, rtol=1e-4)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | environment, cwd=ROOT)


@pytest.mark.slow
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
    os.chown(next(tmp_path.rglob("convolution-*.so")), 65534, -1)
    assert not is_loaded()
