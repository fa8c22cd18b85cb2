"""The kernels that a network is trained on (Gaussians, the user's own, or both), and the P computed from them."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError, prefix_errors
from srmd.config import TrainConfig
from srmd.kernel.families import KERNEL_SIZE, random_kernels
from srmd.kernel.files import KERNEL_SUFFIXES, read_kernels
from srmd.kernel.pca import PCA_KERNELS, PCA_SCALE, PCA_SEED, principal_components
from srmd.kernel.window import cropped_share, fit_kernel

logger = logging.getLogger("srmd")

MAX_CROPPED_SHARE = 0.01  # share of a user's kernel, in absolute values, that may lie outside of the window
MAX_WINDOW = 63  # maximum side in HR pixels of a window: computing P for a larger one takes minutes and gigabytes


@dataclass(frozen=True)
class TrainingKernels:
    """The distribution of the kernels of a training run, in windows of size×size pixels."""

    size: int = KERNEL_SIZE
    own_kernels: NDArray[np.float32] | None = None  # the user's kernels, (n, size, size)
    gaussian_share: float = 1.0  # share of random Gaussians; the other kernels are drawn from own_kernels

    def draw(self, rng: np.random.Generator, count: int, scale: int) -> NDArray:
        """Return random kernels for a scale, (count, size, size). All of the user's kernels are equally likely."""
        kernels = random_kernels(rng, count, scale, self.size)
        if self.own_kernels is not None:
            drawn = self.own_kernels[rng.integers(len(self.own_kernels), size=count)]
            replaced = rng.random(count) >= self.gaussian_share
            kernels[replaced] = drawn[replaced]
        return kernels

    def sample(self) -> NDArray:
        """Return the random kernels that P is computed from, (10000, size, size): the same ones for all scales."""
        return self.draw(np.random.Generator(np.random.PCG64(PCA_SEED)), PCA_KERNELS, PCA_SCALE)

    def pca(self, dim: int) -> NDArray[np.float32]:
        """Return P, (dim, size²), computed from random kernels of this distribution; it is used for all scales."""
        return principal_components(self.sample(), dim)


GAUSSIANS = TrainingKernels()


def training_kernels(config: TrainConfig, own_kernels: NDArray[np.float32] | None = None) -> TrainingKernels:
    """Return the kernels of a run.

    `own_kernels` come from the checkpoint of a resumed run; without them they are read from `config.train_kernels`.
    """
    if config.train_kernels is None:
        return TrainingKernels(config.kernel_size)
    if own_kernels is None:
        with prefix_errors("train_kernels"):
            own_kernels = read_own_kernels(config.train_kernels, config.kernel_size)
    return TrainingKernels(config.kernel_size, own_kernels, config.gaussian_share)


def read_own_kernels(path: Path, size: int) -> NDArray[np.float32]:
    """Read the kernels of a file, or of all kernel files of a folder, in windows of size×size: (n, size, size).

    Broken files of a folder are left out with a warning. Raises InputError if no kernel can be read, or if more than
    1 % of one lies outside of the window.
    """
    kernels = _read_folder(path) if path.is_dir() else [(path, kernel) for kernel in read_kernels(path)]
    return np.stack([_fit_to_window(kernel, size, source) for source, kernel in kernels]).astype(np.float32)


def _read_folder(folder: Path) -> list[tuple[Path, NDArray]]:
    """Return the kernels of all kernel files of a folder, each with the path of its file."""
    kernels = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in KERNEL_SUFFIXES and path.is_file()):
        try:
            kernels += [(path, kernel) for kernel in read_kernels(path)]
        except InputError as error:
            logger.warning("left out: %s", error)
    if not kernels:
        raise InputError(f"{folder}: expected kernel files ({', '.join(KERNEL_SUFFIXES)}), found none that can be read")
    return kernels


def _fit_to_window(kernel: NDArray, size: int, source: Path) -> NDArray:
    cropped = cropped_share(kernel, size)
    if cropped > MAX_CROPPED_SHARE:
        problem = f"a window of {size}×{size} holds {1 - cropped:.0%} of its kernel"
        if len(kernel) <= MAX_WINDOW:
            advice = f"`kernel_size={len(kernel)}` holds it all"
        else:
            advice = f"the largest `kernel_size` is {MAX_WINDOW}"
        raise InputError(f"{source}: {problem}; {advice}")
    with prefix_errors(str(source)):
        return fit_kernel(kernel, size)
