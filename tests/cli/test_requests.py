"""Requests that flags make."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from srmd.cli import main
from srmd.cli.requests import parse
from srmd.config import PrepareRequest, TrainConfig
from srmd.kernel.families import gaussian
from srmd.kernel.window import centre_offset

ROOT = Path(__file__).parents[2]
TRAIN = "--mode=train"
TEST = "--mode=test"
pytestmark = pytest.mark.usefixtures("folder_with_files")


def test_flags_that_are_not_given_have_their_defaults():
    config = parse(["--mode=train"])
    assert config == TrainConfig(output=config.output, command="python main.py --mode=train")
    assert (config.steps, config.batch_size, config.patch_size, config.lr) == (50_000, 16, 40, 1e-3)


@pytest.mark.parametrize(
    ("flag", "conditions"),
    [
        ("--noise_free", ("kernel",)),
        ("--conditions=kernel", ("kernel",)),
        ("--conditions=jpeg,kernel,noise", ("kernel", "noise", "jpeg")),
        ("--conditions=kernel,jpeg", ("kernel", "jpeg")),
    ],
)
def test_conditions_are_kept_in_the_order_of_the_channels(flag: str, conditions: tuple[str, ...]):
    assert parse([TRAIN, flag]).conditions == conditions


def test_kernel_index_chooses_a_kernel_of_a_file():
    kernels = np.stack([gaussian(1), gaussian(2)])
    np.save("several.npy", kernels)
    config = parse(f"{TEST} --weights=file --kernel=several.npy --kernel_index=1".split())
    assert config.kernel[0].spec == "several.npy[1]"
    assert np.allclose(config.kernel[0].array, kernels[1])


def test_several_indices_belong_to_the_kernel_files_in_their_order():
    np.save("several.npy", np.stack([gaussian(1), gaussian(2)]))
    Image.fromarray(np.arange(9, dtype=np.uint8).reshape(3, 3) % 3).save("labels.png")
    flags = "--kernel=several.npy --kernel=delta --kernel=several.npy --kernel_index=1 --kernel_index=0"
    config = parse(f"{TEST} --weights=file --regions=labels.png {flags}".split())
    assert [kernel.spec for kernel in config.kernel] == ["several.npy[1]", "delta", "several.npy[0]"]


def test_recentre_kernel_moves_only_kernels_that_are_off_centre():
    np.save("off.npy", np.pad(gaussian(1.3, size=11), [(0, 4), (3, 1)]))
    flags = f"{TEST} --weights=file --kernel=off.npy --assumed_kernel=gaussian:1.3"
    config = parse(f"{flags} --recentre_kernel".split())
    assert config.kernel[0].spec == "off.npy, recentred"
    assert np.abs(centre_offset(config.kernel[0].array)).max() < 1e-3
    assert config.assumed_kernel.spec == "gaussian:1.3"
    assert np.array_equal(config.assumed_kernel.array, gaussian(1.3))
    assert parse(flags.split()).kernel[0].spec == "off.npy"


def test_save_kernel_does_not_overwrite_an_input(capsys: pytest.CaptureFixture):
    scipy.io.savemat("k.mat", {"k": gaussian(1)})
    Image.new("RGB", (20, 20)).save("empty/a.png")
    flags = f"{TEST} --weights=weights.safetensors --input empty --kernel=k.mat"
    for path in ("k.mat", "empty/a.png"):
        assert main.main(f"{flags} --save_kernel={path}".split()) == 2
        assert capsys.readouterr().err == f"--save_kernel: {path} would overwrite an input\n"
    assert parse(f"{flags} --save_kernel=empty/new.png".split()).save_kernel == Path("empty/new.png")
    Path("delta").mkdir()
    Path("delta/k.png").touch()
    flags = f"{TEST} --weights=weights.safetensors --kernel=delta --save_kernel=delta/k.png"
    assert parse(flags.split()).kernel[0].spec == "delta"  # the name of a kernel, not of the folder


def test_the_input_paths_of_a_request_are_complete():
    flags = f"{TEST} --weights=weights.safetensors --kernel=delta --kernel=two_kernels.npy --kernel_index=1"
    config = parse(f"{flags} --regions=labels.png --noise_map=noise.npy --test_data=empty".split())
    names = {"two_kernels.npy", "labels.png", "noise.npy", "empty", "weights.safetensors"}
    assert {str(path) for path in config.input_paths} == names


def test_several_input_flags_add_up():
    config = parse(f"{TEST} --kernel=delta --input red.png empty --input labels.png".split())
    assert config.input == [Path("red.png"), Path("empty"), Path("labels.png")]


def test_two_tests_without_an_output_do_not_share_a_folder():
    assert len({parse(f"{TEST} --weights=file".split()).output for _ in range(20)}) == 20


def test_the_default_network_depends_on_scale_and_assumed_noise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "weights").mkdir()
    for name in ("srmd_x2", "srmdnf_x2", "srmd_x3"):
        (tmp_path / "weights" / f"{name}.safetensors").touch()
    monkeypatch.setattr("srmd.base.paths.CHECKOUT", tmp_path)
    for arguments, name in [
        ("", "srmdnf_x2"),
        ("--noise_level=3", "srmd_x2"),
        ("--noise_map=noise.npy", "srmd_x2"),
        ("--noise_level=3 --assumed_noise_level=0", "srmdnf_x2"),
        ("--scale_factor=3", "srmd_x3"),
    ]:
        assert parse([TEST, *arguments.split()]).weights.stem == name


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("--jpeg=50", "srmdj_x2"),
        ("--jpeg=50 --assumed_jpeg=off", "srmdj_x2"),
        ("--assumed_jpeg=50", "srmdj_x2"),
        ("--assumed_jpeg=off", "srmdnf_x2"),
    ],
)
def test_the_network_for_jpegs_is_used_where_compression_is_applied_or_assumed(flags: str, name: str):
    request = parse([TEST, *flags.split()])
    assert (request.weights.stem, request.jpeg_weights) == (name, None)


def test_what_is_not_given_is_estimated_for_lr_pictures_only():
    request = parse(["red.png"])
    assert (request.kernel, request.noise_level) == ("auto", "auto")
    assert (request.weights.stem, request.noise_free_weights.stem) == ("srmd_x2", "srmdnf_x2")
    request = parse(["red.png", "--kernel=delta", "--outscale=2.5"])
    assert request.kernel[0].spec == "delta"
    assert (request.weights.stem, request.noise_free_weights.stem) == ("srmd_x3", "srmdnf_x3")
    request = parse(["red.png", "--noise_level=0"])
    assert (request.kernel, request.weights.stem, request.noise_free_weights) == ("auto", "srmdnf_x2", None)
    request = parse(["red.png", "--noise_map=noise.npy"])
    assert (request.noise_map.path.name, request.weights.stem) == ("noise.npy", "srmd_x2")
    request = parse(["red.png", "--size=30x30"])
    assert (request.weights, request.noise_free_weights) == (None, None)
    request = parse([TEST])
    assert (request.kernel[0].spec, request.noise_level, request.noise_free_weights) == ("delta", 0, None)


def test_the_network_is_told_an_estimate_of_hr_pictures_where_it_is_asked_for():
    request = parse([TEST, "--kernel=gaussian:1", "--assumed_kernel=auto"])
    assert (request.kernel[0].spec, request.assumed_kernel) == ("gaussian:1", "auto")
    assert (request.weights.stem, request.noise_free_weights) == ("srmdnf_x2", None)
    request = parse([TEST, "--assumed_noise_level=auto", "--scale_factor=3"])
    assert (request.weights.stem, request.noise_free_weights.stem) == ("srmd_x3", "srmdnf_x3")


def test_the_request_stores_the_command_line():
    assert parse([TRAIN, "--steps=5"]).command == ("python main.py --mode=train --steps=5")


def test_prepare_without_data_packs_the_built_in_set():
    assert parse(["--mode=prepare"]) == PrepareRequest(output=Path("data/builtin.h5"))


@pytest.mark.parametrize(
    "arguments",
    ["red.png labels.png --kernel=delta", "--kernel=delta red.png labels.png", "red.png --kernel=delta labels.png"],
)
def test_pictures_without_a_mode_are_restored(arguments: str):
    short = parse([*f"--weights=file {arguments}".split()])
    full = parse(f"{TEST} --weights=file --input red.png labels.png --kernel=delta".split())
    assert short.input == full.input == [Path("red.png"), Path("labels.png")]
    assert short.kernel[0].spec == full.kernel[0].spec


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--kernel=delta -- -dash.png --help", ["-dash.png", "--help"]),
        ("red.png --kernel=delta -- --help", ["red.png", "--help"]),
    ],
)
def test_all_arguments_after_two_dashes_are_pictures(arguments: str, expected: list[str]):
    for name in ("-dash.png", "--help"):
        Path(name).touch()
    request = parse(["--weights=file", *arguments.split()])
    assert request.input == [Path(name) for name in expected]
    assert request.command.endswith(arguments.partition(" -- ")[2])
