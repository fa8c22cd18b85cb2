"""ncnn files, written here from the definition of the format, and the published networks."""

import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from foreign_networks import SMALL, conditions_of, ncnn_files, output, small_network
from published import NCNN, needs_networks
from srmd.base.errors import InputError
from srmd.model import NetworkConfig
from srmd.weights.files import read_weights, read_weights_with_pca


@pytest.mark.parametrize("noise_free", [False, True])
@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_an_ncnn_network_is_read_from_the_path_of_either_file(tmp_path: Path, noise_free: bool, suffix: str):
    network = small_network(replace(SMALL, conditions=conditions_of(noise_free)))
    read = read_weights(ncnn_files(tmp_path, network).with_suffix(suffix))
    assert read.network.config == network.config
    assert torch.equal(output(read.network, network.config), output(network, network.config))
    assert read.pca is None


def test_an_ncnn_network_in_float16_is_read(tmp_path: Path):
    network = small_network()
    read = read_weights(ncnn_files(tmp_path, network, float16=True)).network
    assert (output(read, SMALL) - output(network, SMALL)).abs().max() < 5e-3


def test_a_truncated_or_missing_bin_is_refused(tmp_path: Path):
    path = ncnn_files(tmp_path, small_network())
    data = path.with_suffix(".bin").read_bytes()
    path.with_suffix(".bin").write_bytes(data[:-8])
    with pytest.raises(InputError, match="cut short"):
        read_weights(path)
    path.with_suffix(".bin").write_bytes(data + b"\0" * 4)
    with pytest.raises(InputError, match=f"expected {len(data)} bytes"):
        read_weights(path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(InputError, match="belong together"):
        read_weights(path)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("PixelShuffle", "Deconvolution", "Deconvolution"),
        ("0=3\n", "0=3 1=1\n", "mode 1"),
        ("0=3\n", "0=2\n", "shuffled by 2"),
        ("1=3", "1=5", "1: 5"),
        (" 9=1", "", "ReLU after all but the last"),
        ("6=", "6=x", "3×3"),
        ("0=8", "0=0", "0: 0"),
    ],
)
def test_an_ncnn_network_of_another_architecture_is_refused(tmp_path: Path, old: str, new: str, found: str):
    path = ncnn_files(tmp_path, small_network())
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=found):
        read_weights(path)


def test_a_bin_with_a_brace_as_its_ninth_byte_is_read_as_ncnn(tmp_path: Path):
    """Its ninth byte, where a header in JSON opens in .safetensors, belongs to a weight."""
    network = small_network()
    with torch.no_grad():
        network.convs[0].weight[0, 0, 0, 1] = struct.unpack("<f", b"{\0\0\x3f")[0]
    path = ncnn_files(tmp_path, network).with_suffix(".bin")
    assert path.read_bytes()[8:9] == b"{"
    assert torch.equal(output(read_weights(path).network, SMALL), output(network, SMALL))


def test_ncnn_weights_in_8_bits_are_refused(tmp_path: Path):
    path = ncnn_files(tmp_path, small_network())
    data = path.with_suffix(".bin").read_bytes()
    path.with_suffix(".bin").write_bytes(struct.pack("<I", 0x000D4B38) + data[4:])
    with pytest.raises(InputError, match=r"net\.bin: expected weights in float32 or float16, found the tag 0x000d4b38"):
        read_weights(path)


@needs_networks
@pytest.mark.parametrize("name", ["srmd_x2", "srmd_x3", "srmd_x4", "srmdnf_x2", "srmdnf_x3", "srmdnf_x4"])
def test_the_published_networks_are_read(name: str, tmp_path: Path):
    for suffix in (".bin", ".param"):
        shutil.copy(NCNN / f"{name}{suffix}", tmp_path)
    config = read_weights(tmp_path / f"{name}.param").network.config
    assert config == NetworkConfig(int(name[-1]), conditions=conditions_of("nf" in name))
    assert output(read_weights(tmp_path / f"{name}.bin").network, config).isfinite().all()


def test_foreign_weights_are_read_with_the_p_of_a_file(tmp_path: Path):
    pca = np.random.default_rng(0).random((15, 225))
    scipy.io.savemat(tmp_path / "P.mat", {"P": pca})
    read = read_weights_with_pca(ncnn_files(tmp_path, small_network()), tmp_path / "P.mat")
    torch.testing.assert_close(read.pca, torch.from_numpy(pca).float())
