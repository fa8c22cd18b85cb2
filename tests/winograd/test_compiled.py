"""The compiled functions of the Winograd convolution: their arguments, threads, and when they can be had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srmd.winograd import compiled, convolution

ROOT = Path(__file__).parents[2]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_number_of_threads_changes_no_bit(compiled_functions: compiled.CompiledConvolution):
    def output_and_gradients(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        x = random(2, 32, 90, 70).to(memory_format=torch.channels_last).requires_grad_()
        weight, bias = random(32, 32, 3, 3), random(32)
        output = convolution.conv(x, weight, bias, True)
        grad_output = random(*output.shape, seed=1)
        (grad_x,) = torch.autograd.grad(output, x, grad_output)
        # PyTorch transforms the filter's gradient back, on some processors by other operations for other threads.
        images, grad_images = (tensor.detach().permute(0, 2, 3, 1).contiguous() for tensor in (x, grad_output))
        return [output, grad_x, *compiled_functions.filter_gradient(images, grad_images, None)]

    threads = torch.get_num_threads()
    try:
        with_one = output_and_gradients(1)
        for number in (2, 3, 4):
            for a, b in zip(with_one, output_and_gradients(number), strict=True):
                assert torch.equal(a, b)
    finally:
        torch.set_num_threads(threads)


def test_relu_passes_nan_and_its_gradient(compiled_functions: compiled.CompiledConvolution):
    images, weight, output = torch.full((1, 6, 6, 32), torch.nan), torch.ones(32, 32, 3, 3), torch.zeros(1, 6, 6, 32)
    transformed = compiled_functions.filter_transform(weight)
    compiled_functions.conv(images, transformed, torch.zeros(32), True, output)
    assert output.isnan().all()
    compiled_functions.input_gradient(torch.ones(1, 6, 6, 32), output, weight, images)
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


@pytest.mark.parametrize("out_channels", [32, 64])
def test_gradients_of_a_call_are_not_overwritten_by_the_next(
    compiled_functions: compiled.CompiledConvolution, out_channels: int
):
    images, grad_output = random(1, 12, 12, 32), random(1, 12, 12, out_channels, seed=1)
    gradients = compiled_functions.filter_gradient(images, grad_output, None)
    copies = [gradient.clone() for gradient in gradients]
    compiled_functions.filter_gradient(images + 1, grad_output, None)
    for gradient, copy in zip(gradients, copies, strict=True):
        assert torch.equal(gradient, copy)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["x86-64", "haswell", "skylake-avx512"])  # vectors of 4, 8, 16 floats
def test_every_vector_length_computes_the_convolution(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if architecture not in supported_architectures():
        pytest.skip(f"this processor can't run code for {architecture}")
    flags = [f"-march={architecture}" if flag == "-march=native" else flag for flag in compiled.COMPILER_FLAGS]
    monkeypatch.setattr(compiled, "COMPILER_FLAGS", flags)
    compiled._compile(["cc"], tmp_path / "convolution.so")
    functions = compiled.CompiledConvolution(tmp_path / "convolution.so")
    monkeypatch.setattr(compiled, "load", lambda: functions)
    x, weight, bias = (tensor.requires_grad_() for tensor in (random(2, 64, 31, 50), random(96, 64, 3, 3), random(96)))
    output, expected = convolution.conv(x, weight, bias, True), F.conv2d(x, weight, bias, padding=1).relu()
    grad_output = random(*output.shape, seed=1)
    grad_output[expected < 1e-3] = 0  # rounding decides whether ReLU passes these
    gradients, expected_gradients = (torch.autograd.grad(y, (x, weight, bias), grad_output) for y in (output, expected))
    for result, truth in zip((output, *gradients), (expected, *expected_gradients), strict=True):
        assert (result - truth).abs().max() <= 3e-5 * truth.abs().max()


def supported_architectures() -> set[str]:
    """The names of GCC for the processors whose code this one can run, of those that the test asks for."""
    capabilities = torch.cpu.get_capabilities()
    if capabilities["architecture"] != "x86_64":
        return set()
    architectures = {"x86-64"}
    if capabilities["avx2"] and capabilities["fma3"]:
        architectures.add("haswell")
    if capabilities["avx512_f"] and capabilities["avx512_bw"]:
        architectures.add("skylake-avx512")
    return architectures


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
from srmd.backends.choice import choose_backend, winograd_is_faster
from srmd.model import SRMD, NetworkConfig
from srmd.winograd import compiled
assert compiled.load() is None
network = SRMD(NetworkConfig(features=32, layers=3))
assert str(choose_backend(network, torch.device("cpu"), "torch", "fp32")) == "torch fp32 cpu"
assert not winograd_is_faster(network, (1, 8, 8))
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | environment, cwd=ROOT)


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_functions")
def test_a_library_of_another_user_is_not_loaded(tmp_path: Path):
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


@pytest.mark.skipif(sys.platform != "linux", reason="the functions are compiled on Linux only")
def test_a_pipe_in_the_place_of_the_library_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def make_pipe(_compiler: list[str], path: Path) -> None:
        path.parent.mkdir()
        os.mkfifo(path)

    monkeypatch.setattr(compiled, "_compile", make_pipe)
    assert compiled.load.__wrapped__() is None  # it would block for ever
