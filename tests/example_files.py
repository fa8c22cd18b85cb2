"""A folder with small versions of the files that the documents' commands name."""

import shutil
from pathlib import Path

import numpy as np
import scipy.io
import torch
from numpy.typing import NDArray
from PIL import Image

from foreign_networks import write_matlab_5
from picture_files import save_smooth_picture
from srmd.backends.ncnn import ncnn_files
from srmd.kernel.specs import checked_gaussian
from srmd.model import SRMD, NetworkConfig

ROOT = Path(__file__).parents[1]
HR_SIZE = (84, 72)  # width, height; multiples of every scale from 1 to 4
LR_SIZE = (42, 36)
SMALL = {"features": 8, "layers": 3}


def prepare(folder: Path) -> None:
    """Fill a folder with the pictures, kernels, maps and networks that the documents name."""
    for name in ("kernels", "weights"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "path" / "to").mkdir(parents=True)
    (folder / "path" / "to" / "checkout").symlink_to(ROOT)
    _write_pictures(folder)
    _write_kernels(folder)
    _write_maps(folder)
    _write_networks(folder)


def _write_pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("photo.png", "photo.jpg", "photo.webp", "cat.png", "photos/1.png", "photos/2.png"):
        _write_picture(folder / name, rng, LR_SIZE)
    training_names = [f"data/{name}/{number}.png" for name in ("train_pictures", "both") for number in range(4)]
    hr_names = ("hr.png", "Set5/baby.png", "Set5/bird.png", *(f"pictures/{number}.png" for number in range(4)))
    for name in (*hr_names, *training_names):
        _write_picture(folder / name, rng, HR_SIZE)


def _write_picture(path: Path, rng: np.random.Generator, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_smooth_picture(path, rng, size)


def _write_kernels(folder: Path) -> None:
    kernels = np.stack([checked_gaussian(width) for width in (0.7, 1.3, 2.0)])
    scipy.io.savemat(folder / "mine.mat", {"k": kernels[1]})
    scipy.io.savemat(folder / "several.mat", {"kernels": kernels.transpose(1, 2, 0)})
    np.save(folder / "motion.npy", kernels.astype(np.float32))
    (folder / "my_kernels").mkdir()
    np.save(folder / "my_kernels" / "several.npy", kernels)


def _write_maps(folder: Path) -> None:
    width, height = LR_SIZE
    labels = np.zeros((height, width), np.uint8)
    labels[:, width // 2 :] = 1
    Image.fromarray(labels).save(folder / "labels.png")
    Image.fromarray(20 * labels).save(folder / "noise.png")
    np.save(folder / "noise.npy", 5.0 * labels)


def _write_networks(folder: Path) -> None:
    """Write small networks in other people's formats, under the names of the published files, and a P for them."""
    torch.manual_seed(0)
    pca = np.linalg.qr(np.random.default_rng(0).standard_normal((225, 15)))[0].T
    scipy.io.savemat(folder / "srmd_pca_matlab.mat", {"P": pca})
    param, binary = ncnn_files(SRMD(NetworkConfig(2)))  # of full size: training starts only from such networks
    (folder / "srmd_x2.param").write_text(param)
    (folder / "srmd_x2.bin").write_bytes(binary)
    wide = folder / "runs" / "wide"  # of the trainings of shipped networks
    wide.mkdir(parents=True)
    for name in ("kernels.npy", "kernels_x3.npy", "kernels_x4.npy", "delta.npy"):
        np.save(wide / name, checked_gaussian(3.0)[None])
    for name, shipped in (
        ("srmdnf_x4_all_widths", "srmdnf_x4"),
        ("srmd_x4_21", "srmd_x4"),
        ("srmd_x3_21", "srmd_x3"),
        ("srmdnf_x3_21", "srmdnf_x3"),
        ("srmdj_x3_21", "srmdj_x3"),
    ):
        (wide / f"{name}.safetensors").symlink_to(ROOT / "weights" / f"{shipped}.safetensors")
    kair = SRMD(NetworkConfig(3, conditions=("kernel",), **SMALL))
    layers = dict(enumerate(layer.conv.state_dict() for layer in kair.chain()))
    state = {f"model.{2 * number}.{key}": tensor for number, layer in layers.items() for key, tensor in layer.items()}
    torch.save(state, folder / "srmdnf_x3.pth")
    _write_matconvnet(folder / "SRMDx4.mat", SRMD(NetworkConfig(4, **SMALL)), pca)


def _write_matconvnet(path: Path, network: SRMD, pca: NDArray) -> None:
    layers: list[dict] = [{"type": "concat"}]
    for layer in network.chain():
        weight = layer.conv.weight.detach().numpy().transpose(2, 3, 1, 0)  # (3, 3, in, out)
        bias = layer.conv.bias.detach().numpy()[:, None]
        layers.append({"type": "conv", "weights": [weight, bias], "stride": 1.0, "pad": 1.0, "dilate": 1.0})
        if layer.relu:
            layers.append({"type": "relu", "leak": 0.0})
    layers.append({"type": "SubP", "scale": float(network.config.scale)})
    write_matlab_5(path, net={"layers": layers, "meta": {"P": pca}})


def add_trained_run(folder: Path) -> None:
    """Add the network that an earlier training command of a document would have left."""
    (folder / "runs" / "mine").mkdir(parents=True)
    shutil.copy(ROOT / "weights" / "srmdnf_x2.safetensors", folder / "runs" / "mine" / "last.safetensors")
