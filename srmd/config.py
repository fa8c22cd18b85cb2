"""What a mode is asked to do, checked and typed, and what a test will do. No torch here."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class NamedKernel:
    """A kernel and the words it was asked for with."""

    spec: str
    array: np.ndarray  # (k, k), k odd, sum 1
    path: Path | None = None  # of the file that it was read from
    may_shift: bool = False  # whether its centre of mass may lie off its middle without a warning


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
    regions: NamedMap | None = None  # which of several kernels is where
    region_blend: float = 0.0  # LR pixels, by which the borders of the regions are softened

    @property
    def has_noise(self) -> bool:
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
    threads: int | None = None  # None: as PyTorch has it
    seed: int = 0
    visdom: str = "auto"
    debug: bool = False
    command: str = ""  # as it was typed

    @property
    def conditions(self) -> tuple[str, ...]:
        """What the network is told."""
        return ("kernel",) if self.noise_free else ("kernel", "noise")


@dataclass(frozen=True)
class TestRequest:
    """What `--mode=test` is asked for."""

    weights: Path
    output: Path
    kernel: list[NamedKernel]
    scale_factor: int | None = None  # None: the weights' own
    pca: Path | None = None
    test_data: Path | None = None
    input: list[Path] = field(default_factory=list)
    save_kernel: Path | None = None
    regions: NamedMap | None = None
    region_blend: float = 0.0
    noise_level: float = 0.0
    noise_map: NamedMap | None = None  # in place of the noise level
    assumed_kernel: NamedKernel | None = None
    assumed_noise_level: float | None = None
    downsampler: str | None = None  # None: what the weights were trained for
    self_ensemble: bool = False
    tile: int | None = None  # LR pixels; None: what suits the backend
    save_lr: bool = False
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    threads: int | None = None  # None: as PyTorch has it
    seed: int = 0
    visdom: str = "auto"
    debug: bool = False
    command: str = ""  # as it was typed

    @property
    def input_paths(self) -> list[Path]:
        """All paths that were given, which nothing may be written over."""
        kernels = [*self.kernel, self.assumed_kernel] if self.assumed_kernel else self.kernel
        paths = [*self.input, *(kernel.path for kernel in kernels), self.test_data, self.weights, self.pca]
        paths += [named.path for named in (self.regions, self.noise_map) if named]
        return [path for path in paths if path]


@dataclass(frozen=True)
class TestSettings:
    """What a test does: what was asked for, and what only the weights can say."""

    request: TestRequest
    applied: NamedDegradation  # to HR pictures; to LR pictures, what is said to have been done
    assumed: NamedDegradation  # what the network is told
    downsampler: str


@dataclass(frozen=True)
class PrepareRequest:
    """What `--mode=prepare` is asked for."""

    output: Path
    train_data: Path | None = None
    debug: bool = False
