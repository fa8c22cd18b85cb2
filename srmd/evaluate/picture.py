"""Degrades, restores and scores one picture of a test."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srmd.backends.backend import Backend
from srmd.base.background import BackgroundWriter
from srmd.base.errors import prefix_errors
from srmd.config import AUTO, NamedDegradation, NamedMap
from srmd.degradation import Degradation, compress_picture, degrade, degrade_alpha, modcrop, seeded_noise, upsample
from srmd.evaluate.assumption import Assumption, Assumptions
from srmd.evaluate.networks import Networks, OpenNetworks
from srmd.evaluate.resize import final_size, resize_picture
from srmd.evaluate.settings import told_what_is_applied
from srmd.jpeg.tables import JpegTables
from srmd.kernel.window import fit_kernel, stack_kernels
from srmd.pictures.files import write_picture
from srmd.pictures.maps import region_weights, to_lr_grid
from srmd.pictures.metrics import score
from srmd.pictures.picture import Picture, as_floats, has_equal_channels, quantise
from srmd.pictures.transparency import spread_visible_colours
from srmd.restore.jpeg import told_jpeg
from srmd.show.dashboard import Dashboard
from srmd.show.pictures import comparison, kernel_picture, to_rgb8

Progress = Callable[[int], object]  # takes the number of input pixels that were finished since the last call


@dataclass(frozen=True, eq=False)
class Restored:
    """A restored LR picture.

    `pixels` is (height, width, 3 or 1), and `alpha` (height, width) or None, in the dtypes of the LR picture and in the
    size that is asked for. `seconds` includes the time of the estimate.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    assumption: Assumption
    seconds: float
    entries: dict[str, Any] = field(default_factory=dict)  # further ones of the picture's row in metrics.json


