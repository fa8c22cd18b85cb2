"""A picture of any size through a network, a tile at a time."""

from dataclasses import replace

import pytest
import torch

from engine import Way, make_engine
from model import SRMD, NetworkConfig
from restore import restore

TORCH = Way("torch", "fp32", "cpu")


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
    engine = replace(make_engine(shifting_network(scale, head, row, column), TORCH), tile=14)
    lr, told = torch.rand(1, 3, 50, 41), torch.zeros(1, 16, 1, 1)
    whole = engine.run(lr, told)
    assert whole.std() > 0.01
    assert (restore(engine, lr, told) - whole).abs().max() < 1e-5


def test_each_tile_gets_its_part_of_a_map_that_varies():
    torch.manual_seed(0)
    engine = replace(make_engine(SRMD(NetworkConfig(features=8)), TORCH), tile=13)
    lr, told = torch.rand(1, 3, 40, 33), torch.rand(1, 16, 40, 33)
    assert (restore(engine, lr, told) - engine.run(lr, told)).abs().max() < 1e-5


def test_tiles_are_smaller_where_the_features_are_large():
    paper, own = (make_engine(SRMD(NetworkConfig(4, head)), TORCH) for head in ("subpixel", "upsample"))
    assert own.tile * 4 == paper.tile


def test_a_picture_of_one_pixel_is_restored():
    engine = make_engine(SRMD(NetworkConfig(4, features=8)), TORCH)
    assert restore(engine, torch.rand(1, 3, 1, 1), torch.rand(1, 16, 1, 1)).shape == (1, 3, 4, 4)
