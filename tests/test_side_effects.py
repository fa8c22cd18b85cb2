"""Importing and using the package changes no setting of the process and imports no module that is not needed."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import srmd
from srmd.pictures.files import read_picture

ROOT = Path(__file__).parents[1]

SETTINGS = """
import logging, signal, sys, warnings
import torch
from PIL import Image, ImageCms
def settings():
    flags = torch.backends.cudnn
    return (Image.MAX_IMAGE_PIXELS, flags.allow_tf32, flags.benchmark, torch.get_num_threads(),
            torch.backends.cuda.matmul.allow_tf32, torch.is_grad_enabled(), torch.get_default_dtype(),
            logging.getLogger().handlers[:], logging.getLogger("srmd").handlers[:], warnings.filters[:],
            signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), torch.get_rng_state().sum().item())
import h5py, matplotlib, scipy.io, skimage, torchvision, tqdm  # whose own settings are not ours
before = settings()
import importlib, pathlib
import srmd
for path in sorted(pathlib.Path(srmd.__file__).parent.rglob("*.py")):
    name = ".".join(["srmd", *path.relative_to(pathlib.Path(srmd.__file__).parent).with_suffix("").parts])
    if not name.endswith(("__main__", "__init__")):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            assert error.name == "gradio", error  # of the page in the browser, which has an environment of its own
changed = [pair for pair in zip(before, settings()) if pair[0] != pair[1]]
assert not changed, changed
"""


@pytest.mark.slow
def test_importing_changes_no_setting_of_the_process():
    subprocess.run([sys.executable, "-W", "ignore", "-c", SETTINGS], cwd=ROOT, check=True)


def test_restoring_does_not_import_slow_libraries_that_it_does_not_need():
    program = "import numpy, srmd, sys\nphoto = srmd.load('srmd_x2', device='cpu', engine='torch', precision='fp32')\n"
    program += "photo.restore(numpy.zeros((8, 8)), 'gaussian:1', 5)\n"
    program += "print({'sympy', 'torchvision', 'matplotlib', 'visdom', 'filelock'} & sys.modules.keys())"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout == "set()\n"


def test_reading_a_picture_does_not_change_pillows_pixel_limit(tmp_path: Path):
    before = Image.MAX_IMAGE_PIXELS
    Image.new("RGB", (20, 24)).save(tmp_path / "a.png")
    read_picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    with pytest.raises(srmd.InputError):
        read_picture(tmp_path / "b.png")
    assert before == Image.MAX_IMAGE_PIXELS
