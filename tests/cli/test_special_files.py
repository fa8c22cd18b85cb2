"""Pipes, sockets and devices are called by what they are, by every flag that takes a path, and are never opened."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from srmd.base.errors import InputError
from srmd.cli import main
from srmd.kernel.files import read_kernels
from srmd.pictures.files import count_pixels, read_picture
from srmd.pictures.maps import read_labels, read_noise_map
from srmd.weights.files import read_weights

pytestmark = [
    pytest.mark.usefixtures("folder_with_files", "alarm"),
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes"),
]

REQUESTS = [  # the flag, other flags, and the suffix that the flag's files have
    ("--input", "--kernel=delta", ".png"),
    ("--test_data", "--mode=test", ".png"),
    ("--output", "--mode=test", ""),
    ("--output", "red.png --kernel=delta", ".png"),
    ("--output", "--mode=train", ""),
    ("--output", "--mode=prepare", ".h5"),
    ("--output", "--mode=export", ".onnx"),
    ("--kernel", "--mode=test", ".mat"),
    ("--kernel", "--mode=test", ".npy"),
    ("--kernel", "--mode=test", ".png"),
    ("--kernel", "--mode=test", ".txt"),
    ("--assumed_kernel", "--mode=test", ".mat"),
    ("--save_kernel", "--mode=test", ".png"),
    ("--noise_map", "--mode=test", ".npy"),
    ("--noise_map", "--mode=test", ".png"),
    ("--regions", "--mode=test --kernel=delta --kernel=delta", ".png"),
    ("--weights", "--mode=test", ".safetensors"),
    ("--weights", "--mode=train", ".pt"),
    ("--pca", "--mode=test", ".mat"),
    ("--train_data", "--mode=train", ".h5"),
    ("--train_data", "--mode=prepare", ""),
    ("--train_kernels", "--mode=train", ".mat"),
    ("--resume", "--mode=train", ""),
]


@pytest.fixture
def alarm() -> Iterator[None]:
    """Fails a test that blocks: opening a pipe that nobody writes to never returns."""

    def fail(_number: int, _frame: object) -> NoReturn:
        raise TimeoutError("the test blocks")

    old_handler = signal.signal(signal.SIGALRM, fail)
    signal.alarm(600)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old_handler)


def make(kind: str, path: Path) -> Path:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
@pytest.mark.parametrize(("flag", "others", "suffix"), REQUESTS)
def test_a_special_file_is_refused_by_its_kind(
    kind: str, flag: str, others: str, suffix: str, capsys: pytest.CaptureFixture
):
    path = make(kind, Path(f"special{suffix}"))
    arguments = [str(path)] if flag == "--input" else [f"{flag}={path}"]
    assert main.main([*others.split(), *arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"{flag}: ")
    assert f"found a {kind}" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("read", [read_picture, read_labels, read_noise_map, read_weights])
def test_the_library_does_not_open_a_pipe(read):
    with pytest.raises(InputError, match="found a pipe"):
        read(make("pipe", Path("pipe.png")))


def test_the_library_does_not_open_a_pipe_for_a_kernel_or_to_count_pixels():
    path = make("pipe", Path("pipe.npy"))
    with pytest.raises(InputError, match="found a pipe"):
        read_kernels(path)
    assert count_pixels(path) == 0


def test_a_run_whose_config_is_a_pipe_is_refused(capsys: pytest.CaptureFixture):
    Path("run").mkdir()
    make("pipe", Path("run/config.json"))
    assert main.main(["--mode=train", "--resume=run"]) == 2
    assert "config.json: expected a file, found a pipe" in capsys.readouterr().err


def test_a_pipe_inside_a_folder_is_left_out_by_what_it_is(capsys: pytest.CaptureFixture):
    make("pipe", Path("empty/a.png"))
    assert main.main(["empty", "--kernel=delta"]) == 2
    assert capsys.readouterr().err == "--input: empty/a.png: expected a picture, found a pipe\n"
