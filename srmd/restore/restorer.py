"""`Restorer`: a network with its P and the backend that runs it; all restoring of pictures goes through it."""

import logging
import math
import os
import reprlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from srmd.backends.backend import Backend, make_network_function
from srmd.backends.choice import choose_backend
from srmd.backends.device import choose_device
from srmd.base.errors import InputError, prefix_errors
from srmd.base.numbers import to_integer
from srmd.base.paths import shipped_folder
from srmd.config import AUTO, Auto
from srmd.degradation import Degradation, checked_noise_level, degradation_map
from srmd.jpeg.tables import JpegTables, checked_jpeg
from srmd.kernel.specs import to_kernel
from srmd.kernel.window import fit_kernel
from srmd.pictures.conversion import to_pixels
from srmd.pictures.dihedral import VIEWS, turn, turn_back
from srmd.pictures.picture import as_floats, has_equal_channels, quantise
from srmd.pictures.transparency import is_constant, spread_visible_colours
from srmd.restore.auto import check_kernel_can_be_estimated, describe_estimate, estimated_kernel
from srmd.restore.estimate import BlindEstimator
from srmd.restore.flat import flat_radius, limits_of_flat_areas
from srmd.restore.jpeg import tables_of_pil, tables_of_quality
from srmd.restore.tiles import tile_spans
from srmd.weights.files import Weights, read_weights_with_pca
from srmd.weights.shipped import estimator_file, network_files
from srmd.weights.surgery import merge_batch_norm

logger = logging.getLogger("srmd")

Tile = tuple[slice, slice, Tensor]  # rows and columns of SR, and their pixels, (1, 3, rows, columns)


