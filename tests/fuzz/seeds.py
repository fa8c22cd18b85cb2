"""Small valid files of every format that the package reads, from which damaged ones are made."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import torch
from PIL import Image, features

from foreign_networks import ncnn_files
from small_packs import pack_of, random_picture
from srmd.estimator import Estimator, EstimatorConfig
from srmd.kernel.pca import read_pca
from srmd.model import SRMD, NetworkConfig
from srmd.pictures.files import write_picture
from srmd.pictures.picture import Metadata, Picture
from srmd.weights.checkpoint import Checkpoint, save_checkpoint
from srmd.weights.estimators import EstimatorWeights, write_estimator
from srmd.weights.files import Weights, write_weights

KERNEL = np.outer([1, 2, 1], [1, 3, 1]) / 20
NETWORK = NetworkConfig(scale=2, features=4, layers=3)
PICTURE_FORMATS = (".png", ".jpg", ".webp", ".tiff", ".gif", ".bmp", ".ppm", ".tga", ".ico", ".pcx", ".jp2", ".avif")


def write_seeds(folder: Path) -> None:
    """Writes a subfolder with valid files for each reader of `READERS`."""
    for kind, write in WRITERS.items():
        (folder / kind).mkdir(parents=True)
        write(folder / kind)


def write_mat(path: Path, variables: dict, **options: object) -> None:
    with path.open("wb") as file:
        scipy.io.savemat(file, variables, **options)


def write_mat_73(path: Path, write: Callable[[h5py.File], None]) -> None:
    """A MATLAB 7.3 file: HDF5 behind a header of 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        write(file)
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM"
    path.write_bytes(content)


def write_kernels(folder: Path) -> None:
    cells = np.empty(2, object)
    cells[:] = [KERNEL, KERNEL.T]
    write_mat(folder / "plain.mat", {"kernel": KERNEL, "text": "words", "s": {"a": KERNEL, "b": "c"}})
    write_mat(folder / "cells.mat", {"kernels": cells}, do_compression=True)
    write_mat(folder / "four.mat", {"kernel": KERNEL}, format="4")

    def write(file: h5py.File) -> None:
        file["#refs#/a"], file["#refs#/b"] = KERNEL, KERNEL
        file["kernels"] = np.array([[file["#refs#/a"].ref], [file["#refs#/b"].ref]], h5py.ref_dtype)
        file["kernels"].attrs["MATLAB_class"] = np.bytes_("cell")
        file.create_dataset("other", data=np.ones((20, 20)), chunks=(10, 10), compression="gzip")

    write_mat_73(folder / "hdf5.mat", write)
    np.save(folder / "k.npy", KERNEL)
    np.savetxt(folder / "k.txt", KERNEL)
    np.savetxt(folder / "k.csv", KERNEL, delimiter=",")
    Image.fromarray(np.uint8(255 * KERNEL)).save(folder / "k.png")


def write_pca(folder: Path) -> None:
    write_mat(folder / "pca.mat", {"P": read_pca(Path("kernels/pca.mat"))})


