"""Results that were made with estimates: when a second run skips them, and when it refuses to replace them."""

from pathlib import Path

import pytest

from estimated_restoring import CLEAN, NOISY, auto, rows, use_small_package, write_estimators
from small_restoring import Estimator, contents, marked, metrics


@pytest.fixture(autouse=True)
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    use_small_package(tmp_path, monkeypatch)


def test_existing_results_are_skipped_without_an_estimate(capsys: pytest.CaptureFixture):
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in") == 0
    before = contents()
    Estimator.calls.clear()
    marked("in/b.png", 1.4, 0)
    assert auto("--input", "in", "--dry_run") == 0
    assert "this would restore 1, skip 1 and leave out 0\n" in capsys.readouterr().out
    assert not Estimator.calls
    assert auto("--input", "in") == 0
    assert metrics()["summary"] == {"restored": 1, "skipped": 1, "left_out": 0}
    assert len(Estimator.calls) == 1
    assert {name: contents()[name] for name in before} == before
    assert rows()["a"]["estimated"]["noise_level"] == 6  # of the earlier run


@pytest.mark.parametrize(
    ("flags", "difference"),
    [
        (["--kernel=gaussian:1.4"], "assumed"),
        (["--noise_level=6"], "weights, noise_level"),
        ([f"--weights={NOISY}"], "weights"),
    ],
)
def test_auto_and_given_values_are_other_settings(flags: list[str], difference: str, capsys: pytest.CaptureFixture):
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in") == 0
    assert auto("--input", "in", *flags) == 2
    assert f"out/a.png exists and was made with other settings: {difference};" in capsys.readouterr().err


@pytest.mark.parametrize("changed", ["seed", "jpeg_seed"])
def test_the_weights_of_both_estimators_are_part_of_the_settings(changed: str, capsys: pytest.CaptureFixture):
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in") == 0
    write_estimators(**{changed: 1})
    assert auto("--input", "in") == 2
    assert "out/a.png exists and was made with other settings: estimator;" in capsys.readouterr().err
    assert auto("--input", "in", "--overwrite") == 0
    assert auto("--input", "in") == 0


def test_a_noise_level_that_is_known_to_be_0_and_one_that_srmdnf_ignores_are_other_settings(
    capsys: pytest.CaptureFixture,
):
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in", f"--weights={CLEAN}") == 0
    assert auto("--input", "in", f"--weights={CLEAN}", "--noise_level=0") == 2
    assert "other settings: noise_level;" in capsys.readouterr().err
