"""Requests (the flags of a mode, checked and typed) and the settings of a test.

This module imports no torch, so that flags are checked before torch is imported.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class NamedKernel:
    """A kernel and the text that selected it."""

    spec: str  # such as gaussian:1.3, or a path; printed and stored with the results
    array: np.ndarray  # (k, k), k odd, sum 1
    path: Path | None = None  # the kernel file; None for delta and Gaussians
    may_shift: bool = False  # whether its centre of mass may lie off its middle without a warning


@dataclass(frozen=True)
class NamedMap:
    """A map of region labels or of noise levels (0 to 255), one number per pixel, and its file."""

    path: Path
    values: np.ndarray  # (H, W), the size of LR or of HR


@dataclass(frozen=True)
class NamedDegradation:
    """A degradation as the user described it: kernels, noise and where they apply."""

    kernels: list[NamedKernel]  # one, or one per label in `regions`
    noise: float | NamedMap  # noise level, 0 to 255
    regions: NamedMap | None = None  # label i marks the pixels that are blurred by kernels[i]
    region_blend: float = 0.0  # standard deviation, in LR pixels, of the Gaussian that blends the regions

    @property
    def has_noise(self) -> bool:
        """Whether the noise level is above 0 anywhere."""
        return bool(self.noise.values.any() if isinstance(self.noise, NamedMap) else self.noise)


@dataclass(frozen=True)
class TrainConfig:
    """The request of `--mode=train`; stored as `config.json` in the folder of the run."""

    scale_factor: int = 2
    output: Path | None = None
    weights: Path | None = None
    train_data: Path | None = None
    train_kernels: Path | None = None
    gaussian_share: float = 0.5  # share of Gaussians beside the kernels of `train_kernels`
    kernel_size: int = 15
    pca_dim: int = 15
    head: str = "subpixel"
    noise_free: bool = False
    batch_norm: bool = False
    downsampler: str = "bicubic"
    steps: int = 50_000
    batch_size: int = 16
    patch_size: int = 40
    lr: float = 1e-3
    loss: str = "l1"
    cache: str = "auto"
    save_every: int = 1000
    resume: str | None = None
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None  # None: PyTorch's default
    seed: int = 0
    visdom: str = "auto"
    debug: bool = False
    command: str = ""  # the command line as the user typed it

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions of the network, see `NetworkConfig`."""
        return ("kernel",) if self.noise_free else ("kernel", "noise")


@dataclass(frozen=True)
class TestRequest:
    """The request of `--mode=test`."""

    weights: Path
    output: Path
    kernel: list[NamedKernel]
    scale_factor: int | None = None  # None: the scale of the weights
    pca: Path | None = None
    test_data: Path | None = None
    input: list[Path] = field(default_factory=list)
    save_kernel: Path | None = None
    regions: NamedMap | None = None
    region_blend: float = 0.0
    noise_level: float = 0.0
    noise_map: NamedMap | None = None  # replaces noise_level
    assumed_kernel: NamedKernel | None = None
    assumed_noise_level: float | None = None
    downsampler: str | None = None  # None: the one that the weights were trained for
    self_ensemble: bool = False
    tile: int | None = None  # side in LR pixels; None: chosen by the backend
    save_lr: bool = False
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    threads: int | None = None  # None: PyTorch's default
    seed: int = 0
    visdom: str = "auto"
    debug: bool = False
    command: str = ""  # the command line as the user typed it

    @property
    def input_paths(self) -> list[Path]:
        """All files and folders that the request reads; no result may overwrite them."""
        kernels = [*self.kernel, self.assumed_kernel] if self.assumed_kernel else self.kernel
        paths = [*self.input, *(kernel.path for kernel in kernels), self.test_data, self.weights, self.pca]
        paths += [named.path for named in (self.regions, self.noise_map) if named]
        return [path for path in paths if path]


@dataclass(frozen=True)
class TestSettings:
    """What a test does: the request, completed with values that depend on the weights."""

    request: TestRequest
    applied: NamedDegradation  # applied to HR pictures; for LR pictures, the one that the user describes
    assumed: NamedDegradation  # given to the network as its condition
    downsampler: str


@dataclass(frozen=True)
class PrepareRequest:
    """The request of `--mode=prepare`."""

    output: Path
    train_data: Path | None = None
    debug: bool = False