class Restorer:
    """A network with its P, run by a backend.

    Attributes:
        config: the network's configuration.
        pca: P, (pca_dim, kernel_size²).
        downsampler: the downsampler that the network was trained for, bicubic or direct.
        backend: the engine that runs the network, with its precision and device.
        run: the network as a function of LR (1, 3, h, w) and degradation map (1, C, h, w) that returns SR
            (1, 3, s·h, s·w), all float32 on the CPU.
    """

    def __init__(self, weights: Weights, backend: Backend):
        if weights.pca is None:
            raise InputError("expected the P that belongs to the weights, found none", "pca")
        self._arguments = weights, backend
        network = merge_batch_norm(weights.network)
        self.config, self.pca, self.downsampler = network.config, weights.pca, weights.downsampler
        self.backend, self.run = backend, make_network_function(network, backend)

    def __reduce__(self) -> tuple:
        """Pickles weights and backend only; unpickling prepares the network again, because `run` can't be pickled."""
        return Restorer, self._arguments

    def restore(
        self,
        picture: Any,
        kernel: str | Path | ArrayLike = AUTO,
        noise_level: float | Auto = AUTO,
        tile: int | str = "auto",
        self_ensemble: bool = False,
        jpeg: int | JpegTables | Auto | None = AUTO,
    ) -> Any:
        """Restores an LR picture; returns a picture of the same kind, `config.scale` times as large.

        Args:
            picture: a PIL picture; a NumPy array H×W, H×W×3 or H×W×4; a tensor H×W, C×H×W or 1×C×H×W. Arrays and
                tensors hold uint8, uint16 or floats in 0 to 1. Floats in the result are clipped to 0 to 1.
            kernel: the blur of the picture, on the HR grid: `"delta"` (no blur), `"gaussian:W"`,
                `"gaussian:W1,W2,ANGLE"` (widths in HR pixels, degrees), the path of a kernel file, an array k×k in
                correlation orientation, or `"auto"`: estimated from the picture.
            noise_level: standard deviation of the picture's noise, 0 to 255, or `"auto"`: estimated from the picture;
                0 if the network takes no noise level.
            tile: side in LR pixels of the tiles that are computed one by one; auto: the backend's default.
            self_ensemble: whether to return the mean of the results for the picture's 8 flips and rotations, which
                takes 8 times as long.
            jpeg: the compression of the picture, for a network trained for JPEGs: `JpegTables`; a quality, 1 to 100, of
                the standard tables; None: not compressed; or `"auto"`: the tables of the JPEG file that a PIL picture
                was opened from, and None for other pictures. A quality has the subsampling of that file, or else 4:2:0.

        Estimates are logged. Raises InputError, which names the argument, if an argument is invalid or does not
        suit the network.
        """
        pixels = to_pixels(picture)
        tile, jpeg = _checked_tile(tile), self._checked_jpeg(jpeg)
        of_file = tables_of_pil(picture) if "jpeg" in self.config.conditions else None
        if not isinstance(self_ensemble, bool | np.bool_):
            raise InputError(f"expected True or False, found {reprlib.repr(self_ensemble)}", "self_ensemble")
        known_kernel, known_noise_level = self._known_kernel(kernel), self._known_noise_level(noise_level)
        rgb, alpha = pixels.rgb, pixels.alpha
        if alpha is not None:
            rgb = spread_visible_colours(rgb, alpha)
        assumed = self._assume(rgb, known_kernel, known_noise_level, _told_tables(jpeg, rgb, of_file))
        if alpha is not None:
            alpha = self.restore_alpha(alpha, assumed, tile, self_ensemble)
        one_channel = has_equal_channels(rgb)
        scale = self.config.scale
        sr = np.empty((scale * rgb.shape[0], scale * rgb.shape[1], 1 if one_channel else 3), rgb.dtype)
        for rows, columns, sr_tile in self.restore_tiles(rgb, assumed, tile, self_ensemble):
            sr[rows, columns] = pixels.to_dtype(sr_tile[0].permute(1, 2, 0).clamp(0, 1).numpy(), one_channel)
        return pixels.convert_back(sr, alpha)

    def _checked_jpeg(self, jpeg: Any) -> int | JpegTables | Auto | None:
        """The argument `jpeg`, a quality as int; raises InputError if it is invalid or does not suit the network."""
        if isinstance(jpeg, str) and jpeg == AUTO:
            return AUTO
        jpeg = checked_jpeg(jpeg, "JpegTables, auto or None")
        if jpeg is not None and "jpeg" not in self.config.conditions:
            found = f"a quality of {jpeg}" if isinstance(jpeg, int) else "JpegTables"
            raise InputError(f"expected auto or None for a network not trained for JPEGs, found {found}", "jpeg")
        return jpeg

    def _known_kernel(self, kernel: str | Path | ArrayLike) -> NDArray | None:
        """The kernel in the network's window; None if it is to be estimated. Raises InputError."""
        size = self.config.kernel_size
        is_auto = isinstance(kernel, str) and kernel == AUTO
        array = None if is_auto else to_kernel(kernel, size)
        with prefix_errors("kernel"):
            if is_auto:
                check_kernel_can_be_estimated(self.config.scale, {self.downsampler})
                return None
            return fit_kernel(array, size)

    def _known_noise_level(self, noise_level: float | Auto) -> float | None:
        """The noise level; None if it is to be estimated, or if it is not known and the network takes none."""
        takes_noise_level = "noise" in self.config.conditions
        if isinstance(noise_level, str) and noise_level == AUTO:
            with prefix_errors("noise_level"):
                if takes_noise_level:
                    estimator_file(self.config.scale)
            return None
        noise_level = checked_noise_level(noise_level)
        if noise_level and not takes_noise_level:
            found = f"found {noise_level:g}"
            raise InputError(f"expected 0 for a network that takes no noise level, {found}", "noise_level")
        return noise_level

    def _assume(
        self, rgb: NDArray, kernel: NDArray | None, noise_level: float | None, jpeg: JpegTables | None
    ) -> Degradation:
        """What the network is told of LR (h, w, 3); a kernel or noise level that is None is estimated."""
        is_kernel_estimated, is_noise_estimated = kernel is None, noise_level is None
        if "noise" not in self.config.conditions:
            is_noise_estimated = False
        if is_kernel_estimated or is_noise_estimated:
            estimate = self._estimator.estimate(rgb, kernel, noise_level, jpeg)
            logger.info("picture: %s", describe_estimate(estimate, is_kernel_estimated, is_noise_estimated))
            kernel = estimated_kernel(estimate, self.config.kernel_size) if is_kernel_estimated else kernel
            noise_level = estimate.noise_level if is_noise_estimated else noise_level
        assumed = Degradation.uniform(torch.from_numpy(kernel)[None], torch.tensor([noise_level or 0.0]))
        return assumed if jpeg is None else assumed.with_jpeg(jpeg)

    @cached_property
    def _estimator(self) -> BlindEstimator:
        return BlindEstimator(self.config.scale)

    def restore_alpha(
        self,
        alpha: NDArray,
        assumed: Degradation,
        tile: int | None = None,
        self_ensemble: bool = False,
        progress: Callable[[int], object] = lambda _pixels: None,
    ) -> NDArray:
        """Restores alpha (h, w), unsigned integers or floats in 0 to 1, to (s·h, s·w) of the same type.

        It is restored as a grey picture with the kernels of `assumed`, but without noise and JPEG, so that its edges
        are as sharp as those of the colours. Constant areas, such as opaque ones, keep their value exactly.
        `progress` takes the number of LR pixels that were finished since the last call.
        """
        scale, varies = self.config.scale, ~is_constant(alpha)
        sr = alpha.repeat(scale, axis=0).repeat(scale, axis=1)
        lr = np.broadcast_to(alpha[..., None], (*alpha.shape, 3))
        tiles = self.restore_tiles(lr, assumed.blur_only(), tile, self_ensemble, where=varies)
        for rows, columns, sr_tile in tiles:
            restored = sr_tile[0].mean(0).clamp(0, 1).numpy()
            restored = quantise(restored, alpha.dtype) if alpha.dtype.kind == "u" else restored
            lr_rows, lr_columns = (slice(span.start // scale, span.stop // scale) for span in (rows, columns))
            varies_in_tile = varies[lr_rows, lr_columns].repeat(scale, axis=0).repeat(scale, axis=1)
            sr[rows, columns] = np.where(varies_in_tile, restored, sr[rows, columns])
            progress(varies_in_tile.size // scale**2)
        return sr

    def restore_whole(self, lr: Tensor, assumed: Degradation) -> Tensor:
        """Restores LR (1, 3, h, w), floats in 0 to 1, without tiles; returns SR (1, 3, s·h, s·w) float32, unclipped.

        The kernels of `assumed` may have any size.
        """
        return self.run(lr.float(), self._degradation_map(assumed))

    def restore_tiles(
        self,
        lr: NDArray,
        assumed: Degradation,
        tile: int | None = None,
        self_ensemble: bool = False,
        where: NDArray[np.bool_] | None = None,
    ) -> Iterator[Tile]:
        """Restores LR (h, w, 3), uint8, uint16 or floats in 0 to 1, tile by tile.

        Yields the rows and columns of SR that a tile covers, and its pixels (1, 3, rows, columns), float32, not
        clipped. Only one tile of LR, of the degradation map and of SR is in memory as floats at any time. Flat areas
        keep their colour exactly, up to the edges of the picture.

        Args:
            assumed: the degradation that the network is told, for the whole picture; its kernels may have any size.
            tile: maximum side of a tile in LR pixels, at least six; by default the backend's. The network's input is
                the tile with a halo, which covers the receptive field: the result does not depend on the tiles.
            self_ensemble: whether to yield the mean of the results for the picture's 8 flips and rotations; the
                kernels and maps of `assumed` are turned with the picture.
            where: (h, w); only the tiles in which it is true for any pixel are computed and yielded. None: all tiles.
        """
        if self_ensemble:
            check_self_ensemble(self.config.scale, self.downsampler)
        height, width, _ = lr.shape
        scale = self.config.scale
        halo = self.config.layers  # each layer of 3×3 convolutions widens the receptive field by one pixel on each side
        tile = tile or self.backend.tile(self.config)
        views = VIEWS if self_ensemble else 1
        for rows in tile_spans(height, tile, halo):
            for columns in tile_spans(width, tile, halo):
                if where is not None and not where[rows.start : rows.end, columns.start : columns.end].any():
                    continue
                pixels = lr[rows.input, columns.input]
                sr = self._mean_of_views(_to_tensor(pixels), assumed.crop(rows.input, columns.input), views)
                self._limit_flat_areas(sr, pixels)
                sr_tile = sr[..., rows.in_output(scale), columns.in_output(scale)]
                yield rows.in_picture(scale), columns.in_picture(scale), sr_tile

    def _limit_flat_areas(self, sr: Tensor, lr: NDArray) -> None:
        """Limits SR (1, 3, s·h, s·w) where LR (h, w, 3) is flat or nearly flat as far as blur reaches.

        Without this, the shipped networks are wrong there by up to 2.0 levels of 255 at x2 to x4 and 2.4 at x1, and by
        up to 72 at the edges of the picture, because the zeros beyond the edges mean black to their convolutions.
        """
        halo = self.config.layers  # of a tile; nothing beyond it is seen
        limits = limits_of_flat_areas(as_floats(lr).astype(np.float32), min(flat_radius(self.config), halo))
        if np.isfinite(limits).any():
            lower, upper = (_repeat_pixels(_to_tensor(limit), self.config.scale) for limit in limits)
            sr.clamp_(lower, upper)

    def _mean_of_views(self, lr: Tensor, assumed: Degradation, views: int) -> Tensor:
        """The mean SR over the first `views` flips and rotations of LR, each turned back."""
        total = torch.zeros(1, 3, *(self.config.scale * side for side in lr.shape[-2:]))
        for view in range(views):
            sr = self._restore_tile(turn(lr, view).contiguous(), assumed.turned(view))
            total += turn_back(sr, view)
        if not math.isfinite(total.sum().item()):
            precision = f"`precision={self.backend.precision}`"
            raise RuntimeError(f"the network's result is NaN or infinite: its weights are too large for {precision}")
        return total / views

    def _restore_tile(self, lr: Tensor, assumed: Degradation) -> Tensor:
        return self.run(lr, self._degradation_map(assumed).expand(-1, -1, *lr.shape[-2:]))

    def _degradation_map(self, assumed: Degradation) -> Tensor:
        told = assumed.in_window(self.config.kernel_size)
        return degradation_map(told, self.pca, self.config.conditions)


def load(
    weights: str | Path,
    device: str = "auto",
    precision: str = "auto",
    engine: str = "auto",
    pca: str | Path | None = None,
) -> Restorer:
    """Loads a network that is ready to restore pictures.

    Args:
        weights: the name of a shipped network, such as `"srmd_x2"`, or the path of a weights file.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32, bf16 or fp16.
        engine: auto (the fastest by a short benchmark, whose result is cached), torch, ncnn or openvino.
        pca: the path of P (.mat), for weights whose format does not contain it.

    Raises InputError, which names the argument.
    """
    path = str(shipped_folder("weights") / f"{weights}.safetensors")
    if not os.path.isfile(path):  # Path.is_file would raise OSError for a name that is too long
        path = str(weights)
    if not os.path.isfile(path):
        names = ", ".join(file.stem for file in network_files())
        raise InputError(f"expected a file, or one of {names}, found {str(weights)!r}", "weights")
    pca = None if pca is None else Path(pca)
    return open_restorer(read_weights_with_pca(Path(path), pca), device, engine, precision)


def check_self_ensemble(scale: int, downsampler: str) -> None:
    """Raises InputError if a network's downsampler does not commute with flips and rotations of the picture."""
    if downsampler == "direct" and scale % 2 == 0:  # it keeps a pixel off the centre of each s×s block
        network = f"a network for the direct downsampler at x{scale}"
        raise InputError(f"not possible with {network}, which shifts the picture", "self_ensemble")


def open_restorer(weights: Weights, device: str = "auto", engine: str = "auto", precision: str = "auto") -> Restorer:
    """A restorer with the fastest backend of this device, engine and precision; arguments as in `load`."""
    weights = replace(weights, network=merge_batch_norm(weights.network))
    backend = choose_backend(weights.network, choose_device(device), engine, precision)
    return Restorer(weights, backend)


def _checked_tile(tile: Any) -> int | None:
    """The side of a tile in LR pixels, None for `auto`; raises InputError for anything else."""
    if isinstance(tile, str) and tile == "auto":
        return None
    side = to_integer(tile)
    if side is None or side < 1:
        raise InputError(f"expected auto or a whole number of LR pixels, found {reprlib.repr(tile)}", "tile")
    return side


def _told_tables(jpeg: int | JpegTables | Auto | None, rgb: NDArray, of_file: JpegTables | None) -> JpegTables | None:
    """The tables that the network is told of LR (h, w, 3); `of_file` are those of its JPEG file, if there is one."""
    if jpeg == AUTO:
        return of_file
    return tables_of_quality(jpeg, rgb, of_file) if isinstance(jpeg, int) else jpeg


def _to_tensor(pixels: NDArray) -> Tensor:
    """Pixels (h, w, 3), uint8, uint16 or floats in 0 to 1, as (1, 3, h, w), float32 in 0 to 1."""
    return torch.from_numpy(as_floats(pixels).astype(np.float32)).permute(2, 0, 1)[None]


def _repeat_pixels(lr: Tensor, scale: int) -> Tensor:
    """LR (…, h, w) with each pixel as a block of scale × scale pixels, (…, s·h, s·w)."""
    return lr.repeat_interleave(scale, -2).repeat_interleave(scale, -1)
