"""Invalid requests: each is one line that names the flag and the value."""

import numpy as np
import pytest

from srmd.cli import main
from srmd.cli.flags import FLAGS

TRAIN = "--mode=train"
TEST = "--mode=test"
pytestmark = pytest.mark.usefixtures("folder_with_files")

INVALID = [
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
    (f"{TRAIN} --output=run.png", "--output", "expected a folder, found the name of a picture, run.png"),
    ("--mode=test --output=a.png", "--output", "expected a folder, found the name of a picture, a.png"),
    ("red.png --kernel=delta --output=a.eps", "--output", "expected a suffix of a picture format"),
    ("red.png labels.png --kernel=delta --output=a.png", "--output", "expected a folder for 2 results"),
    ("red.png --kernel=delta --output=red.png", "--output", "would overwrite"),
    (f"{TEST} --max_pixels=0", "--max_pixels", "'0'"),
    ("red.png --kernel=delta --max_pixels=399", "--input", "expected at most 399 pixels (--max_pixels), found 400"),
    ("--kernel=delta --kernel=delta --regions=labels.png red.png --max_pixels=399", "--regions", "--max_pixels"),
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
    (f"{TRAIN} --visdom=off --train_kernels=empty", "--train_kernels", "found none that can be read"),
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
        "each of the 1 files that hold several kernels, found 2",
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


@pytest.mark.parametrize(("arguments", "flag", "found"), INVALID, ids=[f"{a} " for a, _, _ in INVALID])
def test_an_invalid_request_is_one_line_that_names_the_flag_and_the_value(
    arguments: str, flag: str, found: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    # Drawing the built-in set takes ten seconds, and some of these errors are only found after it.
    pictures = [(name, np.zeros((200, 200, 3), np.uint8)) for name in "ab"]
    monkeypatch.setattr("srmd.data_loader.builtin_training_pictures", lambda: pictures)
    assert main.main(arguments.split()) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"{flag}:")
    assert found in message
    assert message.count("\n") == 1


def test_the_invalid_requests_cover_every_flag():
    assert {flag.name for flag in FLAGS} <= {flag.strip("-") for _, flag, _ in INVALID}
