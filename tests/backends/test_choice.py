"""The choice of a backend, its benchmark and the cache of results."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from srmd.backends import backend as backend_module
from srmd.backends import choice
from srmd.backends.backend import Backend, make_network_function
from srmd.backends.choice import available_backends, choose_backend, winograd_is_faster
from srmd.base.errors import InputError
from srmd.model import SRMD, NetworkConfig
from srmd.winograd.convolution import conv

CPU = torch.device("cpu")
TORCH = Backend("torch", "fp32", "cpu")
DIRECT = "torch fp32 cpu"
WINOGRAD = "torch winograd fp32 cpu"
IDLE_LOAD = 0.1
BUSY_LOAD = 9
IS_BUSY = choice.is_busy  # before conftest.py replaces it

pytestmark = pytest.mark.usefixtures("compiled_functions")  # without them Winograd's algorithm is not offered


@pytest.fixture
def network() -> SRMD:
    return SRMD(NetworkConfig(features=8))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


# --- available backends


@pytest.mark.parametrize(("capabilities", "expected"), [({}, "fp32"), ({"avx512_bf16": True}, "bf16")])
def test_auto_tries_bfloat16_beside_float32_except_at_x1(
    capabilities: dict, expected: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)

    def precisions(scale: int) -> set[str]:
        backends = available_backends(SRMD(NetworkConfig(scale, features=8)), CPU, "auto", "auto")
        return {backend.precision for backend in backends}

    assert precisions(2) == {"fp32", expected}
    assert precisions(1) == {"fp32"}


def test_a_gpu_has_one_backend(network: SRMD):
    backends = available_backends(network, torch.device("cuda", 1), "auto", "auto")
    assert backends == [Backend("torch", "fp16", "cuda:1")]


def test_optional_engines_are_not_offered_for_the_upsample_head(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "is_installed", lambda engine: True)
    network = SRMD(NetworkConfig(features=8, head="upsample"))
    assert {backend.engine for backend in available_backends(network, CPU, "auto", "fp32")} == {"torch"}


def test_an_engine_that_is_not_installed_or_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch):
    network = SRMD(NetworkConfig(head="upsample", features=8))
    monkeypatch.setattr(choice, "is_installed", lambda engine: engine == "ncnn")
    with pytest.raises(InputError, match=r"engine: openvino is not installed.*requirements-engines"):
        choose_backend(network, CPU, "openvino")
    with pytest.raises(InputError, match=r"engine: ncnn.*sub-pixel head, found upsample"):
        choose_backend(network, CPU, "ncnn")
    with pytest.raises(InputError, match=r"engine: ncnn runs on the CPU.*cuda"):
        choose_backend(network, torch.device("cuda"), "ncnn")


# --- benchmark and cache


def test_the_fastest_backend_is_chosen_and_the_result_cached(
    network: SRMD, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", logger="srmd")
    benchmarked, seconds = [], [0.0]
    monkeypatch.setattr(choice, "time", SimpleNamespace(perf_counter=lambda: seconds[0]))

    def make_all_slow_except(fastest: str):
        def torch_function(network: SRMD, backend: Backend):
            def run(lr: Tensor, _map: Tensor) -> Tensor:
                benchmarked.append(str(backend))
                seconds[0] += 0 if str(backend) == fastest else 0.01
                return lr

            return run

        monkeypatch.setattr(backend_module, "_torch_function", torch_function)

    monkeypatch.setattr(choice, "is_installed", lambda engine: False)
    make_all_slow_except(WINOGRAD)
    assert choose_backend(network, CPU, "torch", "fp32").winograd
    assert set(benchmarked) == {DIRECT, WINOGRAD}
    assert caplog.messages == ["Comparing the speed of 2 engines, once for this machine and network"]
    benchmarked.clear()
    caplog.clear()
    make_all_slow_except(DIRECT)
    assert choose_backend(network, CPU, "torch", "fp32").winograd  # the cached result
    assert not benchmarked
    assert not caplog.messages
    next(cache.rglob("*.json")).write_text("no JSON")
    assert not choose_backend(network, CPU, "torch", "fp32").winograd


@pytest.mark.usefixtures("cache")
def test_a_result_of_a_busy_machine_is_used_only_while_it_is_busy(network: SRMD, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "is_busy", IS_BUSY)

    def choose(load: float, fastest: str) -> str:
        monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0))
        monkeypatch.setattr(choice, "_benchmark", lambda *_: fastest)
        return str(choose_backend(network, CPU, "torch", "fp32"))

    assert choose(BUSY_LOAD, fastest=DIRECT) == DIRECT
    assert choose(BUSY_LOAD, fastest=WINOGRAD) == DIRECT  # cached
    assert choose(IDLE_LOAD, fastest=WINOGRAD) == WINOGRAD
    assert choose(IDLE_LOAD, fastest=DIRECT) == WINOGRAD  # cached
    assert choose(BUSY_LOAD, fastest=DIRECT) == WINOGRAD  # the idle machine's result is preferred


@pytest.mark.usefixtures("cache")
def test_results_with_and_without_the_compiled_functions_are_cached_apart(
    network: SRMD, monkeypatch: pytest.MonkeyPatch
):
    for functions, fastest in ((None, DIRECT), (object(), WINOGRAD), (None, DIRECT)):
        monkeypatch.setattr(choice.compiled, "load", lambda functions=functions: functions)
        monkeypatch.setattr(choice, "_benchmark", lambda *_, fastest=fastest: fastest)
        assert str(choose_backend(network, CPU, "torch", "fp32")) == fastest


def test_a_single_available_backend_is_chosen_without_a_benchmark(network: SRMD, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "_benchmark", lambda *_: pytest.fail("benchmarked"))
    assert choose_backend(network, CPU, "torch", "bf16") == replace(TORCH, precision="bf16")


# --- engines that fail


@pytest.mark.usefixtures("cache")
def test_a_broken_optional_engine_is_left_out_with_a_warning(
    network: SRMD, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    pytest.importorskip("openvino", reason="openvino is not installed (requirements-engines.txt)")
    monkeypatch.setattr(choice, "is_installed", lambda engine: engine == "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)  # importing it fails, as with a missing library
    assert choose_backend(network, CPU, "auto", "fp32").engine == "torch"
    assert "openvino fp32 cpu does not work on this machine" in caplog.text
    (backend,) = available_backends(network, CPU, "openvino", "fp32")
    message = r"engine: openvino fp32 cpu does not work on this machine.*`engine=torch` does"
    with pytest.raises(InputError, match=message):
        make_network_function(network, backend)


@pytest.mark.usefixtures("cache")
def test_if_no_backend_of_an_engine_works_the_error_names_all(network: SRMD, monkeypatch: pytest.MonkeyPatch):
    def fail(network: SRMD, backend: Backend) -> None:
        raise InputError("a library is missing", "engine")

    monkeypatch.setattr(choice, "is_installed", lambda engine: True)
    monkeypatch.setattr(choice, "_has_vulkan", lambda: True)
    monkeypatch.setattr(choice.importlib.metadata, "version", lambda engine: "1")
    monkeypatch.setattr(choice, "make_network_function", fail)
    with pytest.raises(InputError, match="engine: none of ncnn fp32 cpu, ncnn fp32 vulkan works on this machine"):
        choose_backend(network, CPU, "ncnn", "fp32")


@pytest.mark.usefixtures("cache")
def test_an_error_in_pytorch_is_raised_as_it_is(network: SRMD, monkeypatch: pytest.MonkeyPatch):
    def fail(network: SRMD, backend: Backend) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(backend_module, "_torch_function", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        choose_backend(network, CPU, "torch", "fp32")


class InterruptedImport:
    """Sends SIGINT while openvino is imported, and hides the KeyboardInterrupt, as compiled modules do."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "openvino":
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt as error:
                raise ImportError("initialization failed") from error


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("engine", ["auto", "openvino"])
def test_ctrl_c_while_an_engine_is_imported_is_not_taken_for_a_failure(
    engine: str, network: SRMD, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(choice, "is_installed", lambda engine: engine == "openvino")
    monkeypatch.setattr(choice.importlib.metadata, "version", lambda engine: "1")
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.setattr(sys, "meta_path", [InterruptedImport(), *sys.meta_path])
    old_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            make_network_function(network, choose_backend(network, CPU, engine, "fp32"))
    finally:
        signal.signal(signal.SIGINT, old_handler)


# --- Winograd's algorithm in training


def test_a_network_with_batch_norm_is_not_trained_with_winograd(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "_index_of_fastest", lambda *_: 1)  # Winograd, if it were tried
    assert not winograd_is_faster(SRMD(NetworkConfig(features=8, batch_norm=True)), (2, 16, 16))


def test_winograd_is_faster_when_the_direct_convolution_is_slow(network: SRMD, monkeypatch: pytest.MonkeyPatch):
    seconds = [0.0]

    def slow_conv2d(x: Tensor, weight: Tensor, bias: Tensor, **_: object) -> Tensor:
        seconds[0] += 1
        return x * weight.sum() + bias.sum()

    monkeypatch.setattr(choice, "time", SimpleNamespace(perf_counter=lambda: seconds[0]))
    monkeypatch.setattr(choice.F, "conv2d", slow_conv2d)
    assert winograd_is_faster(network, (1, 8, 8))


def test_winograd_is_not_faster_when_it_is_slow(network: SRMD, monkeypatch: pytest.MonkeyPatch):
    seconds = [0.0]

    def slow_conv(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
        seconds[0] += 1
        return conv(x, weight, bias, relu)

    monkeypatch.setattr(choice, "time", SimpleNamespace(perf_counter=lambda: seconds[0]))
    monkeypatch.setattr(choice, "conv", slow_conv)
    assert not winograd_is_faster(network, (1, 8, 8))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_or_a_large_file_in_the_cache_is_not_read(cache: Path):
    file = cache / "srmd" / "engines.json"
    file.parent.mkdir()
    os.mkfifo(file)
    assert choice._read_cache() == {}
    file.unlink()
    file.write_text('{"a": "b"}')
    assert choice._read_cache() == {"a": "b"}
    file.write_text('{"a": "b"}' + " " * 2**20)
    assert choice._read_cache() == {}
