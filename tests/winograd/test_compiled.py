"""The compiled functions do what those in PyTorch do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from srmd.winograd import compiled, convolution, transforms
from srmd.winograd.transforms import TILE

ROOT = Path(__file__).parents[2]
NO_GCC = "there is no GCC on Linux"


def has_gcc() -> bool:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if sys.platform != "linux" or compiler is None:
        return False
    return "Free Software Foundation" in subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def fast() -> compiled.Transforms:
    if not has_gcc():
        pytest.skip(NO_GCC)
    assert compiled.load() is not None
    return compiled.load()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 2), (13, 7), (9, 1030), (40, 48)])
@pytest.mark.parametrize(("channels", "features"), [(32, 96), (96, 32)])
def test_they_are_those_of_pytorch(fast: compiled.Transforms, height: int, width: int, channels: int, features: int):
    rows = -(-height // TILE)
    for strip in {(0, rows), (rows // 2, rows - rows // 2)}:
        size = height, width, channels
        found, expected = (each_does(functions, size, features, strip) for functions in (fast, transforms))
        for mine, theirs in zip(found, expected, strict=True):
            assert (mine - theirs).abs().max() <= 1e-5 * max(theirs.abs().max(), 1)


def each_does(
    functions: compiled.Transforms | ModuleType, size: tuple[int, int, int], features: int, strip: tuple[int, int]
) -> list[Tensor]:
    """What each function makes of the same."""
    height, width, channels = size
    picture, weight, bias = random(*size), random(features, channels, 3, 3), random(features)
    result, gradient = random(height, width, features), random(height, width, features, seed=1)
    seen = transforms.seen(picture, *strip)
    product = transforms.multiply(seen, transforms.factors(weight))
    of_product = transforms.of_product(gradient, result, *strip)
    of_factors, written, of_picture = random(64, channels, features), result.clone(), picture.clone()
    functions.add_of_factors(seen, of_product, of_factors)
    functions.put_results(product, bias, written, *strip)
    functions.add_seen(seen, of_picture, *strip)
    made = functions.seen(picture, *strip), functions.multiply(seen, functions.factors(weight))
    return [*made, written, functions.of_product(gradient, result, *strip), of_factors, of_picture]


def test_threads_change_no_bit(fast: compiled.Transforms):
    def learn(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        x = random(2, 32, 90, 70).to(memory_format=torch.channels_last).requires_grad_()
        weight, bias = random(32, 32, 3, 3).requires_grad_(), random(32).requires_grad_()
        result = convolution.conv_relu(x, weight, bias)
        return [result, torch.autograd.grad(result.sum(), x)[0]]

    before = torch.get_num_threads()
    try:
        one, four = learn(1), learn(4)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(one, four, strict=True))


@pytest.mark.parametrize("given", [transforms, "compiled"])
def test_what_is_not_a_number_is_not_cut_off(given: object, request: pytest.FixtureRequest):
    functions = request.getfixturevalue("fast") if given == "compiled" else given
    product, picture = torch.full((64, 1, 32), torch.nan), torch.zeros(6, 6, 32)
    functions.put_results(product, torch.zeros(32), picture, 0, 1)
    assert picture.isnan().all()
    assert functions.of_product(torch.ones(6, 6, 32), picture, 0, 1).any()


def test_memory_of_another_shape_or_kind_is_refused(fast: compiled.Transforms):
    picture, product, bias = torch.zeros(12, 12, 32), torch.zeros(64, 4, 32), torch.zeros(32)
    for wrong in (product[:, :2], product.bfloat16(), product.permute(0, 2, 1)):
        with pytest.raises(ValueError, match=r"expected contiguous float32 \(4, 32\), found"):
            fast.put_results(wrong, bias, picture, 0, 2)
    with pytest.raises(ValueError, match=r"expected contiguous float32 \(32,\), found"):
        fast.put_results(product, bias[:16], picture, 0, 2)


def test_the_threads_are_those_of_pytorch(fast: compiled.Transforms):
    assert b"libgomp" not in compiled._library().read_bytes()  # it would be loaded a second time


@pytest.mark.slow
@pytest.mark.parametrize("broken", [{"CC": "/no/compiler"}, {"CC": 'gcc "'}, {"XDG_CACHE_HOME": "/dev/null"}])
def test_it_does_without_what_is_missing(broken: dict[str, str]):
    works = """
import torch
from srmd.winograd import compiled
from srmd.winograd import convolution as winograd
assert compiled.load() is None
x = torch.rand(1, 32, 9, 9).to(memory_format=torch.channels_last)
weight, bias = torch.rand(32, 32, 3, 3), torch.rand(32)
expected = torch.conv2d(x, weight, bias, padding=1)
torch.testing.assert_close(winograd.conv_relu(x, weight, bias), expected, atol=1e-4, rtol=1e-4)
"""
    subprocess.run([sys.executable, "-c", works], check=True, env=os.environ | broken, cwd=ROOT)


def test_a_number_of_channels_that_is_no_multiple_of_32_is_refused(fast: compiled.Transforms):
    with pytest.raises(ValueError, match="expected a multiple of 32 columns, found 33"):
        fast.seen(torch.zeros(12, 12, 33), 0, 2)


def test_a_compiled_file_of_someone_else_is_not_loaded(tmp_path: Path):
    if not has_gcc():
        pytest.skip(NO_GCC)
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")

    def loads() -> bool:
        program = "from srmd.winograd import compiled; print(compiled.load() is not None)"
        environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT)
        return done.stdout == "True\n"

    assert loads()
    os.chown(next(tmp_path.rglob("transforms-*.so")), 65534, -1)
    assert not loads()
