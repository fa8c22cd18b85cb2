"""Fixtures and settings of all tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from srmd.winograd.compiled import CompiledConvolution

# Small computations are not faster with several threads, and threads of parallel test runs slow each other down. Set
# before NumPy and torch are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from picture_files import save_smooth_picture


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Gives each test the same random numbers in every run: a new process seeds torch's generator at random."""
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory):
    """Keeps results of backend benchmarks out of the user's cache folder."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="session")
def _short_benchmarks():
    """Shortens the benchmark of backends to a sixteenth; no test depends on which backend is the fastest.

    Tests that compare results exactly need the same choice all the time, so that the machine never counts as busy.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("srmd.backends.choice.BENCHMARK_SIDE", 64)
        patch.setattr("srmd.backends.choice.is_busy", lambda: False)
        yield


def has_gcc() -> bool:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if sys.platform != "linux" or compiler is None:
        return False
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    return "Free Software Foundation" in version


@pytest.fixture(scope="session")
def compiled_functions() -> "CompiledConvolution":
    """The compiled functions of the Winograd convolution; skips a test where there is no GCC."""
    if not has_gcc():
        pytest.skip("no GCC on Linux")
    from srmd.winograd import compiled

    functions = compiled.load()
    assert functions is not None
    return functions


@pytest.fixture
def folder_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a test in a folder that contains a folder `pictures` with three small pictures."""
    monkeypatch.chdir(tmp_path)
    # The result of this benchmark may differ from run to run.
    monkeypatch.setattr("srmd.solver.winograd_is_faster", lambda *_: False)
    Path("pictures").mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        save_smooth_picture(f"pictures/{name}.png", rng, (84, 72))


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch):
    """Shortens training runs in the test's process.

    Networks have 16 features rather than 128, dormant features are searched on 16 patches rather than 128, and loss.png
    is left empty, because drawing it takes longer than ten steps.
    """
    from srmd.model import NetworkConfig

    monkeypatch.setattr("srmd.train.setup.NetworkConfig", partial(NetworkConfig, features=16))
    monkeypatch.setattr("srmd.solver.RESET_PATCHES", 16)
    monkeypatch.setattr("srmd.training_run.draw_loss", lambda rows, path: path.touch())


@pytest.fixture
def unreadable(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A function that makes an .npy file which the user who runs the test may not read."""

    def make(name: str) -> Path:
        path = tmp_path / name
        with path.open("wb") as file:
            np.save(file, np.ones((5, 5)))
        path.chmod(0)
        if os.geteuid() == 0:  # root may read everything, so the test runs as another user
            os.setresuid(65534, -1, -1)
        return path

    yield make
    if os.geteuid() == 0:
        os.setresuid(0, -1, -1)
