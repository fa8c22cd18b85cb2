"""A file of one kind that is passed where another is expected: the message says what the file is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from default_pca import default_pca
from small_packs import packed
from srmd.base.errors import InputError
from srmd.base.kinds import describe_content
from srmd.kernel.files import write_mat
from srmd.kernel.pca import read_pca
from srmd.model import SRMD, NetworkConfig
from srmd.packs.reader import PackedPictures
from srmd.packs.training_data import open_training_data
from srmd.pictures.files import read_picture
from srmd.pictures.maps import read_labels, read_noise_map
from srmd.train.run_folder import run_config
from srmd.weights.export_ncnn import ncnn_export
from srmd.weights.files import Weights, read_weights, write_weights
from srmd.weights.shipped import estimator_file

FOUND = {
    "pack.h5": "a pack of training pictures",
    "network.safetensors": "a network",
    "estimator.safetensors": "an estimator of blur and noise",
    "checkpoint.pt": "a checkpoint or another PyTorch file",
    "network.param": "a network for ncnn",
    "network.bin": "the weights of a network for ncnn",
    "array.npy": "an array",
    "kernel.mat": "a MATLAB file",
    "picture.png": "a picture",
    "picture.jpg": "a picture",
    "metrics.json": "JSON",
}
READERS: dict[Callable[[Path], object], tuple[str, ...]] = {  # with the files that they read, or say more of
    read_weights: ("network.safetensors", "network.param", "network.bin", "kernel.mat", "checkpoint.pt"),
    read_pca: ("kernel.mat",),
    read_picture: ("picture.png", "picture.jpg"),
    read_labels: ("picture.png", "picture.jpg"),
    read_noise_map: ("picture.png", "picture.jpg", "array.npy"),
    open_training_data: ("pack.h5",),
    PackedPictures: ("pack.h5",),
    lambda path: run_config({"resume": str(path)}): (),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    network = SRMD(NetworkConfig(features=8, layers=3)).eval()
    packed(folder, (20, 20)).close()
    write_weights(folder / "network.safetensors", Weights(network, default_pca()))
    (folder / "estimator.safetensors").write_bytes(estimator_file(2).read_bytes())
    torch.save({"step": 1}, folder / "checkpoint.pt")
    param, binary = ncnn_export(network, float16=True)
    (folder / "network.param").write_text(param)
    (folder / "network.bin").write_bytes(binary)
    np.save(folder / "array.npy", np.ones((3, 3)))
    write_mat(folder / "kernel.mat", {"kernel": np.ones((3, 3))})
    for suffix in ("png", "jpg"):
        Image.new("L", (20, 20)).save(folder / f"picture.{suffix}")
    (folder / "metrics.json").write_text("{}\n")
    return folder


@pytest.mark.parametrize("name", FOUND)
def test_each_reader_says_what_a_file_of_another_kind_is(folder: Path, name: str):
    for read, own_files in READERS.items():
        if name not in own_files:
            with pytest.raises(InputError, match=rf"{name}: expected .* found {FOUND[name]}"):
                read(folder / name)


def test_what_can_not_be_told_is_not_described(tmp_path: Path):
    (tmp_path / "text").write_text("text")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("text", "empty", "missing", "."):
        assert describe_content(tmp_path / name) is None


def test_the_folder_of_a_run_is_no_network_and_holds_one(tmp_path: Path):
    (tmp_path / "last.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"found the folder of a run, whose network is last\.safetensors$"):
        read_weights(tmp_path)


def test_a_matlab_file_without_p_is_refused_with_the_names_of_its_variables(tmp_path: Path):
    write_mat(tmp_path / "k.mat", {"kernel": np.ones((3, 3)), "sigma": np.ones((1, 1))})
    with pytest.raises(InputError, match=r"expected a real matrix P of 15×225, found kernel 3×3, sigma 1×1$"):
        read_pca(tmp_path / "k.mat")
