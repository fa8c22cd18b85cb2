"""The custom node for ComfyUI, imported as ComfyUI imports it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import srmd

FOLDER = Path(__file__).parents[2] / "examples" / "comfyui" / "srmd_nodes"
IMPORT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("custom_nodes_srmd", sys.argv[1] + "/__init__.py")
node = importlib.util.module_from_spec(spec)
spec.loader.exec_module(node)
import spandrel
assert "SRMD" in spandrel.MAIN_REGISTRY
model = spandrel.ModelLoader().load_from_file(sys.argv[2])
print(sorted(node.NODE_CLASS_MAPPINGS), model.architecture.id, model.scale)
"""
pytest.importorskip("spandrel", reason="spandrel is not installed (requirements-engines.txt)")


@pytest.mark.slow
def test_its_import_lets_every_user_of_spandrel_load_our_files():
    """In a process of its own, because spandrel's registry belongs to the process."""
    root = FOLDER.parents[2]
    command = [sys.executable, "-c", IMPORT, FOLDER, root / "weights" / "srmdnf_x3.safetensors"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['RestoreSRMD'] SRMD 3\n"


def test_the_node_restores_a_batch_as_the_package_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("srmd.restore.spandrel.register", lambda: None)
    spec = importlib.util.spec_from_file_location("custom_nodes_srmd", FOLDER / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    node = module.NODE_CLASS_MAPPINGS["RestoreSRMD"]()
    inputs = node.INPUT_TYPES()["required"]
    assert list(inputs) == ["image", "weights", "kernel", "noise_level"]
    restorer = srmd.load("srmd_x2", device="cpu", engine="torch", precision="fp32")
    monkeypatch.setattr(srmd, "load", lambda weights: restorer)
    images = np.random.default_rng(0).random((2, 12, 16, 3), np.float32)
    (results,) = getattr(node, node.FUNCTION)(torch.from_numpy(images), "srmd_x2", "gaussian:1.3", "5")
    assert results.shape == (2, 24, 32, 3)
    expected = restorer.restore(images[1], "gaussian:1.3", 5)
    np.testing.assert_allclose(results[1].numpy(), expected, atol=1e-5)
