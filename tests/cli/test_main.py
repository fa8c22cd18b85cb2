"""Flags: what they become, and what is said when they are wrong."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from srmd import __version__
from srmd.cli import demo, main
from srmd.cli.flags import FLAGS
from srmd.cli.requests import parse
from srmd.config import PrepareRequest, TrainConfig
from srmd.kernel.families import gaussian
from srmd.kernel.window import centre_offset

ROOT = Path(__file__).parents[2]
TRAIN, TEST = "--mode=train", "--mode=test"


@pytest.fixture(autouse=True)
def _folder_with_some_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    np.save("two_kernels.npy", np.ones((2, 15, 15)))
    np.save("one.npy", np.ones((4, 4)))
    Path("far.txt").write_text("1 0 0 0 0 0 -0.9\n")  # its centre of mass lies far outside
    Path("text.txt").write_text("text")
    Path("folder.png").mkdir()
    Path("file").write_text("text")
    Path("text.mat").write_text("text")
    Image.fromarray(np.eye(20, dtype=np.uint8)).save("labels.png")
    Image.effect_mandelbrot((20, 20), (-2, -1, 1, 1), 20).save("fractal.png")
    Image.new("RGB", (20, 20), "red").save("red.png")
    np.save("noise.npy", 20 * np.eye(20))
    np.save("loud.npy", 400 * np.eye(20))
    Path("empty").mkdir()
    Path("folder.h5").mkdir()
    Path("weights.safetensors").write_text("no weights")


WRONG = [
    ("--debug", "--mode", "neither"),
    ("--kernel=delta", "--mode", "neither"),
    ("missing.png", "--input", "missing.png"),
    ("red.png", "--kernel", "required"),
    ("red.png --steps=5", "--steps", "not used by --mode=test"),
    ("--mode=fly", "--mode", "fly"),
    ("--mode", "--mode", "one argument"),
    (f"{TRAIN} --nonsense=1", "--nonsense", "unknown"),
    (f"{TRAIN} --step=5", "--step", "unknown"),  # no abbreviations
    (f"{TRAIN} --noise_level=5", "--noise_level", "not used by --mode=train"),
    (f"{TEST} --steps=5", "--steps", "not used by --mode=test"),
    ("--mode=prepare --seed=5", "--seed", "not used by --mode=prepare"),
    (f"{TRAIN} stray", "stray", "expected a flag"),
    (f"{TRAIN} --scale_factor=0", "--scale_factor", "'0'"),
    (f"{TRAIN} --scale_factor=9", "--scale_factor", "from 1 to 8, found '9'"),
    (f"{TRAIN} --scale_factor=2.5", "--scale_factor", "'2.5'"),
    (f"{TEST} --scale_factor=two", "--scale_factor", "'two'"),
    (f"{TEST} --scale_factor=7", "--weights", "--mode=train --scale_factor=7"),
    (f"{TRAIN} --output=file", "--output", "file"),
    (f"{TEST} --weights=weights.safetensors --output=file", "--output", "file"),
    (f"{TRAIN} --output=", "--output", "nothing"),
    (f"{TRAIN} --output=file/run", "--output", "file/run"),
    (f"{TRAIN} --device=cuda:256", "--device", "cuda:256"),
    (f"{TEST} --test_data={'x' * 300}", "--test_data", "found neither"),
    (f"{TEST} --kernel={'x' * 300}.npy", "--kernel", "no such file"),
    (f"{TEST} --output={'x' * 300}", "--output", "xxx"),
    (f"--mode=prepare --output={'x' * 300}.h5", "--output", "xxx"),
    (f"{TRAIN} --resume={'x' * 300}", "--resume", "xxx"),
    ("--mode=prepare --output=folder.h5", "--output", "folder.h5"),
    ("--mode=prepare --output=file/pack.h5", "--output", "file"),
    ("--mode=prepare --output=pack.zip", "--output", "pack.zip"),
    ("--mode=prepare --train_data=file", "--train_data", "file"),
    ("--mode=prepare --train_data=empty", "--train_data", "no file"),
    (f"{TRAIN} --train_data=missing", "--train_data", "missing"),
    (f"{TRAIN} --visdom=off --train_data=file", "--train_data", "file"),
    (f"{TRAIN} --visdom=off --train_data=empty", "--train_data", "empty"),
    (f"{TRAIN} --weights=missing", "--weights", "missing"),
    (f"{TRAIN} --weights=file", "--weights", "file"),
    (f"{TEST} --weights=weights.safetensors", "--weights", "weights.safetensors"),
    (f"{TEST} --pca=missing.mat", "--pca", "missing.mat"),
    (f"{TRAIN} --train_kernels=missing", "--train_kernels", "missing"),
    (f"{TRAIN} --visdom=off --train_kernels=empty", "--train_kernels", "no whole one"),
    (f"{TRAIN} --visdom=off --train_kernels=text.mat", "--train_kernels", "text.mat"),
    (f"{TRAIN} --gaussian_share=1.5 --train_kernels=empty", "--gaussian_share", "'1.5'"),
    (f"{TRAIN} --gaussian_share=0.5", "--gaussian_share", "expected --train_kernels"),
    (f"{TRAIN} --kernel_size=14", "--kernel_size", "'14'"),
    (f"{TRAIN} --kernel_size=1001", "--kernel_size", "'1001'"),
    (f"{TRAIN} --pca_dim=0", "--pca_dim", "'0'"),
    (f"{TRAIN} --visdom=off --pca_dim=226", "--pca_dim", "226"),
    (f"{TRAIN} --head=conv", "--head", "'conv'"),
    (f"{TRAIN} --noise_free=1", "--noise_free", "'1'"),
    (f"{TRAIN} --batch_norm=no", "--batch_norm", "'no'"),
    (f"{TRAIN} --steps=0", "--steps", "'0'"),
    (f"{TRAIN} --steps=1e4", "--steps", "'1e4'"),
    (f"{TRAIN} --batch_size=-1", "--batch_size", "'-1'"),
    (f"{TRAIN} --patch_size=3", "--patch_size", "'3'"),
    (f"{TRAIN} --lr=0", "--lr", "'0'"),
    (f"{TRAIN} --lr=nan", "--lr", "'nan'"),
    (f"{TRAIN} --loss=l3", "--loss", "'l3'"),
    (f"{TRAIN} --cache=disk", "--cache", "'disk'"),
    (f"{TRAIN} --save_every=0", "--save_every", "'0'"),
    (f"{TRAIN} --resume=missing", "--resume", "missing"),
    (f"{TEST} --test_data=missing", "--test_data", "missing"),
    (f"{TEST} --input", "--input", "at least one"),
    (f"{TEST} --input missing", "--input", "missing"),
    (f"{TEST} --input file", "--kernel", "required"),
    (f"{TEST} --input file --kernel=delta --test_data=file", "--test_data", "--input"),
    (f"{TEST} --input file --kernel=delta --save_lr", "--save_lr", "--input"),
    (f"{TEST} --input file --kernel=delta --assumed_kernel=delta", "--assumed_kernel", "--input"),
    (f"{TEST} --kernel=missing.mat", "--kernel", "missing.mat"),
    (f"{TEST} --kernel=gauss:1", "--kernel", "gauss:1"),
    (f"{TEST} --kernel=gaussian:0", "--kernel", "gaussian:0"),
    (f"{TEST} --kernel=gaussian:1,2,30", "--kernel", "gaussian:1,2,30"),
    (f"{TEST} --kernel=two_kernels.npy", "--kernel", "found two_kernels.npy, which holds 2: "),
    (f"{TEST} --kernel=delta --assumed_kernel=two_kernels.npy", "--assumed_kernel", "which holds 2"),
    (
        f"{TEST} --kernel=two_kernels.npy --kernel_index=2",
        "--kernel_index",
        "expected 0 to 1, because two_kernels.npy holds 2 kernels, found 2",
    ),
    (f"{TEST} --kernel=two_kernels.npy --kernel_index=-1", "--kernel_index", "'-1'"),
    (
        f"{TEST} --kernel=delta --kernel_index=0",
        "--kernel_index",
        "kernel file that holds several, found none",
    ),
    (
        f"{TEST} --kernel=two_kernels.npy --kernel_index=0 --kernel_index=1",
        "--kernel_index",
        "each of the 1 files that hold several kernels, found it 2 times",
    ),
    (f"{TEST} --kernel=far.txt --recentre_kernel", "--recentre_kernel", "far.txt"),
    (f"{TEST} --recentre_kernel=yes", "--recentre_kernel", "'yes'"),
    (f"{TEST} --save_kernel=k.jpg", "--save_kernel", "k.jpg"),
    (f"{TEST} --save_kernel=", "--save_kernel", "nothing"),
    (f"{TEST} --save_kernel=folder.png", "--save_kernel", "folder.png"),
    (f"{TEST} --kernel=one.npy --save_kernel=file/k.mat", "--save_kernel", "file"),
    (f"{TEST} --kernel=text.txt", "--kernel", "'text'"),
    (f"{TEST} --kernel=text.mat", "--kernel", "text.mat"),
    (f"{TEST} --kernel=delta --kernel=gaussian:2", "--kernel", "--regions"),
    (f"{TEST} --kernel=delta --regions=labels.png", "--regions", "one kernel"),
    (f"{TEST} --kernel=delta --kernel=gaussian:2 --regions=missing.png", "--regions", "missing.png"),
    (f"{TEST} --kernel=delta --kernel=gaussian:2 --regions=file", "--regions", "file"),
    (f"{TEST} --kernel=delta --kernel=gaussian:2 --regions=empty", "--regions", "empty"),
    (f"{TEST} --kernel=delta --kernel=gaussian:2 --regions=red.png", "--regions", "colours"),
    (f"{TEST} --kernel=delta --kernel=gaussian:2 --regions=fractal.png", "--regions", "has no kernel: 2"),
    (f"{TEST} --kernel=delta --region_blend=2", "--region_blend", "--regions"),
    (f"{TEST} --kernel=delta --region_blend=-1", "--region_blend", "'-1'"),
    (f"{TEST} --noise_map=noise.npy --noise_level=5", "--noise_map", "--noise_level"),
    (f"{TEST} --noise_map=missing.npy", "--noise_map", "missing.npy"),
    (f"{TEST} --noise_map=red.png", "--noise_map", "colours"),
    (f"{TEST} --noise_map=loud.npy", "--noise_map", "0 to 400"),
    (f"{TEST} --noise_map=two_kernels.npy", "--noise_map", "(2, 15, 15)"),
    (f"{TEST} --assumed_kernel=gaussian:x", "--assumed_kernel", "gaussian:x"),
    (f"{TEST} --noise_level=256", "--noise_level", "'256'"),
    (f"{TEST} --noise_level=-1", "--noise_level", "'-1'"),
    (f"{TEST} --assumed_noise_level=much", "--assumed_noise_level", "'much'"),
    (f"{TRAIN} --downsampler=nearest", "--downsampler", "'nearest'"),
    (f"{TEST} --self_ensemble=8", "--self_ensemble", "'8'"),
    (f"{TEST} --tile=8", "--tile", "'8'"),
    (f"{TEST} --save_lr=yes", "--save_lr", "'yes'"),
    (f"{TRAIN} --device=gpu", "--device", "'gpu'"),
    (f"{TRAIN} --device=cuda:99", "--device", "cuda:99"),
    (f"{TEST} --engine=tensorrt", "--engine", "'tensorrt'"),
    (f"{TRAIN} --precision=fp8", "--precision", "'fp8'"),
    (f"{TRAIN} --precision=fp16 --device=cpu", "--precision", "fp16"),
    (f"{TEST} --precision=fp16 --device=cpu", "--precision", "fp16"),
    (f"{TRAIN} --threads=0", "--threads", "'0'"),
    (f"{TRAIN} --device=mps", "--device", "mps"),
    (f"{TRAIN} --seed=-1", "--seed", "'-1'"),
    (f"{TRAIN} --visdom=localhost", "--visdom", "'localhost'"),
    (f"{TRAIN} --debug=1", "--debug", "'1'"),
]


@pytest.mark.parametrize(("arguments", "flag", "found"), WRONG, ids=[f"{a} " for a, _, _ in WRONG])
def test_a_wrong_request_is_one_line_that_names_the_flag_and_what_was_found(
    arguments: str, flag: str, found: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    # The built-in set takes ten seconds to draw, and is there before some of these errors are.
    pictures = [(name, np.zeros((200, 200, 3), np.uint8)) for name in "ab"]
    monkeypatch.setattr("srmd.data_loader.builtin_training_pictures", lambda: pictures)
    assert main.main(arguments.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{flag}:")
    assert found in said
    assert said.count("\n") == 1


def test_every_flag_has_a_bad_value_among_the_wrong_requests():
    assert {flag.name for flag in FLAGS} <= {flag.strip("-") for _, flag, _ in WRONG}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("--mode=test --kernel=missing.mat", 2, "--kernel: missing.mat: expected a file, found no such file\n"),
        ("--mode=train --steps=few", 2, "--steps: expected a whole number of at least 1, found 'few'\n"),
        ("--mode=dance", 2, "--mode: expected train, test or prepare, found 'dance'\n"),
    ],
)
def test_the_real_command_ends_with_the_code_and_one_line(arguments: str, code: int, said: str):
    command = [sys.executable, str(ROOT / "main.py"), *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


def test_flags_are_checked_before_torch_is_imported():
    program = "import sys; from srmd.cli import main; code = main.main(sys.argv[1:])\n"
    program += "sys.exit(code + 100 * ('torch' in sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    Image.new("RGB", (20, 20)).save("empty/a.png")
    for arguments, code in ((["--mode=test", "--kernel=gaussian:0"], 2), (["--mode=prepare", "--train_data=empty"], 0)):
        command = [sys.executable, "-c", program, *arguments]
        assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == code


def test_what_is_not_given_has_its_default():
    config = parse(["--mode=train"])
    assert config == TrainConfig(output=config.output, command="python main.py --mode=train")
    assert (config.steps, config.batch_size, config.patch_size, config.lr) == (50_000, 16, 40, 1e-3)


def test_of_a_file_of_several_kernels_the_one_of_the_index_is_taken():
    kernels = np.stack([gaussian(1), gaussian(2)])
    np.save("several.npy", kernels)
    config = parse(f"{TEST} --weights=file --kernel=several.npy --kernel_index=1".split())
    assert config.kernel[0].spec == "several.npy[1]"
    assert np.allclose(config.kernel[0].array, kernels[1])


def test_indices_go_to_the_regions_files_of_several_kernels_in_their_order():
    np.save("several.npy", np.stack([gaussian(1), gaussian(2)]))
    Image.fromarray(np.arange(9, dtype=np.uint8).reshape(3, 3) % 3).save("labels.png")
    flags = "--kernel=several.npy --kernel=delta --kernel=several.npy --kernel_index=1 --kernel_index=0"
    config = parse(f"{TEST} --weights=file --regions=labels.png {flags}".split())
    assert [kernel.spec for kernel in config.kernel] == ["several.npy[1]", "delta", "several.npy[0]"]


def test_kernels_are_recentred_where_asked_and_only_where_they_are_not():
    np.save("off.npy", np.pad(gaussian(1.3, size=11), [(0, 4), (3, 1)]))
    flags = f"{TEST} --weights=file --kernel=off.npy --assumed_kernel=gaussian:1.3"
    config = parse(f"{flags} --recentre_kernel".split())
    assert config.kernel[0].spec == "off.npy, re-centred"
    assert np.abs(centre_offset(config.kernel[0].array)).max() < 1e-3
    assert config.assumed_kernel.spec == "gaussian:1.3"
    assert np.array_equal(config.assumed_kernel.array, gaussian(1.3))
    assert parse(flags.split()).kernel[0].spec == "off.npy"


def test_a_kernel_is_not_drawn_over_what_was_given(capsys: pytest.CaptureFixture):
    scipy.io.savemat("k.mat", {"k": gaussian(1)})
    Image.new("RGB", (20, 20)).save("empty/a.png")
    flags = f"{TEST} --weights=weights.safetensors --input empty --kernel=k.mat"
    for path in ("k.mat", "empty/a.png"):
        assert main.main(f"{flags} --save_kernel={path}".split()) == 2
        assert capsys.readouterr().err == f"--save_kernel: {path} would overwrite an input\n"
    assert parse(f"{flags} --save_kernel=empty/new.png".split()).save_kernel == Path("empty/new.png")
    Path("delta").mkdir()
    Path("delta/k.png").touch()
    named = f"{TEST} --weights=weights.safetensors --kernel=delta --save_kernel=delta/k.png"
    assert parse(named.split()).kernel[0].spec == "delta"  # a kernel's name, not that folder


def test_all_paths_that_were_given_are_known_as_such():
    mapped = f"{TEST} --weights=weights.safetensors --kernel=delta --kernel=two_kernels.npy --kernel_index=1"
    config = parse(f"{mapped} --regions=labels.png --noise_map=noise.npy --test_data=empty".split())
    names = {"two_kernels.npy", "labels.png", "noise.npy", "empty", "weights.safetensors"}
    assert {str(path) for path in config.input_paths} == names


def test_inputs_add_up():
    config = parse(f"{TEST} --kernel=delta --input red.png empty --input labels.png".split())
    assert config.input == [Path("red.png"), Path("empty"), Path("labels.png")]


def test_two_tests_without_an_output_do_not_share_a_folder():
    assert len({parse(f"{TEST} --weights=file".split()).output for _ in range(20)}) == 20


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_changes_no_exit_code(closed: str):
    command = f"{sys.executable} {ROOT / 'main.py'}"
    for arguments, code in (("--help", 0), ("--mode=dance", 2)):
        assert subprocess.run(f"{command} {arguments} {closed}", shell=True, check=False).returncode == code


def test_the_shipped_network_fits_scale_and_assumed_noise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "weights").mkdir()
    for name in ("srmd_x2", "srmdnf_x2", "srmd_x3"):
        (tmp_path / "weights" / f"{name}.safetensors").touch()
    monkeypatch.setattr("srmd.base.paths.ROOT", tmp_path)
    for arguments, name in [
        ("", "srmdnf_x2"),
        ("--noise_level=3", "srmd_x2"),
        ("--noise_map=noise.npy", "srmd_x2"),
        ("--noise_level=3 --assumed_noise_level=0", "srmdnf_x2"),
        ("--scale_factor=3", "srmd_x3"),
    ]:
        assert parse([TEST, *arguments.split()]).weights.stem == name


def test_the_command_is_kept_as_it_was_typed():
    assert parse([TRAIN, "--steps=5"]).command == ("python main.py --mode=train --steps=5")


def test_what_the_demo_asks_for_is_understood(monkeypatch: pytest.MonkeyPatch):
    assert parse(demo.TRAIN_FLAGS).steps == 600
    monkeypatch.chdir(ROOT)
    assert parse(demo.TEST_FLAGS).kernel[0].array.shape == (15, 15)


def test_prepare_without_data_packs_the_built_in_set():
    assert parse(["--mode=prepare"]) == PrepareRequest(output=Path("data/builtin.h5"))


@pytest.mark.parametrize("mode", ["train", "test", "prepare"])
def test_help_lists_what_a_mode_takes_with_defaults(mode: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended:
        main.main([f"--mode={mode}", "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    for flag in FLAGS:
        assert (f"--{flag.name} " in said or f"--{flag.name}\n" in said) == (mode in flag.modes)
    assert said.count("(default:") == sum(mode in flag.modes for flag in FLAGS)


def test_failed_work_is_one_line_and_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    def fail(_config: object) -> None:
        raise OSError("disk\nfull")

    monkeypatch.setattr(main, "run", fail)
    assert main.main(["--mode=prepare"]) == 1
    assert capsys.readouterr().err == "disk full\n"
    assert main.main(["--mode=prepare", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_without_anything_the_help_is_shown(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert ended.value.code == 0
    assert "--mode=train" in capsys.readouterr().out


def test_the_version_is_said(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"srmd {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    ["red.png labels.png --kernel=delta", "--kernel=delta red.png labels.png", "red.png --kernel=delta labels.png"],
)
def test_pictures_without_a_mode_are_restored(arguments: str):
    named = parse([*f"--weights=file {arguments}".split()])
    asked = parse(f"{TEST} --weights=file --input red.png labels.png --kernel=delta".split())
    assert named.input == asked.input == [Path("red.png"), Path("labels.png")]
    assert named.kernel[0].spec == asked.kernel[0].spec


def test_threads_are_what_torch_computes_with(monkeypatch: pytest.MonkeyPatch):
    import torch

    found = []
    monkeypatch.setattr(torch, "set_num_threads", found.append)
    monkeypatch.setattr(main, "_test", lambda request: found.append(request.threads))
    assert main.main([TEST, "--weights=file", "--threads=3"]) == 0
    assert found == [3, 3]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--kernel=delta -- -dash.png --help", ["-dash.png", "--help"]),
        ("red.png --kernel=delta -- --help", ["red.png", "--help"]),
    ],
)
def test_behind_two_dashes_everything_is_a_picture(arguments: str, expected: list[str]):
    for name in ("-dash.png", "--help"):
        Path(name).touch()
    request = parse(["--weights=file", *arguments.split()])
    assert request.input == [Path(name) for name in expected]
    assert request.command.endswith(arguments.partition(" -- ")[2])