class PictureEvaluation:
    """Evaluates the pictures of a test, one at a time: LR pictures by `restore`, HR pictures by `score`."""

    def __init__(self, networks: Networks, dashboard: Dashboard):
        self.settings, self.request, self.scale = networks.settings, networks.settings.request, networks.scale
        self._open_networks, self._assumptions = OpenNetworks(networks), Assumptions(networks)
        self._dashboard = dashboard
        self._truth: Assumption | None = None  # what is applied to HR pictures, if an estimate is told instead
        is_found = self.settings.assumed.is_estimated or self.settings.assumed.jpeg == AUTO
        if is_found and not self.request.input:
            network = networks.suiting(self.settings.applied)
            self._truth = Assumption(told_what_is_applied(network.settings, network.weights), network)

    @property
    def backend(self) -> Backend | None:
        """The backend of the network that was opened last; None if none was."""
        return self._open_networks.backend

    def restore(self, name: str, label: str, picture: Picture, progress: Progress) -> Restored:
        """Restores an LR picture. `name` is for error messages, `label` for what is logged."""
        start = time.perf_counter()
        lr, alpha = picture.pixels, picture.alpha
        hr_size = self.scale * lr.shape[0], self.scale * lr.shape[1]
        size = final_size(lr.shape[:2], self.scale, self.request.outscale, self.request.size)
        if alpha is not None:
            lr = spread_visible_colours(lr, alpha)
        assumption = self._assume(lr, label, picture.jpeg)
        if alpha is not None:
            alpha = self._restore_alpha(name, alpha, assumption, hr_size, progress)
        one_channel = has_equal_channels(lr)
        # Before it is resized, the result has 16 bits, so that it is not rounded to 8 bits twice.
        sr = np.empty((*hr_size, 1 if one_channel else 3), lr.dtype if size == hr_size else np.uint16)
        for rows, columns, sr_tile in self._tiles(name, lr, assumption, hr_size):
            sr[rows, columns] = quantise(sr_tile, sr.dtype, one_channel)
            progress(sr_tile.shape[0] * sr_tile.shape[1] // self.scale**2)
        if size != hr_size:
            sr = resize_picture(sr, size, lr.dtype)
            alpha = None if alpha is None else resize_picture(alpha[..., None], size, alpha.dtype)[..., 0]
        return Restored(sr, alpha, assumption, time.perf_counter() - start)

    def score(self, name: str, picture: Picture, progress: Progress, writer: BackgroundWriter) -> dict:
        """Degrades an HR picture, restores it, and writes SR, the comparison and, with `save_lr`, LR.

        Returns the scores of SR and of bicubic upscaling, and `seconds`: the time of the restoration. If the network is
        told an estimate, they include those of the network told the truth.
        """
        scale, size = self.scale, picture.pixels.shape[:2]
        hr = hr_tensor(picture, scale)
        applied = self._degradation(self.settings.applied, name, size)
        noise = seeded_noise(self.request.seed, hr, scale)
        lr = degrade(hr, applied, scale, self.settings.downsampler, noise=noise)
        if self.settings.applied.jpeg is not None:
            lr = compress_picture(lr, self.settings.applied.jpeg)
        start = time.perf_counter()
        assumption = self._assume(to_array(lr), name)
        sr = self._restore_float(name, lr, assumption, hr, progress)
        seconds = time.perf_counter() - start
        restored = {"bicubic": upsample(lr, scale), "SRMD": sr}
        if self._truth:
            restored = {"bicubic": restored["bicubic"], "SRMD, auto": sr}
            truth = replace(self._truth, jpeg=told_jpeg(self._truth.degradation.jpeg, to_array(lr), None))
            restored["SRMD, truth"] = self._restore_float(name, lr, truth, hr, progress)
        scores = {label: score(to_array(each), to_array(hr), scale) for label, each in restored.items()}
        sheet = self._compare(name, lr, hr, restored, scores)
        writer.submit(self._write, name, picture, to_array(sr), to_array(lr), sheet, applied)
        return _score_row(scores) | {"seconds": seconds} | assumption.row

    def _assume(self, lr: np.ndarray, label: str, jpeg: JpegTables | None = None) -> Assumption:
        """What the network is told of LR (h, w, 3), `jpeg` being the tables of its file.

        An estimated kernel is shown on the dashboard.
        """
        assumption = self._assumptions.of_picture(lr, label, jpeg)
        if self._assumptions.kernel_is_estimated:
            (kernel,) = assumption.degradation.kernels
            picture = kernel_picture(kernel.array[None])
            self._dashboard.image("kernel", picture, f"estimated kernel of {label}: {kernel.spec}")
        return assumption

    def _restore_float(self, name: str, lr: Tensor, assumption: Assumption, hr: Tensor, progress: Progress) -> Tensor:
        """SR of LR (1, 3, h, w), in the size of HR, float32, not clipped."""
        sr = torch.empty_like(hr, dtype=torch.float32)
        times = 2 if self._truth else 1  # that this is done for each picture
        for rows, columns, sr_tile in self._tiles(name, to_array(lr), assumption, hr.shape[-2:]):
            to_array(sr)[rows, columns] = sr_tile
            progress(sr_tile.shape[0] * sr_tile.shape[1] // times)
        return sr

    def _compare(
        self, name: str, lr: Tensor, hr: Tensor, restored: dict[str, Tensor], scores: dict[str, dict]
    ) -> np.ndarray:
        """LR, the restored pictures with their PSNR, and HR side by side, which is also shown on the dashboard."""
        panels = {"LR": F.interpolate(lr, scale_factor=self.scale, mode="nearest")}
        panels |= {f"{label} {scores[label]['psnr_y']:.2f} dB": picture for label, picture in restored.items()}
        panels["HR"] = hr
        sheet = comparison({label: to_rgb8(panel[0]) for label, panel in panels.items()})
        self._dashboard.image(f"picture {name}", sheet, f"{name}: {' | '.join(panels)}")
        return sheet

    def _tiles(
        self, name: str, lr: np.ndarray, assumption: Assumption, hr_size: tuple[int, int]
    ) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """The rows and columns of each tile of SR, and its pixels, (tile height, tile width, 3)."""
        restorer = self._open_networks.restorer(assumption.network)
        assumed = self._told(assumption, name, hr_size, restorer.config.kernel_size)
        for rows, columns, sr_tile in restorer.restore_tiles(
            lr, assumed, self.request.tile, self.request.self_ensemble
        ):
            yield rows, columns, to_array(sr_tile)

    def _restore_alpha(
        self, name: str, alpha: np.ndarray, assumption: Assumption, hr_size: tuple[int, int], progress: Progress
    ) -> np.ndarray:
        """Alpha (h, w) restored to `hr_size`."""
        restorer, request = self._open_networks.restorer(assumption.network), self.request
        assumed = self._told(assumption, name, hr_size, restorer.config.kernel_size)
        return restorer.restore_alpha(alpha, assumed, request.tile, request.self_ensemble, progress)

    def _told(self, assumption: Assumption, name: str, hr_size: tuple[int, int], window: int) -> Degradation:
        """What a network with a kernel window of this side is told of a picture."""
        if assumption.map is not None:
            degradation = assumption.map.degradation(window)
        else:
            degradation = self._degradation(assumption.degradation, name, hr_size, window)
        return degradation if assumption.jpeg is None else degradation.with_jpeg(assumption.jpeg.tables)

    def _degradation(
        self, named: NamedDegradation, name: str, hr_size: tuple[int, int], window: int | None = None
    ) -> Degradation:
        """The degradation of one picture; `hr_size` is the height and width of its HR.

        The kernels are fitted to a window, if there is one. Regions and noise map are brought to the LR grid. Raises
        InputError if their size does not fit the picture.
        """
        arrays = [kernel.array for kernel in named.kernels]
        arrays = arrays if window is None else [fit_kernel(array, window) for array in arrays]
        count, weights, noise = len(arrays), None, named.noise
        if count > 1:
            with prefix_errors("regions"), prefix_errors(f"{named.regions.path} for {name}"):
                weights = region_weights(named.regions.values, count, hr_size, self.scale, named.region_blend)
            weights = torch.from_numpy(weights)[None]
        if isinstance(noise, NamedMap):
            with prefix_errors("noise_map"), prefix_errors(f"{noise.path} for {name}"):
                noise_map = torch.from_numpy(to_lr_grid(noise.values, hr_size, self.scale))
                noise_levels = noise_map.expand(1, count, -1, -1)
        else:
            noise_levels = torch.full((1, count), noise, dtype=torch.float64)
        return Degradation(torch.from_numpy(stack_kernels(arrays))[None], noise_levels, weights)

    def _write(
        self,
        name: str,
        picture: Picture,
        sr: np.ndarray,
        lr: np.ndarray,
        sheet: np.ndarray,
        applied: Degradation,
    ) -> None:
        """Writes SR with the alpha of HR, the comparison, and LR with degraded alpha."""
        output, file, alpha = self.request.output, f"{name}.png", picture.alpha
        sr_alpha = None if alpha is None else alpha[: sr.shape[0], : sr.shape[1]]
        write_picture(output / file, sr, picture, sr_alpha)
        write_picture(output / "compare" / file, sheet)
        if self.request.save_lr:
            lr_alpha = None
            if alpha is not None:
                degraded = degrade_alpha(as_floats(alpha), applied, self.scale, self.settings.downsampler)
                lr_alpha = quantise(degraded, alpha.dtype)
            write_picture(output / "lr" / file, lr, picture, lr_alpha)


def _score_row(scores: dict[str, dict]) -> dict[str, float]:
    """The scores of all restored pictures as a row of a table: those of SR, of bicubic upscaling, and of the truth."""
    bicubic, sr, *truth = scores.values()
    row = sr | {f"bicubic_{key}": bicubic[key] for key in ("psnr_y", "ssim_y")}
    return row | {f"truth_{key}": each[key] for each in truth for key in ("psnr_y", "ssim_y")}


def hr_tensor(picture: Picture, scale: int) -> Tensor:
    """An HR picture as (1, 3, s·h, s·w), float64, in 0 to 1; rows and columns that fill no LR pixel are cut off."""
    return modcrop(torch.from_numpy(picture.as_floats()).permute(2, 0, 1)[None], scale)


def to_array(picture: Tensor) -> np.ndarray:
    """A picture (1, C, H, W) as an array (H, W, C) that shares its memory."""
    return picture[0].permute(1, 2, 0).numpy()
