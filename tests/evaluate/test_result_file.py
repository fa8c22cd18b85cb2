"""`--output` as the file of one result, and results that cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picture_files import open_picture
from srmd.cli import main

FLAGS = ["--kernel=delta", "--noise_level=0", "--engine=torch", "--precision=fp32", "--visdom=off"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _folder_with_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)).save("in/a.png")


@pytest.mark.parametrize(("name", "image_format"), [("result.png", "PNG"), ("out/b.JPG", "JPEG"), ("c.tif", "TIFF")])
def test_an_output_with_the_suffix_of_a_picture_is_the_file_of_the_result(
    name: str, image_format: str, capsys: pytest.CaptureFixture
):
    assert main.main(["in/a.png", f"--output={name}", *FLAGS]) == 0
    result = open_picture(name)
    assert (result.size, result.format) == ((80, 60), image_format)
    written = {path for path in Path().rglob("*") if path.is_file()}
    assert written == {Path("in/a.png"), Path(name)}  # no metrics.json beside it
    assert capsys.readouterr().out.endswith(f"The result is {name}\n")
    assert main.main(["in", f"--output={name}", *FLAGS]) == 0  # a folder of one picture; the old result is replaced


def test_a_folder_with_the_suffix_of_a_picture_stays_a_folder():
    Path("results.png").mkdir()
    assert main.main(["in/a.png", "--output=results.png", *FLAGS]) == 0
    assert open_picture("results.png/a.png").size == (80, 60)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
@pytest.mark.parametrize(
    ("output", "file"), [("out", "out/a.png"), pytest.param("b.png", "b.png", marks=pytest.mark.slow)]
)
def test_a_file_that_can_not_be_written_is_named(output: str, file: str):
    code = (
        "import resource, sys; import srmd.evaluate.run; from srmd.cli.main import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); sys.exit(main(sys.argv[1:]))"
    )
    # Without bytecode: the limit would cut the files that Python writes when it imports a module, too.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code, "in/a.png", f"--output={output}", *FLAGS]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (1, f"{file}: File too large\n")
    assert not Path(file).exists()
    assert not list(Path().rglob(".*.png"))  # nor a temporary file


def test_with_a_raised_limit_a_result_can_be_restored_again(capsys: pytest.CaptureFixture):
    assert main.main(["in/a.png", "--output=x4.png", "--scale_factor=4", "--max_pixels=1200", *FLAGS]) == 0
    pixels = 16 * 30 * 40
    assert main.main(["x4.png", "--output=again.png", f"--max_pixels={pixels - 1}", *FLAGS]) == 2
    error = capsys.readouterr().err
    assert error == "--input: x4.png: expected at most 19,199 pixels (--max_pixels), found 19,200\n"
    assert main.main(["x4.png", "--output=again.png", f"--max_pixels={pixels}", *FLAGS]) == 0
    assert open_picture("again.png").size == (320, 240)


def test_of_an_animation_the_first_frame_is_restored_with_one_warning(capsys: pytest.CaptureFixture):
    frames = [Image.new("RGB", (20, 16), colour) for colour in ("red", "blue")]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    assert main.main(["a.gif", "--output=out", *FLAGS]) == 0
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert warnings == ["warning: a.gif: it holds several pictures (frames or pages), of which the first is used"]
    red, green, blue = np.asarray(open_picture("out/a.png").convert("RGB"))[16, 20]
    assert red > 200 > 60 > max(green, blue)


def test_the_limit_of_pillow_is_unchanged_outside_of_our_calls():
    before = Image.MAX_IMAGE_PIXELS
    assert main.main(["in/a.png", "--output=out", "--max_pixels=1200", *FLAGS]) == 0
    assert before == Image.MAX_IMAGE_PIXELS
