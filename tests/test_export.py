"""Whole commands of `--mode=export`: the files that they write, run in other engines."""

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from safetensors.torch import load_file

from exported import detailed_network, run_ncnn, run_onnx
from foreign_networks import ncnn_files
from srmd.backends.backend import Backend
from srmd.cli import main
from srmd.jpeg.tables import JpegTables
from srmd.kernel.families import delta, gaussian
from srmd.kernel.pca import kernel_codes, pca_matrix
from srmd.model import NetworkConfig
from srmd.restore.restorer import Restorer
from srmd.weights.files import DEGRADATION_MAP, Weights, read_weights, write_weights

SMALL = NetworkConfig(features=8, layers=4, batch_norm=True)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """Runs a test in a folder with a small network, net.safetensors, which has batch norm."""
    monkeypatch.chdir(tmp_path)
    weights = Weights(detailed_network(SMALL), torch.from_numpy(pca_matrix()), {"license": "CC0-1.0"})
    write_weights(Path("net.safetensors"), weights)
    return weights


def export(*flags: str) -> int:
    return main.main(["--mode=export", *flags])


def restored(
    weights: Weights, lr: np.ndarray, kernel: str | np.ndarray, noise_level: float, jpeg: int | None = None
) -> np.ndarray:
    """SR (s·h, s·w, 3), clipped to 0 to 1, of LR (h, w, 3), restored by this package."""
    return Restorer(weights, Backend("torch", "fp32", "cpu")).restore(lr, kernel, noise_level, jpeg=jpeg)


def write_jpeg_network(conditions: tuple[str, ...] = ("kernel", "noise", "jpeg")) -> Weights:
    """Writes jpeg.safetensors, a small network that is told of JPEG."""
    network = detailed_network(NetworkConfig(features=8, layers=3, conditions=conditions))
    weights = Weights(network, torch.from_numpy(pca_matrix()))
    write_weights(Path("jpeg.safetensors"), weights)
    return weights


def random_lr() -> np.ndarray:
    return np.random.default_rng(0).random((13, 10, 3), np.float32)


