"""torch.hub.load with this checkout."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import srmd

ROOT = Path(__file__).parents[1]
PROGRAM = """
import sys, numpy, torch
checkout, options = sys.argv[1], {"device": "cpu", "engine": "torch", "precision": "fp32"}
kinds = [{}, {"noise_free": True}, {"jpeg": True}]
networks = [torch.hub.load(checkout, "srmd", scale=2, source="local", **kind, **options) for kind in kinds]
lr = numpy.random.default_rng(0).integers(0, 256, (9, 11, 3), numpy.uint8)
results = [network.restore(lr, kernel="gaussian:1.3") for network in networks]
sys.path.append(checkout)
import srmd
names = ("srmd_x2", "srmdnf_x2", "srmdj_x2")
named = [srmd.load(name, **options).restore(lr, kernel="gaussian:1.3") for name in names]
print([numpy.array_equal(*pair) for pair in zip(results, named)], numpy.array_equal(*named[:2]), results[0].shape)
"""


def test_torch_hub_gives_a_shipped_network():
    options = {"device": "cpu", "engine": "torch", "precision": "fp32"}
    lr = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    network = torch.hub.load(str(ROOT), "srmd", scale=2, source="local", noise_free=True, **options)
    expected = srmd.load("srmdnf_x2", **options).restore(lr, kernel="gaussian:1.3")
    assert np.array_equal(network.restore(lr, kernel="gaussian:1.3"), expected)


def test_torch_hub_gives_the_network_that_is_told_of_jpeg():
    options = {"device": "cpu", "engine": "torch", "precision": "fp32"}
    lr = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    network = torch.hub.load(str(ROOT), "srmd", scale=2, source="local", jpeg=True, **options)
    expected = srmd.load("srmdj_x2", **options).restore(lr, kernel="delta", noise_level=0, jpeg=50)
    assert np.array_equal(network.restore(lr, kernel="delta", noise_level=0, jpeg=50), expected)
    with pytest.raises(srmd.InputError, match=r"^jpeg: expected one of noise_free and jpeg, found both$"):
        torch.hub.load(str(ROOT), "srmd", source="local", noise_free=True, jpeg=True)


@pytest.mark.slow
def test_in_another_folder_torch_hub_gives_the_shipped_networks(tmp_path: Path):
    command = [sys.executable, "-c", PROGRAM, str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "[True, True, True] False (18, 22, 3)\n", done.stderr
