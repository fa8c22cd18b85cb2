"""Devices and precisions."""

import pytest
import torch

from srmd.backends.device import choose_device, choose_precision, choose_training_precision
from srmd.base.errors import InputError

CPU = torch.device("cpu")


def test_a_gpu_that_the_machine_does_not_have_is_refused():
    assert choose_device("cpu") == CPU
    with pytest.raises(InputError, match=r"device: .*cuda:99"):
        choose_device("cuda:99")


def test_metal_is_refused_on_a_machine_without_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="device: torch offers no Metal device on this machine, found mps"):
        choose_device("mps")


@pytest.mark.parametrize(
    ("capabilities", "expected"), [({}, "fp32"), ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16")]
)
def test_auto_takes_bfloat16_on_processors_with_instructions_for_it(
    capabilities: dict, expected: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision("auto", CPU) == expected
    assert choose_precision("fp32", CPU) == "fp32"


def test_cpus_train_in_float32_unless_another_precision_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert choose_training_precision("auto", CPU) == "fp32"
    assert choose_training_precision("bf16", CPU) == "bf16"
    assert choose_training_precision("auto", torch.device("cuda")) == "fp16"


def test_auto_takes_float16_on_a_gpu():
    assert choose_precision("auto", torch.device("cuda")) == "fp16"
    assert choose_precision("bf16", torch.device("cuda")) == "bf16"


def test_float16_is_refused_on_a_cpu():
    with pytest.raises(InputError, match="precision: fp16 is for GPUs, found the CPU as the device"):
        choose_precision("fp16", CPU)


def test_apple_gpus_compute_in_float32_only():
    metal = torch.device("mps")
    assert choose_precision("auto", metal) == "fp32"
    with pytest.raises(InputError, match="precision: expected fp32 on Apple's GPUs, found bf16"):
        choose_precision("bf16", metal)