def as_batch(lr: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(lr.transpose(2, 0, 1)[None])


def as_picture(sr: np.ndarray) -> np.ndarray:
    return sr.transpose(1, 2, 0).clip(0, 1)


def test_onnx_with_its_metadata_is_enough_to_restore_a_picture(weights: Weights):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (requirements-engines.txt)")
    assert export("--weights=net.safetensors") == 0
    path, lr, kernel = Path("models/srmd_x2_fp32_op20.onnx"), random_lr(), gaussian(2.6, 1.0, 30)
    metadata = {each.key: each.value for each in onnx.load(path).metadata_props}
    pca, channels = np.array(json.loads(metadata["pca"])), json.loads(metadata["condition_channels"])
    degradation_map = np.zeros((1, SMALL.map_channels, 1, 1), np.float32)
    degradation_map[0, slice(*channels["kernel"]), 0, 0] = pca @ kernel.ravel(order="F")
    degradation_map[0, slice(*channels["noise"])] = 15 / 255
    sr = run_onnx(path, lr=as_batch(lr), degradation_map=degradation_map)
    np.testing.assert_allclose(as_picture(sr[0]), restored(weights, lr, kernel, 15), atol=1e-4, rtol=0)
    assert json.loads(metadata["config"])["conditions"] == ["kernel", "noise"]
    assert json.loads(metadata["ranges"])["noise_level"] == [0, 255]
    assert json.loads(metadata["degradation"]) is None
    assert metadata["license"] == "CC0-1.0"


def test_onnx_with_a_degradation_built_in_takes_a_picture_only(weights: Weights):
    pytest.importorskip("onnx", reason="onnx is not installed (requirements-engines.txt)")
    flags = ["--bake", "--kernel=gaussian:2.6,1,30", "--noise_level=15"]
    assert export("--weights=net.safetensors", *flags) == 0
    sr = run_onnx(Path("models/srmd_x2_gaussian2.6-1-30_noise15_fp32_op20.onnx"), lr=as_batch(random_lr()))
    expected = restored(weights, random_lr(), gaussian(2.6, 1.0, 30), 15)
    np.testing.assert_allclose(as_picture(sr[0]), expected, atol=1e-4, rtol=0)


def test_ncnn_with_a_degradation_built_in_takes_a_picture_only(weights: Weights):
    np.save("x4.npy", gaussian(1.7))  # programs must not take the name of the file for a scale
    assert export("--weights=net.safetensors", "--export_format=ncnn", "--bake", "--kernel=x4.npy") == 0
    binary, param = sorted(Path("models").iterdir())
    assert re.fullmatch(r"srmd_x2_kernel-[0-9a-f]{8}_noise0_fp32\.param", param.name)
    assert binary == param.with_suffix(".bin")
    sr = run_ncnn(param.read_text(), binary.read_bytes(), as_batch(random_lr())[0])
    np.testing.assert_allclose(as_picture(sr), restored(weights, random_lr(), "x4.npy", 0), atol=1e-4, rtol=0)


def test_ncnn_has_its_metadata_in_a_file_beside_it(weights: Weights):
    assert export("--weights=net.safetensors", "--export_format=ncnn", "--precision=fp16") == 0
    names = sorted(path.name for path in Path("models").iterdir())
    assert names == ["srmd_x2_fp16.bin", "srmd_x2_fp16.json", "srmd_x2_fp16.param"]
    metadata = json.loads(Path("models/srmd_x2_fp16.json").read_text())
    np.testing.assert_array_equal(np.array(json.loads(metadata["pca"]), np.float32), weights.pca.numpy())
    assert Path("models/srmd_x2_fp16.bin").read_bytes()[:4] == struct.pack("<I", 0x01306B47)


def test_safetensors_keep_the_network_and_hold_what_is_built_in(weights: Weights):
    flags = ["--export_format=safetensors", "--bake", "--noise_level=15"]
    assert export("--weights=net.safetensors", *flags, "--output=out.safetensors") == 0
    read, lr = read_weights(Path("out.safetensors")), random_lr()
    expected = restored(weights, lr, gaussian(1.3), 5)
    np.testing.assert_allclose(restored(read, lr, gaussian(1.3), 5), expected, atol=1e-5, rtol=0)
    assert read.metadata["license"] == "CC0-1.0"
    built_in = load_file("out.safetensors")[DEGRADATION_MAP].flatten()
    np.testing.assert_allclose(built_in[SMALL.condition_channels["noise"]], [15 / 255], atol=1e-7)
    code = kernel_codes(delta(), pca_matrix())
    np.testing.assert_allclose(built_in[SMALL.condition_channels["kernel"]], code, atol=1e-6)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(
    ("conditions", "name"), [(("kernel", "noise", "jpeg"), "srmdj_x2"), (("kernel", "jpeg"), "srmdnfj_x2")]
)
def test_a_network_that_is_told_of_jpeg_has_a_name_of_its_own(conditions: tuple[str, ...], name: str):
    write_jpeg_network(conditions)
    assert export("--weights=jpeg.safetensors", "--export_format=ncnn", "--bake") == 0
    noise = "_noise0" if "noise" in conditions else ""
    assert Path(f"models/{name}_delta{noise}_fp32.param").exists()


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(("quality", "flags", "name"), [(50, ["--jpeg=50"], "_jpeg50"), (None, ["--jpeg=off"], "")])
def test_jpeg_is_built_in(quality: int | None, flags: list[str], name: str):
    weights, lr = write_jpeg_network(), random_lr()
    flags = ["--bake", "--kernel=gaussian:1.3", "--noise_level=5", *flags]
    for export_format in ("ncnn", "safetensors"):
        assert export("--weights=jpeg.safetensors", f"--export_format={export_format}", *flags) == 0
    stem = f"models/srmdj_x2_gaussian1.3_noise5{name}_fp32"
    built_in = load_file(f"{stem}.safetensors")[DEGRADATION_MAP].flatten()
    expected = np.zeros(3) if quality is None else JpegTables.of_quality(quality, "4:2:0").condition
    np.testing.assert_allclose(built_in[weights.network.config.condition_channels["jpeg"]], expected, atol=1e-7)
    sr = run_ncnn(Path(f"{stem}.param").read_text(), Path(f"{stem}.bin").read_bytes(), as_batch(lr)[0])
    expected = restored(weights, lr, "gaussian:1.3", 5, quality)
    np.testing.assert_allclose(as_picture(sr), expected, atol=1e-4, rtol=0)


@pytest.mark.usefixtures("weights")
def test_what_is_built_in_is_in_the_metadata_of_onnx():
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (requirements-engines.txt)")
    write_jpeg_network()
    assert export("--weights=jpeg.safetensors", "--bake", "--noise_level=5", "--jpeg=50", "--output=net.onnx") == 0
    (value,) = (each.value for each in onnx.load("net.onnx").metadata_props if each.key == "degradation")
    assert json.loads(value) == {"kernel": "delta", "noise_level": 5, "jpeg": 50}


@pytest.mark.usefixtures("weights")
def test_kernel_files_of_one_name_have_results_of_different_names():
    for folder, width in (("a", 1.0), ("b", 2.0)):
        Path(folder).mkdir()
        np.save(f"{folder}/blur.npy", gaussian(width))
        flags = ["--export_format=ncnn", "--bake", f"--kernel={folder}/blur.npy"]
        assert export("--weights=net.safetensors", *flags) == 0
        assert export("--weights=net.safetensors", *flags) == 0  # the name of an equal kernel is equal
    assert len([*Path("models").glob("*.param")]) == 2


def test_output_names_the_file(weights: Weights):
    assert export("--weights=net.safetensors", "--export_format=ncnn", "--output=my models/2x.v1.param") == 0
    assert sorted(path.name for path in Path("my models").iterdir()) == ["2x.v1.bin", "2x.v1.json", "2x.v1.param"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--export_format=safetensors --output=net.safetensors", "--output: net.safetensors would overwrite"),
        (
            "--export_format=ncnn --weights=net.bin --pca=pca.mat --output=net.param",
            "--output: net.bin would overwrite",
        ),
        ("--scale_factor=3", "--scale_factor: expected 2, the scale of net.safetensors, found 3"),
        ("--pca=net.safetensors", "--pca: not needed: the weights contain their own P"),
        ("--output=net.safetensors/a", "--output: net.safetensors/a: expected a folder to write to"),
        ("--bake --noise_level=5 --weights=nf.safetensors", "--noise_level: nf.safetensors takes no noise"),
        ("--bake --jpeg=50", "--jpeg: expected off for net.safetensors, not trained for JPEGs, found 50"),
        ("--bake --jpeg=auto", "--jpeg: expected a value for all pictures, which is built in, found auto"),
        ("--jpeg=50", "--jpeg: expected --bake with it, which builds a degradation in, found none"),
        ("--precision=fp16 --weights=large.safetensors", "--precision: expected fp32 for weights up to 1e+06"),
        ("--export_format=ncnn --weights=up.safetensors", "--export_format: expected onnx for the head upsample"),
    ],
)
@pytest.mark.usefixtures("weights")
def test_what_cannot_be_exported_is_one_line_and_no_file(flags: str, message: str, capsys: pytest.CaptureFixture):
    pca = torch.from_numpy(pca_matrix())
    configs = {"nf": {"conditions": ("kernel",)}, "up": {"head": "upsample"}, "large": {}}
    networks = {
        name: detailed_network(NetworkConfig(features=8, layers=3, **options)) for name, options in configs.items()
    }
    with torch.no_grad():
        networks["large"].convs[1].weight[0, 0, 0, 0] = 1e6
    for name, network in networks.items():
        write_weights(Path(f"{name}.safetensors"), Weights(network, pca))
    ncnn_files(Path(), networks["nf"])  # net.param and net.bin
    scipy.io.savemat("pca.mat", {"P": np.eye(15, 225)})
    for default in ("--weights=net.safetensors", "--export_format=ncnn"):  # ncnn's files need no optional package
        if default.split("=")[0] not in flags:
            flags = f"{flags} {default}"
    assert export(*flags.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1
    assert not [path for path in Path("models").glob("*") if path.is_file()]


@pytest.mark.usefixtures("weights")
def test_a_missing_package_is_one_line_that_says_what_to_install(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("srmd.export.is_installed", lambda name: False)
    assert export("--weights=net.safetensors") == 2
    assert capsys.readouterr().err == "--export_format: onnx is not installed: pip install onnx\n"


@pytest.mark.usefixtures("weights")
def test_a_kernel_that_the_network_describes_badly_is_warned_of(capsys: pytest.CaptureFixture):
    kernel = np.zeros((15, 15))
    kernel[3, 2:12] = 0.1
    np.save("motion.npy", kernel)
    assert export("--weights=net.safetensors", "--export_format=ncnn", "--bake", "--kernel=motion.npy") == 0
    assert "warning: the network's kernel code describes the kernel motion.npy badly" in capsys.readouterr().out
