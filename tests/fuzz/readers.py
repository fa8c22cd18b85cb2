"""What is called with each damaged file: it may only return, or raise InputError."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from srmd.evaluate.records import ResultRecords, is_results_folder
from srmd.kernel.files import read_kernels
from srmd.kernel.pca import read_pca
from srmd.packs.index import pack_version
from srmd.packs.reader import PackedPictures
from srmd.packs.version_1 import read_version_1
from srmd.pictures.compression import is_lossy
from srmd.pictures.files import count_pixels, encode_picture, read_picture, upright_size
from srmd.pictures.maps import read_labels, read_noise_map
from srmd.train.run_folder import RunFolder
from srmd.weights.estimators import read_estimator
from srmd.weights.files import read_weights

MAX_PIXELS = 10**6


def read_and_encode(path: Path) -> None:
    """Reads a picture, and encodes it with its metadata."""
    count_pixels(path, MAX_PIXELS)
    picture = read_picture(path, MAX_PIXELS)
    upright_size(path, MAX_PIXELS)
    is_lossy(path, MAX_PIXELS)
    for name in ("a.png", "a.jpg", "a.webp", "a.tiff"):
        encode_picture(Path(name), picture.as_floats(), picture, picture.alpha)


def read_pack(path: Path) -> None:
    if pack_version(path) == 1:
        for _ in read_version_1(path):
            pass
        return
    with PackedPictures(path) as pictures:
        for number in range(min(len(pictures), 3)):
            pictures.picture(number)
        pictures.sample(np.random.default_rng(0), 2, 4)


def read_records(path: Path) -> None:
    is_results_folder(path.parent)
    ResultRecords(path.parent).existing_rows()


READERS: dict[str, Callable[[Path], object]] = {
    "kernels": read_kernels,
    "pca": read_pca,
    "weights": read_weights,
    "estimators": read_estimator,
    "packs": read_pack,
    "pictures": read_and_encode,
    "labels": lambda path: read_labels(path, MAX_PIXELS),
    "noise_maps": lambda path: read_noise_map(path, MAX_PIXELS),
    "runs": lambda path: RunFolder(path.parent).rows(),
    "records": read_records,
}
