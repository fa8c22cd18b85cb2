"""Helpers of tests: a package with small networks, whose commands estimate the kernel and the noise level."""

from pathlib import Path

import pytest
import torch

from small_restoring import BASE, Estimator, metrics, write_network
from srmd.cli import main
from srmd.estimator import Estimator as EstimatorNetwork
from srmd.estimator import EstimatorConfig
from srmd.weights.estimators import EstimatorWeights, write_estimator

NOISY = "shipped/weights/srmd_x2.safetensors"
CLEAN = "shipped/weights/srmdnf_x2.safetensors"


def use_small_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes to a folder with a package whose networks are small; `Estimator` stands in for the estimates."""
    monkeypatch.chdir(folder)
    for scale in (2, 3):
        Path("shipped/weights").mkdir(parents=True, exist_ok=True)
        write_network(f"shipped/weights/srmd_x{scale}.safetensors", scale, conditions=("kernel", "noise"))
        write_network(f"shipped/weights/srmdnf_x{scale}.safetensors", scale, seed=1)
    write_estimators()
    monkeypatch.setattr("srmd.base.paths.CHECKOUT", folder / "shipped")
    monkeypatch.setattr("srmd.evaluate.assumption.BlindEstimator", Estimator)
    monkeypatch.setattr(Estimator, "calls", [])


def write_estimators(seed: int = 0, jpeg_seed: int = 0) -> None:
    """Writes estimators, and those for JPEGs in the same files, with random weights of these seeds."""
    for scale in (2, 3):
        network, jpeg_network = (_estimator(scale, each) for each in (seed, jpeg_seed))
        weights = EstimatorWeights(network, jpeg_network=jpeg_network)
        write_estimator(Path(f"shipped/weights/estimate_x{scale}.safetensors"), weights)


def _estimator(scale: int, seed: int) -> EstimatorNetwork:
    torch.manual_seed(seed)
    return EstimatorNetwork(EstimatorConfig(scale, hidden=4))


def auto(*flags: str) -> int:
    return main.main(["--mode=test", *BASE, *flags])


def rows() -> dict[str, dict]:
    return {row["name"]: row for row in metrics()["images"]}
