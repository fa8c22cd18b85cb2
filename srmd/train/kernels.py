"""The kernels that a network is trained on: Gaussians, the user's own, or both; and the P that they make."""

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

MAX_CUT = 0.01  # of an own kernel's mass that may lie outside the window
MAX_WINDOW = 63  # its side in HR pixels: P of a larger one takes minutes and gigabytes


@dataclass(frozen=True)
class TrainingKernels:
    """What training draws its kernels from, in windows of size×size."""

    size: int = KERNEL_SIZE
    own_kernels: NDArray[np.float32] | None = None  # (n, size, size)
    gaussian_share: float = 1.0  # of the kernels drawn; the others are own ones

    def draw(self, rng: np.random.Generator, count: int, scale: int) -> NDArray:
        """Random kernels for a scale, (count, size, size); own ones come as they are, all with the same chance."""
        kernels = random_kernels(rng, count, scale, self.size)
        if self.own_kernels is not None:
            drawn = self.own_kernels[rng.integers(len(self.own_kernels), size=count)]
            replaced = rng.random(count) >= self.gaussian_share
            kernels[replaced] = drawn[replaced]
        return kernels

    def pca(self, dim: int) -> NDArray[np.float32]:
        """P, (dim, size²), of such kernels; one for all scales."""
        rng = np.random.Generator(np.random.PCG64(PCA_SEED))
        return principal_components(self.draw(rng, PCA_KERNELS, PCA_SCALE), dim)


GAUSSIANS = TrainingKernels()


def training_kernels(config: TrainConfig, own: NDArray[np.float32] | None = None) -> TrainingKernels:
    """What a run draws its kernels from; `own` where a checkpoint holds what was read from `config.train_kernels`."""
    if config.train_kernels is None:
        return TrainingKernels(config.kernel_size)
    if own is None:
        with prefix_errors("train_kernels"):
            own = read_own_kernels(config.train_kernels, config.kernel_size)
    return TrainingKernels(config.kernel_size, own, config.gaussian_share)


def read_own_kernels(path: Path, size: int) -> NDArray[np.float32]:
    """The kernels of a file, or of all kernel files of a folder, in windows of size×size: (n, size, size).

    Broken files of a folder are named and left out. InputError where there is no kernel, or the window is too small.
    """
    kernels = _kernels_of_folder(path) if path.is_dir() else [(path, kernel) for kernel in read_kernels(path)]
    return np.stack([_in_window(kernel, size, source) for source, kernel in kernels]).astype(np.float32)


def _kernels_of_folder(folder: Path) -> list[tuple[Path, NDArray]]:
    kernels = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in KERNEL_SUFFIXES and path.is_file()):
        try:
            kernels += [(path, kernel) for kernel in read_kernels(path)]
        except InputError as error:
            logger.warning("left out: %s", error)
    if not kernels:
        raise InputError(f"{folder}: expected kernel files ({', '.join(KERNEL_SUFFIXES)}), found no whole one")
    return kernels


def _in_window(kernel: NDArray, size: int, source: Path) -> NDArray:
    lost = cropped_share(kernel, size)
    if lost > MAX_CUT:
        found = f"a window of {size}×{size} holds {1 - lost:.0%} of its kernel"
        way_out = (
            f"`kernel_size={len(kernel)}` holds it all" if len(kernel) <= MAX_WINDOW else f"{MAX_WINDOW} is the most"
        )
        raise InputError(f"{source}: {found}; {way_out}")
    with prefix_errors(str(source)):
        return fit_kernel(kernel, size)
