"""Weights files whose tensors are incomplete, too many, or of another shape, are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from default_pca import default_pca
from srmd.base.errors import InputError
from srmd.model import SRMD, NetworkConfig
from srmd.weights.files import Weights, read_weights, write_weights


def rewritten(path: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    """A file of weights whose tensors were changed, with the same metadata."""
    network = SRMD(NetworkConfig(features=4, layers=3))
    write_weights(path, Weights(network, default_pca()))
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata)
    return path


def transposed_pca(tensors: dict[str, Tensor]) -> None:
    tensors["pca"] = tensors["pca"].T.contiguous()


def shorter_pca(tensors: dict[str, Tensor]) -> None:
    tensors["pca"] = tensors["pca"][:14].contiguous()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("head.bias"), r"head\.bias"),
        (lambda tensors: tensors.pop("convs.1.weight"), r"convs\.1\.weight"),
        (lambda tensors: tensors.update({"convs.7.weight": torch.ones(2)}), r"convs\.7\.weight"),
        (lambda tensors: tensors.update({"head.bias": torch.ones(3)}), r"head\.bias"),
        (lambda tensors: tensors.pop("pca"), "pca"),
        (transposed_pca, r"\(15, 225\), found \(225, 15\)"),
        (shorter_pca, r"\(15, 225\), found \(14, 225\)"),
    ],
)
def test_a_file_with_other_tensors_is_refused(tmp_path: Path, change: Callable, message: str):
    path = rewritten(tmp_path / "weights.safetensors", change)
    with pytest.raises(InputError, match=f"weights.safetensors: .*{message}"):
        read_weights(path)


def test_a_file_rewritten_as_it_was_is_read(tmp_path: Path):
    assert read_weights(rewritten(tmp_path / "weights.safetensors", lambda tensors: None)).network.config.features == 4


def test_float16_files_keep_p_in_float32_and_give_a_float32_network(tmp_path: Path):
    pca = default_pca()
    write_weights(tmp_path / "half.safetensors", Weights(SRMD(NetworkConfig(features=4, layers=3)), pca), torch.float16)
    tensors = load_file(tmp_path / "half.safetensors")
    assert tensors["head.weight"].dtype == torch.float16
    weights = read_weights(tmp_path / "half.safetensors")
    assert torch.equal(weights.pca, pca)
    assert all(parameter.dtype == torch.float32 for parameter in weights.network.parameters())
