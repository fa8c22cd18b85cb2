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
networks = [torch.hub.load(checkout, "srmd", scale=2, source="local", noise_free=free, **options) for free in (0, 1)]
lr = numpy.random.default_rng(0).integers(0, 256, (9, 11, 3), numpy.uint8)
results = [network.restore(lr, kernel="gaussian:1.3") for network in networks]
sys.path.append(checkout)
import srmd
named = [srmd.load(name, **options).restore(lr, kernel="gaussian:1.3") for name in ("srmd_x2", "srmdnf_x2")]
print([numpy.array_equal(*pair) for pair in zip(results, named)], numpy.array_equal(*named), results[0].shape)
"""


def test_torch_hub_gives_a_shipped_network():
    options = {"device": "cpu", "engine": "torch", "precision": "fp32"}
    lr = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    network = torch.hub.load(str(ROOT), "srmd", scale=2, source="local", noise_free=True, **options)
    expected = srmd.load("srmdnf_x2", **options).restore(lr, kernel="gaussian:1.3")
    assert np.array_equal(network.restore(lr, kernel="gaussian:1.3"), expected)


@pytest.mark.slow
def test_in_another_folder_torch_hub_gives_the_shipped_networks(tmp_path: Path):
    command = [sys.executable, "-c", PROGRAM, str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "[True, True] False (18, 22, 3)\n", done.stderr
