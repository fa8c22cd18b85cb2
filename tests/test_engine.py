"""What runs a network, and how."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import engine
from data_loader import builtin_test_pictures
from degradation import Degradation, degradation_map, degrade
from engine import Way, choose_device, choose_engine, choose_precision, make_engine, ways, winograd_pays
from errors import InputError
from kernel import gaussian
from metrics import score
from model import SRMD, NetworkConfig
from trial import to_array
from weights import read_weights
from winograd import conv_relu

SHIPPED = Path(__file__).parent.parent / "weights"
CPU = torch.device("cpu")
TORCH = Way("torch", "fp32", "cpu")
EXACT = [TORCH, replace(TORCH, winograd=True), Way("ncnn", "fp32", "cpu"), Way("openvino", "fp32", "cpu")]


def lr_and_map(network: SRMD, height: int = 12, width: int = 10) -> tuple[Tensor, Tensor]:
    """A picture and a map that varies over it."""
    generator = torch.Generator().manual_seed(0)
    channels = (3, network.config.map_channels)
    return tuple(torch.rand(1, count, height, width, generator=generator) for count in channels)


@pytest.mark.parametrize("way", EXACT, ids=str)
@pytest.mark.parametrize("config", [NetworkConfig(features=8), NetworkConfig(3, noise_free=True, features=16)])
def test_every_engine_computes_what_the_network_does(way: Way, config: NetworkConfig):
    if way.engine != "torch":
        pytest.importorskip(way.engine, reason=f"{way.engine} is not installed (requirements-engines.txt)")
    network = SRMD(config).eval()
    for size in ((12, 10), (1, 1), (37, 23)):  # one after the other: engines prepare themselves for a size
        lr, told = lr_and_map(network, *size)
        for given in (told, told[..., :1, :1]):
            expected = network(lr, given).detach()
            torch.testing.assert_close(make_engine(network, way).run(lr, given), expected, atol=1e-4, rtol=0)


def test_batch_norm_is_merged():
    network = SRMD(NetworkConfig(features=8, batch_norm=True)).eval()
    network.norms[2].running_mean.fill_(0.3)
    lr, told = lr_and_map(network)
    run = choose_engine(network, CPU, "torch", "fp32").run
    torch.testing.assert_close(run(lr, told), network(lr, told).detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("head", ["subpixel", "upsample"])
def test_16_bits_come_out_as_float32(head: str, precision: str):
    network = SRMD(NetworkConfig(features=32, head=head)).eval()
    lr, told = lr_and_map(network, 24, 24)
    sr = make_engine(network, replace(TORCH, precision=precision)).run(lr, told)
    assert sr.dtype == torch.float32
    assert 0 < (sr - make_engine(network, TORCH).run(lr, told)).abs().max() < 0.02


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*_x[234].safetensors")), ids=lambda path: path.stem)
def test_bfloat16_loses_little_on_the_shipped_networks(path: Path):
    weights = read_weights(path)
    scale = weights.network.config.scale
    hr = torch.from_numpy(builtin_test_pictures()["astronaut"][:144, 150:294].copy()).permute(2, 0, 1)[None] / 255
    degradation = Degradation.uniform(torch.from_numpy(gaussian(1.3))[None].float(), torch.zeros(1))
    lr = degrade(hr, degradation, scale).float()
    told = degradation_map(degradation, weights.pca, weights.network.config.noise_free)
    exact, rounded = (
        score(to_array(make_engine(weights.network, replace(TORCH, precision=p)).run(lr, told)), to_array(hr), scale)
        for p in ("fp32", "bf16")
    )
    assert rounded["psnr_y"] != exact["psnr_y"]
    assert rounded["psnr_y"] > exact["psnr_y"] - 0.03


def test_auto_takes_bfloat16_where_the_processor_multiplies_it(monkeypatch: pytest.MonkeyPatch):
    for capabilities, expected in [({}, "fp32"), ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16")]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert choose_precision("auto", CPU) == expected
        assert choose_precision("fp32", CPU) == "fp32"
        tried = {way.precision for way in ways(SRMD(NetworkConfig(features=8)), CPU, "auto", "auto")}
        assert tried == {"fp32", expected}
        of_x1 = {way.precision for way in ways(SRMD(NetworkConfig(1, features=8)), CPU, "auto", "auto")}
        assert of_x1 == {"fp32"}


def test_auto_takes_float16_on_a_gpu():
    assert choose_precision("auto", torch.device("cuda")) == "fp16"
    assert choose_precision("bf16", torch.device("cuda")) == "bf16"


def test_the_fastest_is_taken_and_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    trials = []

    def slow_but_for(winner: str):
        def run_of(network: SRMD, way: Way):
            def run(lr: Tensor, _told: Tensor) -> Tensor:
                trials.append(str(way))
                time.sleep(0.0 if str(way) == winner else 0.01)
                return lr

            return run

        return run_of

    network = SRMD(NetworkConfig(features=8))
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 0, 0))
    monkeypatch.setattr(engine, "is_installed", lambda name: False)
    monkeypatch.setattr(engine, "_torch_run", slow_but_for("torch winograd fp32 cpu"))
    assert choose_engine(network, CPU, "torch", "fp32").way.winograd
    assert set(trials) == {"torch fp32 cpu", "torch winograd fp32 cpu"}
    trials.clear()
    monkeypatch.setattr(engine, "_torch_run", slow_but_for("torch fp32 cpu"))
    assert choose_engine(network, CPU, "torch", "fp32").way.winograd  # the verdict is kept
    assert not trials
    next(tmp_path.rglob("*.json")).write_text("no JSON")
    assert not choose_engine(network, CPU, "torch", "fp32").way.winograd


def test_a_verdict_of_a_busy_machine_holds_while_it_is_busy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    network = SRMD(NetworkConfig(features=8))

    def taken(load: float, fastest: str) -> str:
        monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0))
        monkeypatch.setattr(engine, "_try", lambda *_: fastest)
        return str(choose_engine(network, CPU, "torch", "fp32").way)

    direct, winograd = "torch fp32 cpu", "torch winograd fp32 cpu"
    assert taken(9, direct) == direct
    assert taken(9, winograd) == direct
    assert taken(0.1, winograd) == winograd
    assert taken(0.1, direct) == winograd
    assert taken(9, direct) == winograd  # a calm trial is the better one


def test_a_verdict_holds_only_with_or_without_the_compiled_functions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    direct, winograd = "torch fp32 cpu", "torch winograd fp32 cpu"
    for transforms, verdict in ((None, direct), (object(), winograd), (None, direct)):
        monkeypatch.setattr(engine.compiled, "load", lambda transforms=transforms: transforms)
        monkeypatch.setattr(engine, "_try", lambda *_, verdict=verdict: verdict)
        assert str(choose_engine(SRMD(NetworkConfig(features=8)), CPU, "torch", "fp32").way) == verdict


def test_an_engine_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch):
    network = SRMD(NetworkConfig(head="upsample", features=8))
    monkeypatch.setattr(engine, "is_installed", lambda name: name == "ncnn")
    with pytest.raises(InputError, match=r"--engine: openvino is not installed.*requirements-engines"):
        choose_engine(network, CPU, "openvino")
    with pytest.raises(InputError, match=r"--engine: ncnn.*sub-pixel head, found upsample"):
        choose_engine(network, CPU, "ncnn")
    with pytest.raises(InputError, match=r"--engine: ncnn runs on the CPU.*cuda"):
        choose_engine(network, torch.device("cuda"), "ncnn")


def test_a_gpu_that_is_not_there_is_refused():
    assert choose_device("cpu") == CPU
    with pytest.raises(InputError, match=r"--device.*cuda:99"):
        choose_device("cuda:99")


def test_winograd_is_tried_only_where_it_can_be_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "_fastest", lambda *_: 1)  # where it is tried, it is the fastest
    assert not winograd_pays(SRMD(NetworkConfig(features=8, batch_norm=True)), (2, 16, 16))


def test_winograd_pays_where_it_is_faster(monkeypatch: pytest.MonkeyPatch):
    network = SRMD(NetworkConfig(features=8))
    for slow, expected in (("conv_relu", False), (None, True)):
        with monkeypatch.context() as patch:
            if slow:
                patch.setattr(engine, "conv_relu", lambda x, w, b: time.sleep(0.02) or conv_relu(x, w, b))
            else:
                patch.setattr(engine.F, "conv2d", lambda *a, **k: time.sleep(0.02) or a[0] * a[1].sum() + a[2].sum())
            assert winograd_pays(network, (1, 8, 8)) == expected


def test_an_optional_engine_that_is_broken_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    pytest.importorskip("openvino", reason="openvino is not installed (requirements-engines.txt)")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(engine, "is_installed", lambda name: name == "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)  # importing it fails, as where a library is missing
    network = SRMD(NetworkConfig(features=8))
    assert choose_engine(network, CPU, "auto", "fp32").way.engine == "torch"
    assert "warning: openvino fp32 cpu does not work here" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"--engine: openvino fp32 cpu does not work here.*--engine=torch does"):
        choose_engine(network, CPU, "openvino", "fp32")
