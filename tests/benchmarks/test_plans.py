"""The networks that the trainings of benchmarks/ make."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import card
from benchmarks.gpu.settings import Settings
from benchmarks.plans import JPEG, PLANS, Plan
from benchmarks.ship import Setting, settings_for
from benchmarks.train_weights import flags
from srmd.cli.requests import parse
from srmd.kernel.families import gaussian
from srmd.kernel.files import read_kernels
from srmd.weights.shipped import network_name


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_a_training_is_of_the_planned_network(plan: Plan):
    assert network_name(plan.conditions, plan.scale) == plan.name
    config = parse(flags(plan, 7, None))
    assert (config.scale_factor, config.conditions, config.steps) == (plan.scale, plan.conditions, 7)
    assert config.weights.stem == plan.source()
    on_a_gpu = Settings((plan.name,), 1, None, 4, 8, 1e-3).config(plan.name, "")
    assert (on_a_gpu.scale_factor, on_a_gpu.conditions) == (plan.scale, plan.conditions)
    window = 21 if plan.scale >= 3 else 15
    assert config.kernel_size == on_a_gpu.kernel_size == window


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_networks_that_are_told_of_jpeg_start_from_those_that_are_not(scale: int):
    (plan,) = [plan for plan in PLANS if plan.conditions == JPEG and plan.scale == scale]
    assert plan.sources == (plan.name, f"srmd_x{scale}")


def test_networks_that_are_told_of_jpeg_are_also_scored_with_jpeg(tmp_path: Path):
    plain, jpeg = (settings_for(conditions) for conditions in (("kernel", "noise"), JPEG))
    assert jpeg[: len(plain)] == plain
    assert [str(setting) for setting in jpeg[len(plain) :]] == [
        *("delta, noise 0, JPEG 30", "delta, noise 0, JPEG 75"),
        *("gaussian:1.3, noise 0, JPEG 30", "gaussian:1.3, noise 0, JPEG 75"),
    ]
    assert Setting("delta", 0, 30).flags(tmp_path)[1:] == ["--noise_level=0", "--jpeg=30"]


def test_scores_are_those_of_15x15_kernels_whatever_the_window_is(tmp_path: Path):
    (kernel, *_) = Setting("gaussian:2.6,1.0,30", 15).flags(tmp_path)
    np.testing.assert_array_equal(read_kernels(Path(kernel.removeprefix("--kernel="))), [gaussian(2.6, 1.0, 30)])


def test_scores_with_jpeg_are_the_last_rows_of_the_table():
    scores = {"psnr_y": 30.0, "bicubic_psnr_y": 29.0}
    cells = ["Set5, delta, noise 0, JPEG 30", "Set5, gaussian:1.3, noise 15", "Set5, delta, noise 0"]
    networks = {
        "srmdj_x2": {"scale": 2, "scores": dict.fromkeys(cells, scores)},
        "srmd_x2": {"scale": 2, "scores": dict.fromkeys(cells[1:], scores)},
    }
    rows = [line.split(" | ")[:2] for line in card.summary(networks).splitlines()[2:]]
    assert [kind for _, kind in rows] == ["bicubic", "SRMD", "SRMDJ", "bicubic", "SRMD", "SRMDJ", "bicubic", "SRMDJ"]
    assert [cell for cell, _ in rows[::3]] == [
        *("| delta, noise 0", "| gaussian:1.3, noise 15", "| delta, noise 0, JPEG 30"),
    ]
