"""The wheel: its files, and its use in an environment where it is installed, without the checkout."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

import srmd
from picture_files import open_picture
from srmd.winograd import compiled

ROOT = Path(__file__).parents[1]
PHOTO = ["photo.png", "--kernel=gaussian:1.3"]
ONE_BACKEND = ["--device=cpu", "--engine=torch", "--precision=fp32", "--visdom=off"]
SOURCES = ["srmd", "kernels", "weights", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"]
pytestmark = pytest.mark.slow


def run(*command: str | Path, folder: Path) -> str:
    """Runs a command without the checkout in PYTHONPATH; returns its output. The command must succeed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def has_setuptools() -> bool:
    """Whether this environment has a setuptools that pyproject.toml accepts."""
    required = Requirement(tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"][0])
    try:
        return importlib.metadata.version("setuptools") in required.specifier
    except importlib.metadata.PackageNotFoundError:
        return False


def build_wheel(source: Path, folder: Path) -> Path:
    """Builds the wheel of a folder or an sdist; without the package index if this environment has setuptools."""
    isolation = ["--no-build-isolation"] if has_setuptools() else []
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", *isolation, "--wheel-dir", folder, source, folder=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the wheel's sources: a build leaves folders behind, whose files the next build would include."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    for name in (
        "main.py",
        "solver.py",
        "hubconf.py",
    ):  # which setuptools must not include
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the commands of an environment that has the wheel and the libraries of this environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt")
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", commands / "python"]
    run(*pip, "install", "--no-deps", "--no-index", wheel, folder=folder)
    libraries = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site_packages,) = folder.rglob("site-packages")
    # A virtual environment sees the packages of the base Python at most, not those of the one that created it.
    (site_packages / "libraries.pth").write_text("\n".join(libraries))
    return commands


@pytest.fixture
def with_photo(tmp_path: Path) -> Path:
    """A folder with a photo."""
    Image.effect_mandelbrot((60, 44), (-2, -1.5, 1, 1.5), 50).convert("RGB").save(tmp_path / "photo.png")
    return tmp_path


def result(folder: Path) -> Image.Image:
    (path,) = (path for path in folder.rglob("photo.png") if path.parent.name != "compare")
    return open_picture(path)


def test_only_the_package_is_installed_in_site_packages(wheel: Path):
    tops = {re.sub(r"-.*\.dist-info$", "-*.dist-info", name.partition("/")[0]) for name in contents(wheel)}
    assert tops == {"srmd", "srmd-*.dist-info"}


def test_the_wheel_has_all_files_of_the_package_the_networks_and_the_kernels(wheel: Path):
    package_files = (path for path in (ROOT / "srmd").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    expected = {path.relative_to(ROOT).as_posix() for path in package_files}
    expected |= {f"srmd/data/{name}/{path.name}" for name in ("kernels", "weights") for path in (ROOT / name).iterdir()}
    names = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert names == expected
    assert {"srmd/data/weights/srmd_x2.safetensors", "srmd/data/kernels/pca.mat"} <= names


@pytest.mark.skipif(not has_setuptools(), reason="this environment has no setuptools that can build an sdist")
def test_an_sdist_builds_the_same_wheel(source: Path, wheel: Path, tmp_path: Path):
    shutil.copytree(ROOT / "tests", source / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    program = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    run(sys.executable, "-c", program, tmp_path, folder=source)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as opened:
        assert [name for name in opened.getnames() if "/tests" in name] == []
    assert contents(build_wheel(sdist, tmp_path)) == contents(wheel)


def test_a_picture_is_restored_from_any_folder(installed: Path, with_photo: Path):
    run(installed / "srmd", *PHOTO, folder=with_photo)
    assert result(with_photo / "results").size == (120, 88)


def test_the_wheel_gives_the_same_result_as_the_checkout(
    installed: Path, with_photo: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CC", "no-compiler")  # so that no benchmark chooses between convolutions that round differently
    commands = {"installed": [installed / "srmd"], "checkout": [sys.executable, ROOT / "main.py"]}
    for name, command in commands.items():
        run(*command, *PHOTO, *ONE_BACKEND, f"--output={name}", folder=with_photo)
    one, other = (np.asarray(result(with_photo / name)) for name in commands)
    assert np.array_equal(one, other)


def test_the_command_and_the_module_run(installed: Path, tmp_path: Path):
    assert run(installed / "srmd", "--version", folder=tmp_path) == f"srmd {srmd.__version__}\n"
    assert "--mode=train" in run(installed / "python", "-m", "srmd", "--help", folder=tmp_path)


def test_the_networks_of_the_wheel_are_loaded_in_python(installed: Path, tmp_path: Path):
    program = """
import numpy, srmd
restorer = srmd.load("srmd_x2", device="cpu", precision="fp32")
result = restorer.restore(numpy.full((9, 11, 3), 128, numpy.uint8), kernel="gaussian:1.3", noise_level=5)
print(result.shape, result.dtype, srmd.__file__)
"""
    shape, _, path = run(installed / "python", "-c", program, folder=tmp_path).rpartition(" ")
    assert shape == "(18, 22, 3) uint8"
    assert Path(path.strip()).is_relative_to(installed.parent)


def test_the_c_source_of_the_wheel_is_compiled(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if compiled.load() is None:
        pytest.skip("nothing is compiled on this machine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = "from srmd.winograd import compiled as c; print(c.load() is not None, c.C_SOURCE)"
    loaded, path = run(installed / "python", "-c", program, folder=tmp_path).split(maxsplit=1)
    assert loaded == "True"
    assert Path(path.strip()).is_relative_to(installed.parent)
