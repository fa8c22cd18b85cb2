"""What a mode was asked to do: the flags of `main.py`, checked and typed. No torch here."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

VERSION = "0.4.0"


@dataclass(frozen=True)
class NamedKernel:
    """A kernel and the words it was asked for with."""

    spec: str
    array: np.ndarray  # (k, k), k odd, sum 1
    shifts: bool = False  # and is meant to: direct downsampling takes no middle pixel at even scales


@dataclass(frozen=True)
class KernelChoice:
    """The kernels of a file, or the one of a formula, and the words they were asked for with."""

    spec: str
    arrays: list[np.ndarray]  # of (k, k), k odd, sum 1


@dataclass(frozen=True)
class NamedMap:
    """Labels or noise levels, a pixel a number, and where they came from."""

    path: Path
    values: np.ndarray  # (H, W), LR's or HR's size


@dataclass(frozen=True)
class NamedDegradation:
    """What is done to a picture, or said to have been done, as it was asked for."""

    kernels: list[NamedKernel]  # one, or one for each label of the regions
    noise: float | NamedMap  # 0 to 255

    @property
    def noisy(self) -> bool:
        """Whether there is any noise."""
        return bool(self.noise.values.any() if isinstance(self.noise, NamedMap) else self.noise)


@dataclass(frozen=True)
class TrainConfig:
    """`--mode=train`; stored as `config.json` of the run."""

    scale_factor: int = 2
    output: Path | None = None
    weights: Path | None = None
    train_data: Path | None = None
    train_kernels: Path | None = None
    gaussian_share: float = 0.5
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
    seed: int = 0
    visdom: str = "auto"
    debug: bool = False
    command: str = ""  # as it was typed


@dataclass(frozen=True)
class TestConfig:
    """`--mode=test`."""

    scale_factor: int | None = None
    output: Path | None = None
    weights: Path | None = None
    pca: Path | None = None
    test_data: Path | None = None
    input: list[Path] = field(default_factory=list)
    kernel: list[NamedKernel] = field(default_factory=list)
    kernel_index: list[int] = field(default_factory=list)
    recentre_kernel: bool = False
    save_kernel: Path | None = None
    regions: NamedMap | None = None
    region_blend: float = 0.0
    noise_level: float = 0.0
    noise_map: NamedMap | None = None
    assumed_kernel: NamedKernel | None = None
    assumed_noise_level: float | None = None
    downsampler: str | None = None  # what the weights were trained for
    self_ensemble: bool = False
    tile: int | None = None  # LR pixels; None: what the engine likes
    save_lr: bool = False
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    seed: int = 0
    visdom: str = "auto"
    debug: bool = False
    command: str = ""  # as it was typed
    equivalents: list[NamedKernel] = field(default_factory=list)  # of `kernel`, for a network that knows bicubic alone
    given_paths: list[Path] = field(default_factory=list)  # which nothing may be written over

    @property
    def applied(self) -> NamedDegradation:
        """What HR pictures are degraded by."""
        return NamedDegradation(self.kernel, self.noise_map or self.noise_level)

    @property
    def assumed(self) -> NamedDegradation:
        """What the network is told."""
        kernels = [self.assumed_kernel] if self.assumed_kernel else self.equivalents or self.kernel
        noise = self.applied.noise if self.assumed_noise_level is None else self.assumed_noise_level
        return NamedDegradation(kernels, noise)


@dataclass(frozen=True)
class PrepareConfig:
    """`--mode=prepare`."""

    train_data: Path | None = None
    output: Path | None = None
    debug: bool = False
