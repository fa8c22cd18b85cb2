"""Networks exported to ncnn compute there what they compute here, also at the border of a picture."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from exported import SMALL_CONFIGS, detailed_network, expected_sr, random_inputs, run_ncnn
from srmd.backends.backend import Backend
from srmd.base.errors import InputError
from srmd.degradation import Degradation, degradation_map
from srmd.kernel.families import gaussian
from srmd.model import NetworkConfig, network_input
from srmd.restore.restorer import Restorer
from srmd.weights.export_ncnn import ncnn_export
from srmd.weights.files import read_weights
from srmd.weights.shipped import shipped_weights

PADDING = 10  # LR pixels around the tiles of realesrgan-ncnn-vulkan and Upscayl


@pytest.mark.parametrize("config", SMALL_CONFIGS, ids=str)
@pytest.mark.parametrize("float16", [False, True])
def test_ncnn_computes_what_the_network_does(config: NetworkConfig, float16: bool):
    network = detailed_network(config)
    if float16:
        network.load_state_dict({key: tensor.half().float() for key, tensor in network.state_dict().items()})
    lr, degradation_map = random_inputs(config)
    expected = expected_sr(network, lr, degradation_map)[0]
    sr = run_ncnn(*ncnn_export(network, float16), network_input(lr, degradation_map)[0].numpy())
    np.testing.assert_allclose(sr, expected, atol=1e-4, rtol=0)
    sr = run_ncnn(*ncnn_export(network, float16, degradation_map), lr[0].numpy())
    np.testing.assert_allclose(sr, expected, atol=1e-3 if float16 else 1e-4, rtol=0)  # the biases stay float32


def test_float16_halves_the_file():
    network = detailed_network(NetworkConfig(features=16))
    full, half = (len(ncnn_export(network, float16)[1]) for float16 in (False, True))
    assert half < 0.52 * full


def test_the_files_can_be_read_again(tmp_path: Path):
    network = detailed_network(SMALL_CONFIGS[0])
    param, binary = ncnn_export(network, float16=True)
    (tmp_path / "net.param").write_text(param)
    (tmp_path / "net.bin").write_bytes(binary)
    read = read_weights(tmp_path / "net.param").network
    assert read.config == network.config
    for key, tensor in network.state_dict().items():
        torch.testing.assert_close(read.state_dict()[key], tensor, atol=1e-3, rtol=0)


def test_only_layers_are_used_that_programs_for_real_esrgan_are_built_with():
    """They are built without many layers: realesrgan-ncnn-vulkan lists them in src/CMakeLists.txt."""
    config = SMALL_CONFIGS[0]
    param, _ = ncnn_export(detailed_network(config), degradation_map=random_inputs(config)[1])
    lines = [line.split() for line in param.splitlines()[2:]]
    assert [line[0] for line in lines] == ["Input", *["Convolution"] * (config.layers + 1), "PixelShuffle"]
    assert lines[0][4] == "data"
    assert lines[-1][5] == "output"
    assert param.splitlines()[1] == f"{len(lines)} {len(lines)}"


def test_the_head_upsample_is_refused():
    with pytest.raises(InputError, match="export_format: expected onnx for the head upsample, found ncnn"):
        ncnn_export(detailed_network(replace(SMALL_CONFIGS[0], head="upsample")))


def read_chain(param: str, binary: bytes) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """Weight, bias and whether ReLU follows of each convolution in float16 files, read as ncnn reads them."""
    offset = 0
    for line in param.splitlines():
        if line.startswith("Convolution"):
            values = dict(part.split("=") for part in line.split()[6:])
            outputs, count = int(values["0"]), int(values["6"])
            assert binary[offset : offset + 4] == bytes.fromhex("476b3001")
            weight = np.frombuffer(binary, "<f2", count, offset + 4)
            offset += 4 + 4 * math.ceil(count / 2)
            bias = np.frombuffer(binary, "<f4", outputs, offset)
            offset += 4 * outputs
            weight, bias = (torch.from_numpy(array.astype(np.float32)) for array in (weight, bias))
            yield weight.reshape(outputs, -1, 3, 3), bias, "9" in values
    assert offset == len(binary)


@torch.no_grad()
def run_with_float16_storage(chain: list[tuple[Tensor, Tensor, bool]], data: Tensor, scale: int) -> Tensor:
    """What a chain computes if all that is stored is float16, and sums are float32, as on GPUs in these programs."""
    x = data.half().float()
    for weight, bias, relu in chain:
        x = F.conv2d(x, weight, bias.half().float(), padding=1)
        x = (x.relu() if relu else x).half().float()
    return F.pixel_shuffle(x, scale)


def tiled(files: tuple[str, bytes], pixels: NDArray, scale: int, tile: int) -> NDArray:
    """SR (s·h, s·w, 3) uint8 of LR (h, w, 3) uint8 as realesrgan-ncnn-vulkan and Upscayl compute it.

    From `RealESRGAN::process` and its shaders: each tile is read with 10 pixels around it, which are mirrored at the
    border of the picture without repeating its outermost pixel; values are v / 255 in float16; the result is rounded.
    """
    chain, (height, width, _) = list(read_chain(*files)), pixels.shape
    padded = np.pad(pixels, [(PADDING, PADDING), (PADDING, PADDING), (0, 0)], mode="reflect")
    padded = torch.from_numpy(padded).permute(2, 0, 1)[None] / 255
    sr, cut = np.zeros((scale * height, scale * width, 3), np.uint8), scale * PADDING
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            data = padded[..., top : bottom + 2 * PADDING, left : right + 2 * PADDING]
            inner = run_with_float16_storage(chain, data, scale)[0, :, cut:-cut, cut:-cut].permute(1, 2, 0)
            rounded = (inner * 255 + 0.5).floor().clamp(0, 255)
            sr[scale * top : scale * bottom, scale * left : scale * right] = rounded.numpy()
    return sr


def distance_to_seams(length: int, tile: int) -> NDArray:
    """The distance of each of `length` LR pixels from the next seam between tiles, which lies between two pixels."""
    seams = np.arange(tile, length, tile)
    centres = np.arange(length) + 0.5
    return np.abs(centres[:, None] - seams).min(1)


def test_tiles_of_other_programs_differ_little_from_our_result():
    """Within 2 levels beyond 2 LR pixels from the seams; at the border of the picture the programs mirror it."""
    tile, kernel, noise_level = 32, gaussian(1.3), 3.0
    weights = read_weights(shipped_weights(2, noisy=True))
    config, lr = weights.network.config, skimage.data.astronaut()[60:130, 180:266]
    assumed = Degradation.uniform(torch.from_numpy(kernel)[None], torch.tensor([noise_level]))
    baked = degradation_map(assumed, weights.pca, config.conditions)
    sr = tiled(ncnn_export(weights.network, True, baked), lr, config.scale, tile)
    restorer = Restorer(weights, Backend("torch", "fp32", "cpu"))
    ours = restorer.restore(lr, kernel, noise_level)
    rows, columns = (distance_to_seams(length, tile) > 2 for length in lr.shape[:2])
    far_from_seams = np.outer(rows, columns).repeat(config.scale, 0).repeat(config.scale, 1)
    difference = np.abs(sr.astype(int) - ours).max(2)
    inner = np.zeros_like(far_from_seams)
    halo = config.layers * config.scale
    inner[halo:-halo, halo:-halo] = True
    assert difference[far_from_seams & inner].max() <= 2
    mirrored = np.pad(lr, [(config.layers,) * 2, (config.layers,) * 2, (0, 0)], mode="reflect")
    ours = restorer.restore(mirrored, kernel, noise_level)[halo:-halo, halo:-halo]
    assert np.abs(sr.astype(int) - ours).max(2)[far_from_seams].max() <= 2
