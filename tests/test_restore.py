"""A picture of any size through a network, a tile at a time, and in all its flips and turns."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from degradation import Degradation, degradation_map, turn
from engine import Engine, Way, make_engine
from kernel import asymmetric, gaussian, pca_matrix
from model import SRMD, NetworkConfig
from restore import VIEWS, restored_tiles

TORCH = Way("torch", "fp32", "cpu")
TOLD = partial(degradation_map, pca=torch.from_numpy(pca_matrix()), noise_free=False)


def restore(engine: Engine, lr: NDArray, assumed: Degradation, tile: int | None = None, views: int = 1) -> Tensor:
    """The whole of SR out of its parts, (1, 3, s·h, s·w)."""
    sr = torch.full((1, 3, *(engine.scale * side for side in lr.shape[:2])), torch.nan)
    for rows, columns, part in restored_tiles(engine, lr, assumed, TOLD, tile, views):
        sr[..., rows, columns] = part
    return sr


def at_once(engine: Engine, lr: NDArray, assumed: Degradation) -> Tensor:
    """The same by the network, without tiles."""
    return engine.run(torch.from_numpy(lr).permute(2, 0, 1)[None].float(), TOLD(assumed))


def picture(height: int, width: int) -> NDArray:
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def uniform(kernel: NDArray, noise_level: float = 0.0) -> Degradation:
    return Degradation.uniform(torch.from_numpy(kernel)[None].float(), torch.tensor([noise_level]))


def varying(height: int, width: int) -> Degradation:
    """A mix of two kernels and noise levels whose share differs from pixel to pixel."""
    share = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0))
    kernels = torch.from_numpy(np.stack([asymmetric(), gaussian(2.0, 0.7, 20)]))[None].float()
    return Degradation(kernels, torch.tensor([[5.0, 40.0]]), torch.cat([share, 1 - share], 1))


def network(scale: int = 2) -> SRMD:
    torch.manual_seed(0)
    return SRMD(NetworkConfig(scale, features=8))


@torch.no_grad()
def shifting_network(scale: int, head: str, row: int, column: int) -> SRMD:
    """Each of its layers moves the picture by one pixel, so that all it shows comes from as far as it can see."""
    network = SRMD(NetworkConfig(scale, head, features=3))
    for conv in [*network.convs, network.head]:
        centre = conv.weight[:, :, 1, 1].clone()
        conv.weight.zero_()
        conv.weight[:, :, row, column] = centre
    return network


@pytest.mark.parametrize(("row", "column"), [(1, 2), (1, 0), (2, 1), (0, 1), (2, 2), (0, 0)])
@pytest.mark.parametrize("head", ["subpixel", "upsample"])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_tiles_leave_no_trace_however_far_a_network_sees(scale: int, head: str, row: int, column: int):
    engine = make_engine(shifting_network(scale, head, row, column), TORCH)
    lr, assumed = picture(50, 41), uniform(gaussian(1.0))
    whole = at_once(engine, lr, assumed)
    assert whole.std() > 0.01
    assert (restore(engine, lr, assumed, tile=14) - whole).abs().max() < 1e-5


def noise_map(height: int, width: int) -> Degradation:
    """One kernel, and a noise level for each pixel."""
    return Degradation(torch.from_numpy(asymmetric())[None, None].float(), 50 * torch.rand(1, 1, height, width))


@pytest.mark.parametrize("what", [varying, noise_map])
@pytest.mark.parametrize("tile", [13, 20, 33, 64])
def test_each_tile_gets_its_part_of_a_map_that_varies(tile: int, what: Callable[[int, int], Degradation]):
    engine = make_engine(network(), TORCH)
    lr, assumed = picture(40, 33), what(40, 33)
    assert (restore(engine, lr, assumed, tile) - at_once(engine, lr, assumed)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("size", "tile", "expected"),
    [
        # 2 rows of 6 tiles of 18 pixels, 12 more on each side, and 2 so that 92 are met
        ((20, 92), 18, 12 * [(20, 44)]),
        ((64, 61), 64, [(64, 61)]),  # at once, though 64 is no multiple of Winograd's tiles
    ],
)
def test_without_a_tile_the_engines_own_is_taken_and_all_tiles_see_as_much(
    size: tuple[int, int], tile: int, expected: list[tuple[int, int]]
):
    seen = []
    engine = make_engine(network(), TORCH)

    def run(lr: Tensor, told: Tensor) -> Tensor:
        seen.append(lr.shape[-2:])
        return engine.run(lr, told)

    restore(replace(engine, tile=tile, run=run), picture(*size), uniform(gaussian(1.0)))
    assert seen == expected


@pytest.mark.parametrize("views", [1, VIEWS])
@pytest.mark.parametrize("size", [(90, 70), (61, 83)])
def test_tiles_leave_no_trace_by_winograds_algorithm(size: tuple[int, int], views: int):
    engine = make_engine(SRMD(NetworkConfig()).eval(), replace(TORCH, winograd=True))
    lr, assumed = picture(*size), uniform(gaussian(1.0))
    whole, tiled = (restore(engine, lr, assumed, tile, views) for tile in (128, 27))
    assert (whole - tiled).abs().max() < 2e-6


@pytest.mark.parametrize(("dtype", "most"), [(np.uint8, 255), (np.uint16, 65535)])
def test_levels_are_restored_as_the_floats_that_they_mean(dtype: type, most: int):
    engine = make_engine(network(), TORCH)
    levels = (picture(20, 18) * most).astype(dtype)
    floats = (levels / most).astype(np.float32)
    assumed = uniform(gaussian(1.0))
    assert torch.equal(restore(engine, levels, assumed, 16), restore(engine, floats, assumed, 16))


def test_tiles_are_smaller_where_the_features_are_large():
    paper, own = (make_engine(SRMD(NetworkConfig(4, head)), TORCH) for head in ("subpixel", "upsample"))
    assert own.tile * 4 == paper.tile


def test_a_picture_of_one_pixel_is_restored():
    engine = make_engine(SRMD(NetworkConfig(4, features=8)), TORCH)
    assert restore(engine, picture(1, 1), varying(1, 1), views=VIEWS).isfinite().all()


@pytest.mark.parametrize("view", range(VIEWS))
@pytest.mark.parametrize(("scale", "what"), [(1, noise_map), (2, varying), (3, varying)])
def test_the_mean_of_all_views_turns_with_the_picture_and_what_was_done_to_it(
    scale: int, what: Callable[[int, int], Degradation], view: int
):
    engine = make_engine(network(scale), TORCH)
    lr, assumed = picture(19, 24), what(19, 24)
    turned_lr = turn(torch.from_numpy(lr).permute(2, 0, 1), view).permute(1, 2, 0).numpy()
    expected = turn(restore(engine, lr, assumed, 16, VIEWS), view)
    found = restore(engine, turned_lr, assumed.turned(view), 16, VIEWS)
    assert (found - expected).abs().max() < 1e-5
    one_view = turn(restore(engine, lr, assumed, 16), view)
    assert (one_view - expected).abs().max() > 1e-3  # a network alone does not turn along
