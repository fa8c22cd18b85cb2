"""What runs a network, and which of these is chosen."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from srmd.backends import backend as backend_module
from srmd.backends import bfloat16, choice
from srmd.backends.backend import Backend, make_network_function
from srmd.backends.choice import available_backends, choose_backend, winograd_is_faster
from srmd.backends.device import choose_device, choose_precision
from srmd.base.errors import InputError
from srmd.degradation import Degradation, degradation_map, degrade
from srmd.evaluate.picture import to_array
from srmd.kernel.families import gaussian
from srmd.model import SRMD, NetworkConfig
from srmd.pictures.metrics import score
from srmd.pictures.photos import builtin_test_pictures
from srmd.weights.files import read_weights
from srmd.winograd.convolution import conv_relu

SHIPPED = Path(__file__).parents[2] / "weights"
CPU = torch.device("cpu")
TORCH = Backend("torch", "fp32", "cpu")
EXACT = [TORCH, replace(TORCH, winograd=True), Backend("ncnn", "fp32", "cpu"), Backend("openvino", "fp32", "cpu")]


def lr_and_map(network: SRMD, height: int = 12, width: int = 10) -> tuple[Tensor, Tensor]:
    """A picture and a map that varies over it."""
    generator = torch.Generator().manual_seed(0)
    channels = (3, network.config.map_channels)
    return tuple(torch.rand(1, count, height, width, generator=generator) for count in channels)


@pytest.mark.parametrize("backend", EXACT, ids=str)
@pytest.mark.parametrize("config", [NetworkConfig(features=8), NetworkConfig(3, conditions=("kernel",), features=16)])
def test_every_engine_computes_what_the_network_does(backend: Backend, config: NetworkConfig):
    if backend.engine != "torch":
        pytest.importorskip(backend.engine, reason=f"{backend.engine} is not installed (requirements-engines.txt)")
    network = SRMD(config).eval()
    for size in ((12, 10), (1, 1), (37, 23)):  # one after the other: engines prepare themselves for a size
        lr, told = lr_and_map(network, *size)
        for given in (told, told[..., :1, :1]):
            expected = network(lr, given).detach()
            torch.testing.assert_close(make_network_function(network, backend)(lr, given), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("head", ["subpixel", "upsample"])
def test_16_bits_come_out_as_float32(head: str, precision: str):
    network = SRMD(NetworkConfig(features=32, head=head)).eval()
    lr, told = lr_and_map(network, 24, 24)
    sr = make_network_function(network, replace(TORCH, precision=precision))(lr, told)
    assert sr.dtype == torch.float32
    assert 0 < (sr - make_network_function(network, TORCH)(lr, told)).abs().max() < 0.02


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*_x[234].safetensors")), ids=lambda path: path.stem)
def test_bfloat16_loses_little_on_the_shipped_networks(path: Path):
    weights = read_weights(path)
    scale = weights.network.config.scale
    hr = torch.from_numpy(builtin_test_pictures()["astronaut"][:144, 150:294].copy()).permute(2, 0, 1)[None] / 255
    degradation = Degradation.uniform(torch.from_numpy(gaussian(1.3))[None].float(), torch.zeros(1))
    lr = degrade(hr, degradation, scale).float()
    told = degradation_map(degradation, weights.pca, weights.network.config.conditions)
    exact, rounded = (
        score(
            to_array(make_network_function(weights.network, replace(TORCH, precision=p))(lr, told)), to_array(hr), scale
        )
        for p in ("fp32", "bf16")
    )
    assert rounded["psnr_y"] != exact["psnr_y"]
    assert rounded["psnr_y"] > exact["psnr_y"] - 0.03


def test_auto_takes_bfloat16_where_the_processor_multiplies_it(monkeypatch: pytest.MonkeyPatch):
    for capabilities, expected in [({}, "fp32"), ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16")]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert choose_precision("auto", CPU) == expected
        assert choose_precision("fp32", CPU) == "fp32"
        tried = {
            backend.precision for backend in available_backends(SRMD(NetworkConfig(features=8)), CPU, "auto", "auto")
        }
        assert tried == {"fp32", expected}
        of_x1 = {
            backend.precision for backend in available_backends(SRMD(NetworkConfig(1, features=8)), CPU, "auto", "auto")
        }
        assert of_x1 == {"fp32"}


def test_auto_takes_float16_on_a_gpu():
    assert choose_precision("auto", torch.device("cuda")) == "fp16"
    assert choose_precision("bf16", torch.device("cuda")) == "bf16"


def test_the_fastest_is_taken_and_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    benchmarked = []

    def slow_but_for(winner: str):
        def run_of(network: SRMD, backend: Backend):
            def run(lr: Tensor, _told: Tensor) -> Tensor:
                benchmarked.append(str(backend))
                time.sleep(0.0 if str(backend) == winner else 0.01)
                return lr

            return run

        return run_of

    network = SRMD(NetworkConfig(features=8))
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 0, 0))
    monkeypatch.setattr(choice, "is_installed", lambda name: False)
    monkeypatch.setattr(backend_module, "_torch_function", slow_but_for("torch winograd fp32 cpu"))
    assert choose_backend(network, CPU, "torch", "fp32").winograd
    assert set(benchmarked) == {"torch fp32 cpu", "torch winograd fp32 cpu"}
    benchmarked.clear()
    monkeypatch.setattr(backend_module, "_torch_function", slow_but_for("torch fp32 cpu"))
    assert choose_backend(network, CPU, "torch", "fp32").winograd  # the result is kept
    assert not benchmarked
    next(tmp_path.rglob("*.json")).write_text("no JSON")
    assert not choose_backend(network, CPU, "torch", "fp32").winograd


def test_a_result_of_a_busy_machine_holds_while_it_is_busy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    network = SRMD(NetworkConfig(features=8))

    def taken(load: float, fastest: str) -> str:
        monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0))
        monkeypatch.setattr(choice, "_benchmark", lambda *_: fastest)
        return str(choose_backend(network, CPU, "torch", "fp32"))

    direct, winograd = "torch fp32 cpu", "torch winograd fp32 cpu"
    assert taken(9, direct) == direct
    assert taken(9, winograd) == direct
    assert taken(0.1, winograd) == winograd
    assert taken(0.1, direct) == winograd
    assert taken(9, direct) == winograd  # that of a calm machine is the better one


def test_a_result_holds_only_with_or_without_the_compiled_functions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    direct, winograd = "torch fp32 cpu", "torch winograd fp32 cpu"
    for transforms, fastest in ((None, direct), (object(), winograd), (None, direct)):
        monkeypatch.setattr(choice.compiled, "load", lambda transforms=transforms: transforms)
        monkeypatch.setattr(choice, "_benchmark", lambda *_, fastest=fastest: fastest)
        assert str(choose_backend(SRMD(NetworkConfig(features=8)), CPU, "torch", "fp32")) == fastest


def test_an_engine_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch):
    network = SRMD(NetworkConfig(head="upsample", features=8))
    monkeypatch.setattr(choice, "is_installed", lambda name: name == "ncnn")
    with pytest.raises(InputError, match=r"engine: openvino is not installed.*requirements-engines"):
        choose_backend(network, CPU, "openvino")
    with pytest.raises(InputError, match=r"engine: ncnn.*sub-pixel head, found upsample"):
        choose_backend(network, CPU, "ncnn")
    with pytest.raises(InputError, match=r"engine: ncnn runs on the CPU.*cuda"):
        choose_backend(network, torch.device("cuda"), "ncnn")


def test_a_gpu_that_is_not_there_is_refused():
    assert choose_device("cpu") == CPU
    with pytest.raises(InputError, match=r"device: .*cuda:99"):
        choose_device("cuda:99")


def test_winograd_is_tried_only_where_it_can_be_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "_fastest", lambda *_: 1)  # where it is tried, it is the fastest
    assert not winograd_is_faster(SRMD(NetworkConfig(features=8, batch_norm=True)), (2, 16, 16))


def slow_conv(x: Tensor, weight: Tensor, bias: Tensor, **_: object) -> Tensor:
    time.sleep(0.02)
    return x * weight.sum() + bias.sum()


def test_winograd_is_used_where_it_is_faster(monkeypatch: pytest.MonkeyPatch):
    network = SRMD(NetworkConfig(features=8))
    for slow, expected in (("conv_relu", False), (None, True)):
        with monkeypatch.context() as patch:
            if slow:
                patch.setattr(choice, "conv_relu", lambda x, w, b: time.sleep(0.02) or conv_relu(x, w, b))
            else:
                patch.setattr(choice.F, "conv2d", lambda *a, **k: time.sleep(0.02) or a[0] * a[1].sum() + a[2].sum())
            assert winograd_is_faster(network, (1, 8, 8)) == expected


def test_an_optional_engine_that_is_broken_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    pytest.importorskip("openvino", reason="openvino is not installed (requirements-engines.txt)")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(choice, "is_installed", lambda name: name == "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)  # importing it fails, as where a library is missing
    network = SRMD(NetworkConfig(features=8))
    assert choose_backend(network, CPU, "auto", "fp32").engine == "torch"
    assert "openvino fp32 cpu does not work here" in caplog.text
    (backend,) = available_backends(network, CPU, "openvino", "fp32")
    with pytest.raises(InputError, match=r"engine: openvino fp32 cpu does not work here.*`engine=torch` does"):
        make_network_function(network, backend)


def test_the_only_backend_that_is_left_needs_no_benchmark(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "_benchmark", lambda *_: pytest.fail("benchmarked"))
    network = SRMD(NetworkConfig(features=8))
    assert choose_backend(network, CPU, "torch", "bf16") == replace(TORCH, precision="bf16")


def test_where_no_backend_of_an_engine_works_all_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def fail(network: SRMD, backend: Backend) -> None:
        raise InputError("a library is missing", "engine")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(choice, "is_installed", lambda name: True)
    monkeypatch.setattr(choice, "_has_vulkan", lambda: True)
    monkeypatch.setattr(choice.importlib.metadata, "version", lambda name: "1")
    monkeypatch.setattr(choice, "make_network_function", fail)
    with pytest.raises(InputError, match="engine: none of ncnn fp32 cpu, ncnn fp32 vulkan works here"):
        choose_backend(SRMD(NetworkConfig(features=8)), CPU, "ncnn", "fp32")


def test_an_error_of_pytorch_is_not_taken_for_a_missing_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def fail(network: SRMD, backend: Backend) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(backend_module, "_torch_function", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        choose_backend(SRMD(NetworkConfig(features=8)), CPU, "torch", "fp32")


def test_a_gpu_has_one_backend():
    gpu = torch.device("cuda", 1)
    found = available_backends(SRMD(NetworkConfig(features=8)), gpu, "auto", "auto")
    assert found == [Backend("torch", "fp16", "cuda:1")]


def test_optional_engines_do_not_run_the_other_head(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "is_installed", lambda name: True)
    network = SRMD(NetworkConfig(features=8, head="upsample"))
    assert {each.engine for each in available_backends(network, CPU, "auto", "fp32")} == {"torch"}


def test_a_network_that_ncnn_does_not_take_is_an_error(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ncnn", reason="ncnn is not installed (requirements-engines.txt)")
    monkeypatch.setattr("srmd.backends.ncnn.ncnn_files", lambda network: ("7767517\n1 1\nNoSuchLayer a 0 1 x\n", b""))
    with pytest.raises(InputError, match=r"engine: ncnn fp32 cpu does not work here \(ncnn does not take the network"):
        make_network_function(SRMD(NetworkConfig(features=8)), Backend("ncnn", "fp32", "cpu"))


def test_in_bfloat16_weights_are_rounded_once_not_in_every_call(monkeypatch: pytest.MonkeyPatch):
    rounded, without_rgb = [], bfloat16._without_rgb

    def counted(conv: torch.nn.Conv2d, outputs: slice) -> Tensor:
        rounded.append(conv)
        return without_rgb(conv, outputs)

    monkeypatch.setattr(bfloat16, "_without_rgb", counted)
    network = SRMD(NetworkConfig(features=8, layers=4))
    run = make_network_function(network, replace(TORCH, precision="bf16"))
    assert len(rounded) == 3  # the inner layers and the head
    run(*lr_and_map(network))
    run(*lr_and_map(network))
    assert len(rounded) == 3


def test_float16_on_a_processor_is_refused():
    with pytest.raises(InputError, match="precision: fp16 is for GPUs"):
        choose_precision("fp16", CPU)


def test_apples_gpus_compute_in_float32():
    metal = torch.device("mps")
    assert choose_precision("auto", metal) == "fp32"
    with pytest.raises(InputError, match="precision: expected fp32 on Apple's GPUs, found bf16"):
        choose_precision("bf16", metal)


def test_metal_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="device: torch offers no Metal device on this machine, found mps"):
        choose_device("mps")