def write_networks(folder: Path) -> None:
    torch.manual_seed(0)
    network, pca = SRMD(NETWORK), torch.from_numpy(read_pca(Path("kernels/pca.mat")))
    write_weights(folder / "a.safetensors", Weights(network, pca, {"command": "a"}))
    state = network.state_dict()
    config, optimizer = asdict(NETWORK), {"state": {0: {"step": 1}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    values = ("1.0", 3, "fp32", "bicubic", False, config, state, state, optimizer, pca, None, None)
    save_checkpoint(folder / "checkpoint.pt", vars(Checkpoint(*values)))
    convolutions = [*network.convs, network.head]
    kair = {f"model.{2 * i}.{key}": t for i, conv in enumerate(convolutions) for key, t in conv.state_dict().items()}
    torch.save(kair, folder / "kair.pth")
    torch.save(kair, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    ncnn_files(folder, network)
    write_mat(folder / "matconvnet.mat", {"net": {"layers": _matconvnet_layers(network), "meta": {"P": pca.numpy()}}})


def write_estimators(folder: Path) -> None:
    torch.manual_seed(0)
    write_estimator(
        folder / "estimate_x2.safetensors", EstimatorWeights(Estimator(EstimatorConfig(hidden=8)), {"a": 1})
    )


def _matconvnet_layers(network: SRMD) -> np.ndarray:
    layers = []
    for conv in (*network.convs, network.head):
        weights = np.empty((1, 2), object)
        weights[0, :] = [conv.weight.detach().numpy().transpose(2, 3, 1, 0), conv.bias.detach().numpy()]
        layers += [{"type": "conv", "weights": weights, "pad": 1.0, "stride": 1.0}, {"type": "relu", "leak": 0.0}]
    layers[-1] = {"type": "SubP", "scale": 2.0}
    cells = np.empty((1, len(layers)), object)
    cells[0, :] = layers
    return cells


def write_packs(folder: Path) -> None:
    pack_of(
        folder / "pack.h5", ("a", False, [(random_picture(70, 66), 1.0)]), ("b", True, [(random_picture(5, 9), 1.0)])
    )
    with h5py.File(folder / "old.h5", "w") as file:
        file.attrs.update(format="srmd pictures", version=1)
        file["pictures/000"] = random_picture(7, 5)
        file["pictures/000"].attrs["name"] = "a.png"


def write_pictures(folder: Path) -> None:
    rgb = random_picture(9, 12)
    for suffix in PICTURE_FORMATS:
        if suffix != ".avif" or features.check("avif"):
            Image.fromarray(rgb).save(folder / f"rgb{suffix}")
    exif = Image.Exif()
    exif[ExifArtist], exif[ExifOrientation] = "somebody", 6
    metadata = Metadata(exif=exif.tobytes(), xmp=b"<x:xmpmeta/>", dpi=(72.0, 72.0))
    alpha = np.arange(108, dtype=np.uint8).reshape(9, 12)
    for suffix in (".png", ".tiff", ".webp", ".jpg"):
        write_picture(folder / f"all{suffix}", rgb, Picture(rgb, metadata=metadata), alpha)
    write_picture(folder / "deep.png", np.uint16(rgb) * 257, Picture(np.uint16(rgb)), np.uint16(alpha) * 257)
    write_picture(folder / "grey.png", rgb[..., :1], Picture(rgb, grey=True))
    Image.fromarray(rgb).quantize(16).save(folder / "palette.png", transparency=3)
    Image.fromarray(rgb).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.float32(rgb[..., 0]) / 255).save(folder / "float.tiff")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        Image.fromarray(rgb).save(folder / f"{compression}.tiff", compression=compression)
    Image.fromarray(rgb).save(folder / "frames.gif", save_all=True, append_images=[Image.fromarray(rgb[::-1])])


def write_labels(folder: Path) -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4) % 2
    Image.fromarray(labels).save(folder / "labels.png")
    Image.fromarray(labels).save(folder / "labels.gif")


def write_noise_maps(folder: Path) -> None:
    np.save(folder / "noise.npy", np.full((3, 4), 7.5, np.float32))
    Image.fromarray(np.full((3, 4), 9, np.uint8)).save(folder / "noise.png")


def write_runs(folder: Path) -> None:
    rows = [{"step": i, "loss": 0.1, "lr": 1e-3, "images_per_s": 2.0, "psnr_y": 30.0} for i in range(1, 4)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_records(folder: Path) -> None:
    row = {"file": "a.png", "settings": 0, "seconds": 1.0}
    content = {"version": "1", "assumed": {}, "images": [row], "settings": [{"scale": 2}]}
    (folder / "metrics.json").write_text(json.dumps(content))
    (folder / ".srmd-0.jsonl").write_text(json.dumps(row | {"settings": {"scale": 2}}) + "\n")


ExifArtist, ExifOrientation = 315, 274
WRITERS = {
    "kernels": write_kernels,
    "pca": write_pca,
    "weights": write_networks,
    "estimators": write_estimators,
    "packs": write_packs,
    "pictures": write_pictures,
    "labels": write_labels,
    "noise_maps": write_noise_maps,
    "runs": write_runs,
    "records": write_records,
}
