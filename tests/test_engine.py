"""What runs a network, and how."""

import pytest
import torch

from engine import choose_device, choose_precision, torch_engine, winograd_pays
from errors import InputError
from model import SRMD, NetworkConfig

CPU = torch.device("cpu")


def test_the_engine_computes_what_the_network_does():
    network = SRMD(NetworkConfig(features=8)).eval()
    lr, told = torch.rand(1, 3, 12, 10), torch.rand(1, 16, 1, 1)
    expected = network(lr, told)
    torch.testing.assert_close(torch_engine(network, CPU, "fp32").run(lr, told), expected.detach())


def test_batch_norm_is_merged():
    network = SRMD(NetworkConfig(features=8, batch_norm=True)).eval()
    network.norms[2].running_mean.fill_(0.3)
    lr, told = torch.rand(1, 3, 12, 10), torch.rand(1, 16, 1, 1)
    torch.testing.assert_close(torch_engine(network, CPU, "fp32").run(lr, told), network(lr, told).detach())


def test_bfloat16_stays_close_and_comes_out_as_float32():
    network = SRMD(NetworkConfig(features=32)).eval()
    lr, told = torch.rand(1, 3, 24, 24), torch.rand(1, 16, 1, 1)
    sr = torch_engine(network, CPU, "bf16").run(lr, told)
    assert sr.dtype == torch.float32
    assert 0 < (sr - torch_engine(network, CPU, "fp32").run(lr, told)).abs().max() < 0.02


def test_auto_takes_bfloat16_where_the_processor_multiplies_it(monkeypatch: pytest.MonkeyPatch):
    for capabilities, expected in [({}, "fp32"), ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16")]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert choose_precision("auto", CPU) == expected
        assert choose_precision("fp32", CPU) == "fp32"


def test_a_gpu_that_is_not_there_is_refused():
    assert choose_device("cpu") == CPU
    with pytest.raises(InputError, match=r"--device.*cuda:99"):
        choose_device("cuda:99")


def test_winograd_is_tried_only_where_it_can_be_used():
    size = (2, 16, 16)
    assert winograd_pays(SRMD(NetworkConfig()), CPU, "fp32", size) in (True, False)  # as this machine likes
    assert not winograd_pays(SRMD(NetworkConfig()), CPU, "bf16", size)
    assert not winograd_pays(SRMD(NetworkConfig(batch_norm=True)), CPU, "fp32", size)
