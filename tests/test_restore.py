"""A picture of any size through a network, a tile at a time."""

import pytest
import torch

from engine import torch_engine
from model import SRMD, NetworkConfig
from restore import restore


@pytest.mark.parametrize("head", ["subpixel", "upsample"])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_tiles_leave_no_trace(head: str, scale: int):
    torch.manual_seed(0)
    engine = torch_engine(SRMD(NetworkConfig(scale, head, features=8)), torch.device("cpu"), "fp32")
    lr, told = torch.rand(1, 3, 50, 41), torch.rand(1, 16, 1, 1)
    whole = engine.run(lr, told)
    assert (restore(engine, lr, told, tile=16) - whole).abs().max() < 1e-5


def test_each_tile_gets_its_part_of_a_map_that_varies():
    torch.manual_seed(0)
    engine = torch_engine(SRMD(NetworkConfig(features=8)), torch.device("cpu"), "fp32")
    lr, told = torch.rand(1, 3, 40, 33), torch.rand(1, 16, 40, 33)
    assert (restore(engine, lr, told, tile=13) - engine.run(lr, told)).abs().max() < 1e-5


def test_a_picture_of_one_pixel_is_restored():
    engine = torch_engine(SRMD(NetworkConfig(4, features=8)), torch.device("cpu"), "fp32")
    assert restore(engine, torch.rand(1, 3, 1, 1), torch.rand(1, 16, 1, 1)).shape == (1, 3, 4, 4)
