"""`Restorer`: a network with its P and the backend that runs it; everything that restores goes through it."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from srmd.backends.backend import Backend, make_network_function
from srmd.backends.choice import choose_backend
from srmd.backends.device import choose_device
from srmd.base.errors import InputError, about
from srmd.base.paths import shipped
from srmd.degradation import Degradation, check_noise_level, degradation_map, enlarged_alpha
from srmd.kernel.specs import as_kernel
from srmd.kernel.window import fit_kernel
from srmd.pictures.conversion import to_pixels
from srmd.pictures.dihedral import VIEWS, turn, turn_back
from srmd.pictures.picture import as_floats
from srmd.restore.tiles import spans
from srmd.weights.files import Weights, read_weights_with_pca
from srmd.weights.surgery import merge_batch_norm

Tile = tuple[slice, slice, Tensor]


class Restorer:
    """A network with its P, run by a backend.

    `config` is the network's, `pca` its P, `downsampler` the one that it was trained for, `backend` what runs it and
    `run` the network as a function of LR and degradation map, float32 tensors on the CPU.
    """

    def __init__(self, weights: Weights, backend: Backend):
        if weights.pca is None:
            raise InputError("expected the P that belongs to the weights, found none", "pca")
        self._made_of = weights, backend
        network = merge_batch_norm(weights.network)
        self.config, self.pca, self.downsampler = network.config, weights.pca, weights.downsampler
        self.backend, self.run = backend, make_network_function(network, backend)

    def __reduce__(self) -> tuple:
        """For pickle and process pools: the network is prepared anew where it arrives."""
        return Restorer, self._made_of

    def restore(
        self,
        picture: Any,
        kernel: str | Path | ArrayLike,
        noise_level: float = 0.0,
        tile: int | str = "auto",
        self_ensemble: bool = False,
    ) -> Any:
        """An LR picture restored, as a picture of the same kind, `config.scale` times as large, clipped to 0 to 1.

        Args:
            picture: a PIL picture; a NumPy array H×W, H×W×3 or H×W×4; a tensor H×W, C×H×W or 1×C×H×W. Arrays and
                tensors hold uint8, uint16 or floats in 0 to 1.
            kernel: the blur that the picture has: `"delta"` (none), `"gaussian:W"`, `"gaussian:W1,W2,ANGLE"`, the path
                of a kernel file, or an array k×k in correlation orientation.
            noise_level: the standard deviation of its noise, 0 to 255.
            tile: side in LR pixels of what is computed at once; auto: what suits the backend.
            self_ensemble: the mean over the picture's 8 flips and turns.

        Raises InputError, which names the argument, for what can't be restored so.
        """
        pixels = to_pixels(picture)
        size, scale = self.config.kernel_size, self.config.scale
        array = as_kernel(kernel, size)
        with about("kernel"):
            array = fit_kernel(array, size)
        check_noise_level(noise_level)
        if noise_level and "noise" not in self.config.conditions:
            raise InputError(f"this network is noise-free (SRMDNF), found {noise_level:g}", "noise_level")
        if tile != "auto" and not (isinstance(tile, int) and tile >= 1):
            raise InputError(f"expected auto or a whole number of pixels, found {tile!r}", "tile")
        assumed = Degradation.uniform(torch.from_numpy(array)[None], torch.tensor([float(noise_level)]))
        sr = pixels.blank(scale)
        for rows, columns, part in self.restore_tiles(
            pixels.rgb, assumed, None if tile == "auto" else tile, self_ensemble
        ):
            sr[rows, columns] = pixels.values(part[0].permute(1, 2, 0).clamp(0, 1).numpy())
        return pixels.to_kind(sr, None if pixels.alpha is None else enlarged_alpha(pixels.alpha, scale))

    def restore_whole(self, lr: Tensor, assumed: Degradation) -> Tensor:
        """LR (1, 3, h, w) in 0 to 1, of any floating type → SR (1, 3, s·h, s·w) float32, not clipped, without tiles."""
        return self.run(lr.float(), degradation_map(assumed, self.pca, self.config.conditions))

    def restore_tiles(
        self, lr: NDArray, assumed: Degradation, tile: int | None = None, self_ensemble: bool = False
    ) -> Iterator[Tile]:
        """SR in parts: rows and columns of SR, and what belongs there, (1, 3, ·, ·) float32, not clipped.

        `lr` is (h, w, 3), uint8, uint16 or floats in 0 to 1; only a tile of it, of its degradation map and of SR is
        there in floats at any time. Each tile, of at most `tile` LR pixels a side (by default what suits the backend)
        but at least six, sees a halo as wide as the network does, so that tiles leave no trace. `self_ensemble` gives
        the mean over the picture's 8 flips and turns, each told the kernel as it is turned.
        """
        if self_ensemble:
            check_self_ensemble(self.config.scale, self.downsampler)
        height, width, _ = lr.shape
        scale, halo = self.config.scale, self.config.layers  # each layer sees one pixel more
        tile = tile or self.backend.tile(self.config)
        views = VIEWS if self_ensemble else 1
        for (top, bottom), rows in spans(height, tile, halo):
            for (left, right), columns in spans(width, tile, halo):
                sr = self._mean_of_views(_to_tensor(lr[rows, columns]), assumed.part(rows, columns), views)
                inner_rows = slice(scale * (top - rows.start), scale * (bottom - rows.start))
                inner_columns = slice(scale * (left - columns.start), scale * (right - columns.start))
                target = slice(scale * top, scale * bottom), slice(scale * left, scale * right)
                yield *target, sr[..., inner_rows, inner_columns]

    def _mean_of_views(self, lr: Tensor, assumed: Degradation, views: int) -> Tensor:
        total = torch.zeros(1, 3, *(self.config.scale * side for side in lr.shape[-2:]))
        for view in range(views):
            total += turn_back(self._restore_tile(turn(lr, view).contiguous(), assumed.turned(view)), view)
        return total / views

    def _restore_tile(self, lr: Tensor, assumed: Degradation) -> Tensor:
        maps = degradation_map(assumed, self.pca, self.config.conditions)
        return self.run(lr, maps.expand(-1, -1, *lr.shape[-2:]))


def load(
    weights: str | Path, device: str = "auto", precision: str = "auto", engine: str = "auto", pca: Path | None = None
) -> Restorer:
    """A network ready to restore: a shipped one by its name, such as `"srmd_x2"`, or that of any weights file.

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32, bf16 or fp16.
        engine: auto (the fastest by a short benchmark, whose result is kept), torch, ncnn or openvino.
        pca: the file of P, for weights whose format carries none.
    """
    path = str(shipped("weights") / f"{weights}.safetensors")
    if not os.path.isfile(path):  # Path.is_file raises where a name is too long
        path = str(weights)
    if not os.path.isfile(path):
        names = ", ".join(sorted(each.stem for each in shipped("weights").glob("*.safetensors")))
        raise InputError(f"expected a file, or one of {names}, found {str(weights)!r}", "weights")
    return open_restorer(read_weights_with_pca(Path(path), pca and Path(pca)), device, engine, precision)


def check_self_ensemble(scale: int, downsampler: str) -> None:
    """Raises InputError for a network that does not turn with a picture, by the downsampler it was trained for."""
    if downsampler == "direct" and scale % 2 == 0:
        found = f"one for the direct downsampler, which takes no middle pixel at x{scale}"
        raise InputError(f"expected a network that turns with a picture, found {found}", "self_ensemble")


def open_restorer(weights: Weights, device: str = "auto", engine: str = "auto", precision: str = "auto") -> Restorer:
    """A restorer with the fastest backend of those that device, engine and precision leave."""
    weights = replace(weights, network=merge_batch_norm(weights.network))
    return Restorer(weights, choose_backend(weights.network, choose_device(device), engine, precision))


def _to_tensor(pixels: NDArray) -> Tensor:
    """(h, w, 3) of whole or floating numbers → (1, 3, h, w) float32 in 0 to 1."""
    return torch.from_numpy(as_floats(pixels).astype(np.float32)).permute(2, 0, 1)[None]
