"""The functions that run a network: every backend computes what the network does."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from srmd.backends.backend import Backend, make_network_function
from srmd.backends.ncnn import ncnn_files
from srmd.base.errors import InputError
from srmd.model import SRMD, NetworkConfig

TORCH = Backend("torch", "fp32", "cpu")
NCNN = Backend("ncnn", "fp32", "cpu")
FLOAT32_BACKENDS = [TORCH, replace(TORCH, winograd=True), NCNN, Backend("openvino", "fp32", "cpu")]


def random_lr_and_map(network: SRMD, height: int = 12, width: int = 10) -> tuple[Tensor, Tensor]:
    """An LR picture and a degradation map that varies over it."""
    generator = torch.Generator().manual_seed(0)
    lr = torch.rand(1, 3, height, width, generator=generator)
    return lr, torch.rand(1, network.config.map_channels, height, width, generator=generator)


@pytest.mark.parametrize("backend", FLOAT32_BACKENDS, ids=str)
@pytest.mark.parametrize("config", [NetworkConfig(features=8), NetworkConfig(3, conditions=("kernel",), features=16)])
def test_every_backend_computes_what_the_network_does(
    backend: Backend, config: NetworkConfig, request: pytest.FixtureRequest
):
    if backend.winograd:
        request.getfixturevalue("compiled_functions")
    if backend.engine != "torch":
        pytest.importorskip(backend.engine, reason=f"{backend.engine} is not installed (requirements-engines.txt)")
    network = SRMD(config).eval()
    for size in ((12, 10), (1, 1), (37, 23)):  # engines prepare for a size: the next one must work as well
        lr, varying_map = random_lr_and_map(network, *size)
        for degradation_map in (varying_map, varying_map[..., :1, :1]):
            expected = network(lr, degradation_map).detach()
            sr = make_network_function(network, backend)(lr, degradation_map)
            torch.testing.assert_close(sr, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("head", ["subpixel", "upsample"])
def test_16_bit_backends_return_float32_and_round_little(head: str, precision: str):
    network = SRMD(NetworkConfig(features=32, head=head)).eval()
    lr, degradation_map = random_lr_and_map(network, 24, 24)
    sr = make_network_function(network, replace(TORCH, precision=precision))(lr, degradation_map)
    assert sr.dtype == torch.float32
    expected = make_network_function(network, TORCH)(lr, degradation_map)
    assert 0 < (sr - expected).abs().max() < 0.02


def test_a_failure_of_ncnn_is_an_error_and_no_crash(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ncnn", reason="ncnn is not installed (requirements-engines.txt)")
    param, binary = ncnn_files(SRMD(NetworkConfig(features=4, layers=3)))
    monkeypatch.setattr("srmd.backends.ncnn.ncnn_files", lambda network: (param.replace(" sr ", " other "), binary))
    run = make_network_function(SRMD(NetworkConfig(features=4, layers=3)), NCNN)
    with pytest.raises(RuntimeError, match="ncnn failed to restore"):
        run(torch.rand(1, 3, 8, 8), torch.rand(1, 16, 1, 1))


def test_a_network_that_ncnn_does_not_load_is_an_error(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ncnn", reason="ncnn is not installed (requirements-engines.txt)")
    monkeypatch.setattr("srmd.backends.ncnn.ncnn_files", lambda network: ("7767517\n1 1\nNoSuchLayer a 0 1 x\n", b""))
    message = r"engine: ncnn fp32 cpu does not work on this machine \(ncnn does not take the network"
    with pytest.raises(InputError, match=message):
        make_network_function(SRMD(NetworkConfig(features=8)), NCNN)


@pytest.mark.usefixtures("compiled_functions")
def test_concurrent_calls_do_not_share_memory():
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(features=32, layers=4))
    run = make_network_function(network, Backend("torch", "fp32", "cpu", winograd=True))
    pictures, degradation_map = [torch.rand(1, 3, 60, 60) for _ in range(8)], torch.rand(1, 16, 1, 1)
    expected = [run(lr, degradation_map) for lr in pictures]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            results = threads.map(run, pictures, [degradation_map] * len(pictures))
            for sr, expected_sr in zip(results, expected, strict=True):
                assert torch.equal(sr, expected_sr)
