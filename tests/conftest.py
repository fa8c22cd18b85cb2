"""What all tests share."""

import os

import pytest

# Many small computations gain nothing by threads, and two programs whose threads wait for each other lose much.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="session")
def _no_kept_verdicts(tmp_path_factory: pytest.TempPathFactory):
    """The tests try engines for themselves, and leave nothing in the home of who runs them."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
