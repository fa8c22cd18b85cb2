"""What all tests share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Many small computations gain nothing by threads, and two programs whose threads wait for each other lose much. Said
# before what has threads is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image


@pytest.fixture(autouse=True, scope="session")
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory):
    """The tests choose backends by themselves, and leave nothing in the home of who runs them."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="session")
def _short_benchmarks():
    """Tests choose a backend in a sixteenth of the time; which one it is matters to none of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("srmd.backends.choice.BENCHMARK_SIDE", 64)
        yield


@pytest.fixture
def folder_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a test in a folder with a folder of small pictures."""
    monkeypatch.chdir(tmp_path)
    # A benchmark may end otherwise in the next run.
    monkeypatch.setattr("srmd.solver.winograd_is_faster", lambda *_: False)
    Path("pictures").mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        coarse = Image.fromarray(rng.integers(0, 256, (12, 14, 3), np.uint8))
        coarse.resize((84, 72), Image.Resampling.BICUBIC).save(f"pictures/{name}.png")


@pytest.fixture
def unreadable(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a file of ones that whoever runs the test may not read."""

    def make(name: str) -> Path:
        path = tmp_path / name
        with path.open("wb") as file:
            np.save(file, np.ones((5, 5)))
        path.chmod(0)
        if os.geteuid() == 0:  # who may all, but asks as someone else
            os.setresuid(65534, -1, -1)
        return path

    yield make
    if os.geteuid() == 0:
        os.setresuid(0, -1, -1)
