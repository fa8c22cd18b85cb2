"""Restoring pictures of any size, tile by tile, and as the mean over flips and rotations."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from default_pca import default_pca
from srmd.backends.backend import Backend
from srmd.base.errors import InputError
from srmd.degradation import Degradation, degradation_map
from srmd.kernel.families import asymmetric, gaussian
from srmd.model import SRMD, NetworkConfig
from srmd.pictures.dihedral import VIEWS, turn
from srmd.restore.restorer import Restorer, open_restorer
from srmd.weights.files import Weights

TORCH = Backend("torch", "fp32", "cpu")
PCA = default_pca()


def restorer_of(network: SRMD, backend: Backend = TORCH) -> Restorer:
    return Restorer(Weights(network.eval(), PCA), backend)


def restore(
    restorer: Restorer, lr: NDArray, assumed: Degradation, tile: int | None = None, self_ensemble: bool = False
) -> Tensor:
    """SR (1, 3, s·h, s·w), put together from its tiles."""
    sr = torch.full((1, 3, *(restorer.config.scale * side for side in lr.shape[:2])), torch.nan)
    for rows, columns, sr_tile in restorer.restore_tiles(lr, assumed, tile, self_ensemble):
        sr[..., rows, columns] = sr_tile
    return sr


def restore_whole(restorer: Restorer, lr: NDArray, assumed: Degradation) -> Tensor:
    """SR (1, 3, s·h, s·w), computed without tiles."""
    return restorer.restore_whole(torch.from_numpy(lr).permute(2, 0, 1)[None], assumed)


def picture(height: int, width: int) -> NDArray:
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def uniform(kernel: NDArray, noise_level: float = 0.0) -> Degradation:
    return Degradation.uniform(torch.from_numpy(kernel)[None].float(), torch.tensor([noise_level]))


def varying(height: int, width: int) -> Degradation:
    """A mix of two kernels and two noise levels, whose weights differ from pixel to pixel."""
    weight = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0))
    kernels = torch.from_numpy(np.stack([asymmetric(), gaussian(2.0, 0.7, 20)]))[None].float()
    return Degradation(kernels, torch.tensor([[5.0, 40.0]]), torch.cat([weight, 1 - weight], 1))


def network(scale: int = 2) -> SRMD:
    torch.manual_seed(0)
    return SRMD(NetworkConfig(scale, features=8))


@torch.no_grad()
def shifting_network(scale: int, head: str, row: int, column: int) -> SRMD:
    """A network whose layers each shift the picture by one pixel: SR depends on the edge of the receptive field."""
    network = SRMD(NetworkConfig(scale, head, features=3))
    for conv in [*network.convs, network.head]:
        centre = conv.weight[:, :, 1, 1].clone()
        conv.weight.zero_()
        conv.weight[:, :, row, column] = centre
    return network


@pytest.mark.parametrize(("row", "column"), [(1, 2), (1, 0), (2, 1), (0, 1), (2, 2), (0, 0)])
@pytest.mark.parametrize("head", ["subpixel", "upsample"])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_halo_covers_the_whole_receptive_field(scale: int, head: str, row: int, column: int):
    restorer = restorer_of(shifting_network(scale, head, row, column))
    lr, assumed = picture(50, 41), uniform(gaussian(1.0))
    whole = restore_whole(restorer, lr, assumed)
    assert whole.std() > 0.01
    assert (restore(restorer, lr, assumed, tile=14) - whole).abs().max() < 1e-5


def noise_map(height: int, width: int) -> Degradation:
    """One kernel, and a noise level for each pixel."""
    return Degradation(torch.from_numpy(asymmetric())[None, None].float(), 50 * torch.rand(1, 1, height, width))


@pytest.mark.parametrize("degradation", [varying, noise_map])
@pytest.mark.parametrize("tile", [13, 20, 33, 64])
def test_each_tile_gets_its_part_of_a_map_that_varies(tile: int, degradation: Callable[[int, int], Degradation]):
    restorer = restorer_of(network())
    lr, assumed = picture(40, 33), degradation(40, 33)
    assert (restore(restorer, lr, assumed, tile) - restore_whole(restorer, lr, assumed)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("size", "tile", "expected"),
    [
        # 2 rows of 6 tiles of 18 pixels, with a halo of 12 on each side, and 2 so that the inputs cover all 92
        ((20, 92), 18, 12 * [(20, 44)]),
        ((64, 61), 64, [(64, 61)]),  # one tile, although 64 is no multiple of Winograd's tile
    ],
)
def test_by_default_the_tile_is_the_backends_and_all_inputs_have_one_size(
    size: tuple[int, int], tile: int, expected: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
):
    input_sizes = []
    restorer = restorer_of(network())
    run_network = restorer.run

    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        input_sizes.append(lr.shape[-2:])
        return run_network(lr, degradation_map)

    restorer.run = run
    monkeypatch.setattr("srmd.backends.backend.TORCH_TILE", tile)
    restore(restorer, picture(*size), uniform(gaussian(1.0)))
    assert input_sizes == expected


@pytest.mark.usefixtures("compiled_functions")
@pytest.mark.parametrize(("size", "self_ensemble"), [((90, 70), False), ((61, 83), False), ((35, 40), True)])
def test_tiles_change_nothing_with_winograds_algorithm(size: tuple[int, int], self_ensemble: bool):
    restorer = restorer_of(SRMD(NetworkConfig()), replace(TORCH, winograd=True))
    lr, assumed = picture(*size), uniform(gaussian(1.0))
    whole, tiled = (restore(restorer, lr, assumed, tile, self_ensemble) for tile in (128, 27))
    # A two-hundredth of an 8-bit level: values at the border of a tile change the rounding in its outer 6×6 pixels.
    assert (whole - tiled).abs().max() < 2e-5


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_integer_pixels_are_restored_as_the_equal_floats(dtype: type, white: int):
    restorer = restorer_of(network())
    levels = (picture(20, 18) * white).astype(dtype)
    floats = (levels / white).astype(np.float32)
    assumed = uniform(gaussian(1.0))
    assert torch.equal(restore(restorer, levels, assumed, 16), restore(restorer, floats, assumed, 16))


def test_tiles_are_smaller_where_the_features_are_large():
    subpixel, upsample = (TORCH.tile(NetworkConfig(4, head)) for head in ("subpixel", "upsample"))
    assert upsample * 4 == subpixel


def test_a_picture_of_one_pixel_is_restored():
    restorer = restorer_of(SRMD(NetworkConfig(4, features=8)))
    assert restore(restorer, picture(1, 1), varying(1, 1), self_ensemble=True).isfinite().all()


@pytest.mark.parametrize("view", range(VIEWS))
@pytest.mark.parametrize(("scale", "degradation"), [(1, noise_map), (2, varying), (3, varying)])
def test_the_self_ensemble_turns_with_the_picture_and_its_degradation(
    scale: int, degradation: Callable[[int, int], Degradation], view: int
):
    restorer = restorer_of(network(scale))
    lr, assumed = picture(19, 24), degradation(19, 24)
    turned_lr = turn(torch.from_numpy(lr).permute(2, 0, 1), view).permute(1, 2, 0).numpy()
    expected = turn(restore(restorer, lr, assumed, 16, True), view)
    restored = restore(restorer, turned_lr, assumed.turned(view), 16, True)
    assert (restored - expected).abs().max() < 1e-5
    one_view = turn(restore(restorer, lr, assumed, 16), view)
    assert (one_view - expected).abs().max() > 1e-3  # without the ensemble the result depends on the view


@pytest.mark.parametrize("kernel", ["gaussian:3.6", gaussian(3.6, size=21)], ids=["spec", "array"])
def test_a_network_with_a_window_of_21_is_told_all_of_a_kernel_of_21(kernel: str | NDArray):
    config = NetworkConfig(4, conditions=("kernel",), features=8, layers=3, kernel_size=21)
    network = SRMD(config).eval()
    torch.nn.init.normal_(network.convs[0].weight[:, 3:])  # of the kernel code
    restorer = Restorer(Weights(network, default_pca(21)), TORCH)
    lr = picture(9, 8)
    told = uniform(gaussian(3.6, size=21))
    expected, cut = (restore(restorer, lr, each) for each in (told, told.in_window(15).in_window(21)))
    sr = torch.from_numpy(restorer.restore(lr, kernel)).permute(2, 0, 1)[None]
    torch.testing.assert_close(sr, expected.clamp(0, 1))
    assert (cut - expected).abs().max() > 1e-3
    assert torch.equal(restore_whole(restorer, lr, told), expected)
    narrow = uniform(gaussian(1.3))
    assert torch.equal(restore_whole(restorer, lr, narrow), restore_whole(restorer, lr, narrow.in_window(21)))


def test_batch_norm_is_merged():
    network = SRMD(NetworkConfig(features=8, batch_norm=True)).eval()
    network.norms[2].running_mean.fill_(0.3)
    lr, assumed = picture(12, 10), uniform(gaussian(1.0), 20.0)
    maps = degradation_map(assumed, PCA, network.config.conditions)
    expected = network(torch.from_numpy(lr).permute(2, 0, 1)[None], maps).detach()
    restorer = open_restorer(Weights(network, PCA), "cpu", "torch", "fp32")
    torch.testing.assert_close(restore_whole(restorer, lr, assumed), expected, atol=1e-5, rtol=0)


def test_weights_without_their_pca_are_refused():
    with pytest.raises(InputError, match="pca: expected the P that belongs to the weights"):
        Restorer(Weights(network(), None), TORCH)


def test_the_self_ensemble_is_refused_for_the_direct_downsampler_at_even_scales():
    for scale in (1, 2, 3):
        restorer = Restorer(Weights(network(scale).eval(), PCA, {"downsampler": "direct"}), TORCH)
        if scale == 2:
            with pytest.raises(InputError, match=r"self_ensemble: not possible .* direct downsampler at x2"):
                restore(restorer, picture(9, 9), uniform(gaussian(1.0)), self_ensemble=True)
        else:
            assert restore(restorer, picture(9, 9), uniform(gaussian(1.0)), self_ensemble=True).isfinite().all()


def test_sr_of_floats_is_clipped():
    lr = np.full((12, 12, 3), 1.5, np.float32)
    lr[:, :6] = 0
    sr = restorer_of(SRMD(NetworkConfig(features=4, layers=2))).restore(lr, "delta")  # untrained: SR is LR enlarged
    assert 0 <= sr.min() < 0.5
    assert sr.max() == 1


def test_enlarged_transparency_of_floats_is_clipped():
    """Bicubic upscaling overshoots at an edge."""
    lr = np.full((12, 12, 4), 0.5, np.float32)
    lr[..., 3] = np.arange(12) >= 6
    alpha = restorer_of(SRMD(NetworkConfig(features=4, layers=2))).restore(lr, "delta")[..., 3]
    assert alpha.shape == (24, 24)
    assert alpha.min() == 0
    assert alpha.max() == 1
