"""The kernel windows of 21×21: conversion, and the average with a training that started from it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.window import converted, mean_psnr
from default_pca import default_pca
from small_runs import train
from srmd.base.errors import InputError
from srmd.degradation import Degradation
from srmd.kernel.families import gaussian
from srmd.model import SRMD, NetworkConfig
from srmd.restore.restorer import Restorer, open_restorer
from srmd.weights.files import Weights, read_weights, write_weights

ROOT = Path(__file__).parents[2]
TRAINING = {"weights": None, "steps": 5, "batch_size": 4, "patch_size": 48, "lr": 1e-4}


def weights() -> Weights:
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(4, conditions=("kernel",), features=16)).eval()
    torch.nn.init.normal_(network.convs[0].weight[:, 3:])  # of the kernel code
    return Weights(network, default_pca(), {"training": TRAINING})


def opened(weights: Weights) -> Restorer:
    return open_restorer(weights, "cpu", "torch", "fp32")


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.window", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=environment).stdout


def test_a_converted_network_has_the_window_and_the_p_for_wide_blur():
    wide = converted(weights())
    assert wide.network.config.kernel_size == 21
    assert torch.equal(wide.pca, default_pca(21))
    with pytest.raises(InputError, match="expected a network with a smaller window than 21×21, found 21×21"):
        converted(wide)


@pytest.mark.parametrize(("size", "width"), [(15, 1.3), (21, 3.6)])
def test_networks_are_compared_that_are_told_the_same_kernel(size: int, width: float):
    first = weights()
    other = Weights(first.network, default_pca().flip(0))
    networks = [opened(each) for each in (first, converted(first), first, other)]
    hr = torch.from_numpy(np.random.default_rng(0).random((1, 3, 48, 48)))
    applied = Degradation.uniform(torch.from_numpy(gaussian(width, size=size))[None], torch.zeros(1))
    psnr = mean_psnr(networks, [hr], applied)
    assert psnr[0] == psnr[2]
    assert abs(psnr[0] - psnr[1]) < 0.1 < abs(psnr[0] - psnr[3])


@pytest.mark.slow
@pytest.mark.usefixtures("short_runs", "folder_with_pictures")
def test_a_share_of_a_run_with_kernels_of_its_own_is_written_and_scored():
    write_weights(Path("before.safetensors"), weights())
    run("before.safetensors", "--output=converted.safetensors")
    start = read_weights(Path("converted.safetensors"))
    np.save("kernels.npy", [gaussian(width, size=21) for width in (2.6, 3.3, 4.0)])
    flags = ["--kernel_size=21", "--weights=converted.safetensors", "--train_kernels=kernels.npy"]
    flags += ["--scale_factor=4", "--conditions=kernel", "--gaussian_share=0.5", "--steps=3", "--save_every=3"]
    assert train("run", *flags) == 0
    own_p = read_weights(Path("run/last.safetensors"))
    assert not torch.allclose(own_p.pca, start.pca, atol=1e-3)

    for share in (0, 0.25, 1):
        run("before.safetensors", "--run=run", f"--share={share}", f"--output={share}.safetensors")
    none, part, whole = (read_weights(Path(f"{share}.safetensors")) for share in (0, 0.25, 1))
    for key, tensor in part.network.state_dict().items():
        expected = 0.75 * none.network.state_dict()[key] + 0.25 * whole.network.state_dict()[key]
        torch.testing.assert_close(tensor, expected, atol=1e-3, rtol=1e-3)
    assert torch.equal(none.network.head.weight, start.network.head.weight)
    assert not torch.equal(whole.network.head.weight, start.network.head.weight)
    assert torch.equal(whole.pca, start.pca)
    metadata = part.metadata
    assert metadata["trained_share"] == 0.25
    assert metadata["history"] == [TRAINING]
    assert (metadata["training"]["weights"], metadata["training"]["steps"]) == ("converted.safetensors", 3)

    # Both networks restore alike although their P differ.
    hr = torch.from_numpy(np.random.default_rng(0).random((1, 3, 96, 96)))
    applied = Degradation.uniform(torch.from_numpy(gaussian(3.3, size=21))[None], torch.zeros(1))
    first, second = mean_psnr([opened(own_p), opened(whole)], [hr], applied)
    assert abs(first - second) < 0.05

    table = run("before.safetensors", "--run=run", "--train_data=pictures").splitlines()
    assert table[0].startswith("15×15: the codes keep 99.9")
    assert table[3] == "| kernel, noise | before | converted | 0.3 | 0.5 | 0.75 | 1 |"
    assert [line.split(" |")[0] for line in table[5:]] == [
        "| `delta` (15×15), 0",
        "| `gaussian:1.3` (15×15), 0",
        "| `gaussian:2.6` (15×15), 0",
        "| `gaussian:2.6,1.0,30` (15×15), 0",
        "| `gaussian:2.4` (21×21), 0",
        "| `gaussian:3.2` (21×21), 0",
        "| `gaussian:3.6` (21×21), 0",
    ]


@pytest.mark.parametrize(
    "arguments",
    [["--share=0.3"], ["--share=0.3", "--run=run"], ["--share=0.3", "--output=out"], ["--run=run", "--output=out"]],
)
def test_a_share_is_given_where_the_average_is_written(arguments: list[str], tmp_path: Path):
    write_weights(tmp_path / "before.safetensors", weights())
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-m", "benchmarks.window", "before.safetensors", *arguments]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 2
    assert "expected --share where --run and --output are given, and only there" in done.stderr
