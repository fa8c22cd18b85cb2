"""Networks exported to ONNX compute in ONNX Runtime what they compute here."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from exported import SMALL_CONFIGS, detailed_network, expected_sr, random_inputs, run_onnx
from srmd.model import NetworkConfig
from srmd.weights.export_onnx import onnx_model

onnx = pytest.importorskip("onnx", reason="onnx is not installed (requirements-engines.txt)")
UPSAMPLE = replace(SMALL_CONFIGS[1], head="upsample")


@pytest.mark.parametrize("config", [*SMALL_CONFIGS, UPSAMPLE], ids=str)
@pytest.mark.parametrize("baked", [False, True])
def test_onnx_runtime_computes_what_the_network_does(config: NetworkConfig, baked: bool):
    network = detailed_network(config)
    lr, uniform = random_inputs(config)
    model = onnx_model(network, {}, degradation_map=uniform if baked else None).SerializeToString()
    for height, width in ((14, 11), (1, 1), (5, 23)):  # free sizes
        lr, _ = random_inputs(config, height, width)
        varying = uniform * torch.linspace(0, 1, width)
        for degradation_map in [uniform] if baked else [uniform, varying.expand(-1, -1, height, -1)]:
            inputs = {} if baked else {"degradation_map": degradation_map.numpy()}
            sr = run_onnx(model, lr=lr.numpy(), **inputs)
            np.testing.assert_allclose(sr, expected_sr(network, lr, degradation_map), atol=1e-4, rtol=0)


def test_several_pictures_share_a_map():
    network = detailed_network(SMALL_CONFIGS[0])
    lr, degradation_map = random_inputs(SMALL_CONFIGS[0])
    lr = torch.cat([lr, lr.flip(3)])
    sr = run_onnx(onnx_model(network, {}).SerializeToString(), lr=lr.numpy(), degradation_map=degradation_map.numpy())
    expected = expected_sr(network, lr, degradation_map.expand(2, -1, -1, -1))
    np.testing.assert_allclose(sr, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("baked", [False, True])
def test_float16_takes_and_returns_float16(baked: bool):
    network = detailed_network(SMALL_CONFIGS[0])
    lr, degradation_map = random_inputs(SMALL_CONFIGS[0])
    model = onnx_model(network, {}, True, degradation_map if baked else None)
    inputs = {} if baked else {"degradation_map": degradation_map.half().numpy()}
    sr = run_onnx(model.SerializeToString(), lr=lr.half().numpy(), **inputs)
    assert sr.dtype == np.float16
    difference = np.abs(sr - expected_sr(network, lr, degradation_map)).max()
    assert 0 < difference < 0.01


def test_metadata_are_properties_of_the_model():
    model = onnx_model(detailed_network(SMALL_CONFIGS[0]), {"config": "{}", "name": "SRMD x2"})
    assert {each.key: each.value for each in model.metadata_props} == {"config": "{}", "name": "SRMD x2"}
    assert [each.version for each in model.opset_import] == [20]
