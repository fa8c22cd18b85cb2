"""Requests (the flags of a mode, checked and typed) and the settings of a test.

This module imports no torch, so that flags are checked before torch is imported.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

STANDARD_STREAM = Path("-")  # as `input` standard input, as `output` standard output
MAX_PIXELS = 2**28  # by default, of a picture that is read
CONDITIONS = ("kernel", "noise", "jpeg")  # all conditions that a network can have, in the order of its channels
AUTO = "auto"  # as kernel or noise level: estimated from each LR picture; as JPEG: the file's tables
Auto = Literal["auto"]
OFF = "off"  # as JPEG: not compressed
Off = Literal["off"]


def are_conditions(names: object) -> bool:
    """Whether a network can have these conditions: a list of `kernel` and others of CONDITIONS, each at most once."""
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return False
    return "kernel" in names and len(names) == len(set(names)) and set(names) <= set(CONDITIONS)


def network_kind(conditions: tuple[str, ...]) -> str:
    """SRMD, or SRMDNF (noise-free) if a network is told no noise level; with J at its end if it is told of JPEG."""
    noise_free = "" if "noise" in conditions else "NF"
    return f"SRMD{noise_free}{'J' if 'jpeg' in conditions else ''}"


@dataclass(frozen=True)
class NamedKernel:
    """A kernel and the text that selected it."""

    spec: str  # such as gaussian:1.3, or a path; printed and stored with the results
    array: np.ndarray  # (k, k), k odd, sum 1
    path: Path | None = None  # the kernel file; None for delta and Gaussians
    may_shift: bool = False  # whether there is no warning if its centre of mass is off its middle


@dataclass(frozen=True)
class NamedMap:
    """A map of region labels or of noise levels (0 to 255), one number per pixel, and the path of its file."""

    path: Path
    values: np.ndarray  # (H, W), the size of LR or of HR


@dataclass(frozen=True)
class NamedDegradation:
    """A degradation as the user described it: kernels, noise and where they apply."""

    kernels: list[NamedKernel] | Auto  # one, or one per label in `regions`
    noise: float | NamedMap | Auto  # noise level, 0 to 255
    regions: NamedMap | None = None  # label i marks the pixels that are blurred by kernels[i]
    region_blend: float = 0.0  # standard deviation, in LR pixels, of the Gaussian that blends the regions
    jpeg: int | Auto | None = None  # quality of a JPEG, 1 to 100; None: not compressed

    @property
    def has_noise(self) -> bool:
        """Whether the noise level is, or may be, above 0 anywhere."""
        return bool(self.noise.values.any() if isinstance(self.noise, NamedMap) else self.noise)

    @property
    def is_estimated(self) -> bool:
        """Whether its blur or its noise is estimated from each LR picture."""
        return AUTO in (self.kernels, self.noise)


@dataclass(frozen=True)
class PackOptions:
    """How the pictures of a folder are packed."""

    # Sizes at which each picture is stored, relative to the file, above 0 and up to 1. Smaller versions are sharper and
    # hold less of the artefacts of compression.
    sizes: tuple[float, ...] = (1.0, 0.75, 0.5)
    sizes_lossy: tuple[float, ...] | None = None  # those of files in lossy formats; None: `sizes`
    recursive: bool = False  # whether the pictures in subfolders are packed too
    max_pixels: int = MAX_PIXELS  # of a picture; larger ones are left out

    def sizes_of(self, lossy: bool) -> tuple[float, ...]:
        """The sizes at which a picture from a lossy or lossless file is stored."""
        return self.sizes if self.sizes_lossy is None or not lossy else self.sizes_lossy


@dataclass(frozen=True)
class TrainConfig:
    """The request of `--mode=train`; stored as `config.json` in the folder of the run."""

    scale_factor: int = 2
    output: Path | None = None  # folder of the run; None: a new folder in runs/
    weights: Path | None = None  # network to start from; None: an untrained one
    pca: Path | None = None  # file of P, for weights without P
    train_data: Path | None = None  # pack or folder of pictures; None: the built-in set
    recursive: bool = False  # whether the pictures in subfolders of `train_data` are used too
    pack_sizes: tuple[float, ...] = PackOptions.sizes  # see `PackOptions`
    pack_sizes_lossy: tuple[float, ...] | None = None
    train_kernels: Path | None = None  # file or folder of kernels; None: Gaussians only
    gaussian_share: float = 0.5  # share of Gaussians beside the kernels of `train_kernels`
    kernel_size: int = 15  # side of the window, HR pixels
    pca_dim: int = 15  # numbers in a kernel code
    head: str = "subpixel"
    conditions: tuple[str, ...] = ("kernel", "noise")  # what the network is told, see `NetworkConfig`
    batch_norm: bool = False
    downsampler: str = "bicubic"
    steps: int = 50_000
    batch_size: int = 16  # patches per step
    patch_size: int = 40  # side of a patch, LR pixels
    lr: float = 1e-3  # maximum learning rate
    loss: str = "l1"
    cache: str = "auto"
    save_every: int = 1000  # steps between checkpoints
    resume: str | None = None  # folder of the run to resume; "": see `run_config`; None: a new run
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None  # None: PyTorch's default
    seed: int = 0
    visdom: str = "auto"
    debug: bool = False
    command: str = ""  # the command line as the user typed it

    @property
    def pack_options(self) -> PackOptions:
        """How the pictures of a folder are packed."""
        return PackOptions(self.pack_sizes, self.pack_sizes_lossy, self.recursive)


@dataclass(frozen=True)
class TestRequest:
    """The request of `--mode=test`."""

    weights: Path | None  # None: for each LR picture the shipped network whose scale reaches `size`
    output: Path
    kernel: list[NamedKernel] | Auto
    noise_free_weights: Path | None = None  # network of pictures whose estimated noise level is 0; None: `weights`
    jpeg_weights: Path | None = None  # network of LR pictures that are, or once were, JPEGs; None: as for all others
    scale_factor: int | None = None  # None: the scale of the weights
    pca: Path | None = None  # file of P, for weights without P
    test_data: Path | None = None  # HR pictures; None: the built-in photos, unless there is `input`
    input: list[Path] = field(default_factory=list)  # LR pictures, files and folders
    recursive: bool = False  # whether the pictures in subfolders of `input` are restored too
    format: str = "png"  # of restored pictures: png, jpg, webp, tiff, avif, or keep, that of the LR picture
    quality: int | None = None  # of jpg, webp and avif, 1 to 100; None: DEFAULT_QUALITY
    suffix: str = ""  # appended to the names of restored pictures
    overwrite: bool = False  # whether restored pictures that exist are made again
    outscale: float | None = None  # final size of restored pictures, relative to LR; None: the network's scale
    size: tuple[int, int] | None = None  # final width and height of restored pictures
    dry_run: bool = False  # whether to list only what would be restored
    save_kernel: Path | None = None  # .png or .mat to write; a folder, if estimated kernels are saved
    regions: NamedMap | None = None
    region_blend: float = 0.0  # LR pixels
    noise_level: float | Auto = 0.0  # 0 to 255
    noise_map: NamedMap | None = None  # replaces noise_level
    assumed_kernel: NamedKernel | Auto | None = None
    assumed_noise_level: float | Auto | None = None
    # Quality, 1 to 100, of the JPEG that HR pictures become; of LR pictures what the network is told, where auto stands
    # for the tables of each file.
    jpeg: int | Auto | Off = OFF
    assumed_jpeg: int | Auto | Off | None = None
    downsampler: str | None = None  # None: the downsampler that the network was trained for
    # Widths (HR pixels, 0: no blur) and noise levels of the sheets that are written in place of restored pictures.
    kernel_grid: tuple[float, ...] = ()
    noise_grid: tuple[float, ...] = ()
    estimate_map: bool = False  # whether a map of blur and noise is estimated instead of one kernel and noise level
    self_ensemble: bool = False
    tile: int | None = None  # maximum side in LR pixels; None: the backend's default
    save_lr: bool = False
    result: Path | None = None  # file of the only result of `input`; None: a file in `output` for each
    max_pixels: int = MAX_PIXELS  # of a picture; larger ones are left out
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    threads: int | None = None  # None: PyTorch's default
    seed: int = 0
    visdom: str = "auto"
    debug: bool = False
    command: str = ""  # the command line as the user typed it

    @property
    def has_metrics_file(self) -> bool:
        """Whether the results are written to a folder with metrics.json, and not to one named file or a stream."""
        return self.result is None and self.output != STANDARD_STREAM

    @property
    def has_grid(self) -> bool:
        """Whether sheets are written in place of restored pictures."""
        return bool(self.kernel_grid or self.noise_grid)

    @property
    def input_paths(self) -> list[Path]:
        """All files and folders that the request reads; no result may overwrite them."""
        kernels = [] if self.kernel == AUTO else [*self.kernel]
        if isinstance(self.assumed_kernel, NamedKernel):
            kernels.append(self.assumed_kernel)
        paths = [*self.input, *(kernel.path for kernel in kernels), self.test_data]
        paths += [self.weights, self.noise_free_weights, self.jpeg_weights, self.pca]
        paths += [named.path for named in (self.regions, self.noise_map) if named]
        return [path for path in paths if path]


@dataclass(frozen=True)
class TestSettings:
    """What a test does: the request, completed with values that depend on the weights."""

    request: TestRequest
    applied: NamedDegradation  # applied to HR pictures; for LR pictures, what the user says of them
    assumed: NamedDegradation  # told to the network
    downsampler: str


@dataclass(frozen=True)
class PrepareRequest:
    """The request of `--mode=prepare`."""

    output: Path
    train_data: Path | None = None
    recursive: bool = False  # these four: see `PackOptions`
    pack_sizes: tuple[float, ...] = PackOptions.sizes
    pack_sizes_lossy: tuple[float, ...] | None = None
    max_pixels: int = MAX_PIXELS
    debug: bool = False

    @property
    def pack_options(self) -> PackOptions:
        """How the pictures of the folder are packed."""
        return PackOptions(self.pack_sizes, self.pack_sizes_lossy, self.recursive, self.max_pixels)


@dataclass(frozen=True)
class ExportRequest:
    """The request of `--mode=export`."""

    weights: Path
    export_format: str = "onnx"  # or ncnn, safetensors
    output: Path = Path("models")  # folder; programs for ncnn expect "models" in its path
    result: Path | None = None  # file to write; None: a file in `output`, named after the network
    pca: Path | None = None  # file of P, for weights without P
    bake: bool = False  # whether `kernel`, `noise_level` and `jpeg` are built in
    kernel: list[NamedKernel] = field(default_factory=list)  # one, if `bake`
    noise_level: float = 0.0  # 0 to 255
    jpeg: int | Off = OFF  # quality of a JPEG, 1 to 100
    downsampler: str | None = None  # None: the downsampler that the network was trained for
    scale_factor: int | None = None  # None: the scale of the weights
    precision: str = "fp32"  # or fp16
    debug: bool = False


@dataclass(frozen=True)
class PackageRequest:
    """The request of a command on the package itself."""

    command: str  # list_weights or clear_cache
    debug: bool = False


@dataclass(frozen=True)
class PanelRequest:
    """The request of `--mode=panel`."""

    input: Path | None = None  # LR picture that each tab of the browser starts with
    weights: Path | None = None  # None: the shipped networks
    pca: Path | None = None  # file of P, for weights without P
    port: int | None = None  # None: FIRST_PORT, or the next one that is free
    max_pixels: int = 2**25  # of a picture; larger ones are refused
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    threads: int | None = None  # None: PyTorch's default
    debug: bool = False
