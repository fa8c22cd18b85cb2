"""Runs exported networks in the engines of other programs, for tests."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from foreign_networks import small_network
from srmd.model import SRMD, NetworkConfig

SMALL_CONFIGS = [
    NetworkConfig(features=8, layers=4),
    NetworkConfig(3, conditions=("kernel",), features=8, layers=4),
    NetworkConfig(4, conditions=("noise", "kernel"), features=8, layers=4, pca_dim=7),  # in another order
]


def detailed_network(config: NetworkConfig) -> SRMD:
    """A network whose result depends on every input channel; an untrained one returns little but the picture."""
    network = small_network(config)
    rng = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=rng)
    return network


def random_inputs(config: NetworkConfig, height: int = 14, width: int = 11) -> tuple[Tensor, Tensor]:
    """LR (1, 3, h, w), and a degradation map (1, C, 1, 1) of one degradation."""
    rng = torch.Generator().manual_seed(1)
    lr = torch.rand(1, 3, height, width, generator=rng)
    return lr, torch.rand(1, config.map_channels, 1, 1, generator=rng)


@torch.no_grad()
def expected_sr(network: SRMD, lr: Tensor, degradation_map: Tensor) -> NDArray:
    return network(lr, degradation_map).numpy()


def run_onnx(model: bytes | Path, **inputs: NDArray) -> NDArray:
    """SR from ONNX Runtime; skips the test where it is missing."""
    reason = "onnxruntime is not installed (requirements-engines.txt)"
    onnxruntime = pytest.importorskip("onnxruntime", reason=reason)
    source = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    assert {each.name for each in session.get_inputs()} == set(inputs)
    return session.run(["sr"], inputs)[0]


def run_ncnn(param: str, binary: bytes, data: NDArray) -> NDArray:
    """The blob `output` for the blob `data`, (C, h, w), computed by ncnn in float32; skips the test without ncnn."""
    ncnn = pytest.importorskip("ncnn", reason="ncnn is not installed (requirements-engines.txt)")
    net = ncnn.Net()
    options = net.opt
    options.num_threads, options.use_vulkan_compute, options.use_bf16_storage = 1, False, False
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
    assert net.load_param_mem(param) == 0
    net.load_model_mem(binary)
    extractor = net.create_extractor()
    data = np.ascontiguousarray(data, np.float32)
    extractor.input("data", ncnn.Mat(data))
    status, sr = extractor.extract("output")
    assert status == 0
    return np.array(sr)
