"""Commands that read a picture from standard input, or write it to standard output."""

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picture_files import open_picture
from restoring_commands import COMMAND, degraded, pictures, run, run_auto
from small_restoring import write_network
from srmd.cli.main import main


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_network("tiny.safetensors")


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture) -> Callable:
    """Like `run`, but in the test's process, which has imported torch already."""

    def run(*flags: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([*COMMAND[2:], *flags])
        return subprocess.CompletedProcess(flags, code, *capfdbinary.readouterr())

    return run


def encoded(kind: str, size: tuple[int, int] = (20, 16), **options: object) -> bytes:
    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    return image


@pytest.mark.slow
def test_a_picture_goes_from_standard_input_to_standard_output_and_messages_to_standard_error():
    exif = Image.Exif()
    exif[274] = 6  # turned by 90°
    piped = run("-", "--output=-", stdin=encoded("JPEG", exif=exif))
    assert piped.returncode == 0
    assert decoded(piped.stdout).size == (32, 40)
    assert decoded(piped.stdout).format == "PNG"
    assert b"restored 1 of 1" in piped.stderr
    assert not list(Path().glob("*.png"))
    assert not Path("-").exists()

    Path("in.jpg").write_bytes(encoded("JPEG", exif=exif))
    assert run("in.jpg", "--output=out").returncode == 0
    assert np.array_equal(np.asarray(open_picture("out/in.png")), np.asarray(decoded(piped.stdout)))

    kept = run("--input", "-", "--output=-", "--format=keep", "--size=9x11", stdin=encoded("JPEG"))
    assert (decoded(kept.stdout).format, decoded(kept.stdout).size) == ("JPEG", (9, 11))
    assert run("-", "--output=folder", stdin=encoded("PNG")).returncode == 0
    assert open_picture("folder/stdin.png").size == (40, 32)


@pytest.mark.slow
def test_a_picture_from_standard_input_is_estimated():
    buffer = io.BytesIO()
    degraded(20).save(buffer, "PNG")
    piped = run_auto("-", "--output=-", "--save_kernel=k.mat", stdin=buffer.getvalue())
    assert piped.returncode == 0
    assert decoded(piped.stdout).size == (256, 256)
    assert re.search(rb"^standard input: .*, noise [\d.]+, no JPEG$", piped.stderr, re.MULTILINE)
    assert Path("k.mat").is_file()


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (b"", b"--input: expected a picture on standard input, found nothing\n"),
        (b"no picture", b"--input: standard input: not a picture of a known format\n"),
        (encoded("PNG")[:600], b"--input: standard input: a broken picture"),
    ],
)
def test_what_is_no_picture_on_standard_input_is_refused(run_here: Callable, stdin: bytes, message: bytes):
    done = run_here("-", "--output=-", stdin=stdin)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.splitlines(keepends=True)[-1].startswith(message)
    assert b"srmd-" not in done.stderr  # the temporary file


def test_too_much_on_standard_input_is_refused_and_not_kept(
    run_here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    done = run_here("-", "--output=-", "--max_pixels=375000", stdin=bytes(4_000_000))
    assert done.returncode == 2
    assert done.stderr == b"--input: expected at most 3 MB on standard input (--max_pixels), found more\n"
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_standard_output_is_named(run_here: Callable, monkeypatch: pytest.MonkeyPatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        done = run_here("-", "--output=-", stdin=encoded("PNG"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == b"standard output: No space left on device"


def test_several_pictures_do_not_fit_on_standard_output(run_here: Callable):
    pictures(2)
    done = run_here("--input", "in", "--output=-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"--output: expected one picture for standard output, found 2\n"


@pytest.mark.slow
def test_a_file_named_dash_is_a_file():
    Path("-").write_bytes(encoded("PNG"))
    assert run("--input", "./-", "--output=out", "--format=tiff").returncode == 0
    assert open_picture("out/-.tiff").size == (40, 32)
    assert run("--input", "-", "--output=-", stdin=encoded("PNG")).returncode == 0


@pytest.mark.slow
def test_a_reader_that_closes_the_pipe_ends_the_command():
    Path("in.png").write_bytes(encoded("PNG", size=(200, 200)))  # a result that is larger than the pipe's buffer
    process = subprocess.Popen([*COMMAND, "in.png", "--output=-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    with process.stderr:
        assert b"Traceback" not in process.stderr.read()
    assert process.wait(timeout=600) == 141


def test_a_terminal_neither_gives_nor_gets_a_picture():
    primary, secondary = os.openpty()
    try:
        to_terminal = subprocess.run([*COMMAND, "-", "--output=-"], stdin=secondary, capture_output=True, check=False)
        assert (to_terminal.returncode, to_terminal.stderr) == (
            2,
            b"--input: expected a picture on standard input, found a terminal\n",
        )
        Path("in.png").write_bytes(encoded("PNG"))
        command = [*COMMAND, "in.png", "--output=-"]
        done = subprocess.run(command, stdout=secondary, stderr=subprocess.PIPE, check=False)
        assert done.stderr == b"--output: expected a pipe or a file as standard output, found a terminal\n"
    finally:
        os.close(primary)
        os.close(secondary)
