"""Writes metrics.json of a test."""

import json
from dataclasses import replace

from srmd import __version__
from srmd.base.files import atomic_write
from srmd.config import NamedDegradation, NamedMap, TestSettings
from srmd.pictures.metrics import non_finite_to_none
from srmd.restore.restorer import Restorer
from srmd.show.tables import mean_row


def write_metrics(settings: TestSettings, restorer: Restorer, rows: list[dict]) -> None:
    """Writes metrics.json: the command, the network, the degradations and the scores; an infinite PSNR is null."""
    request, assumed, backend = settings.request, settings.assumed, restorer.backend
    mean = {key: value for key, value in mean_row(rows).items() if key != "name"}
    if "noise" not in restorer.config.conditions:
        assumed = replace(assumed, noise=0.0)
    applied = None
    if not request.input:
        applied = _degradation_entry(settings.applied) | {"downsampler": settings.downsampler}
    metrics = {
        "version": __version__,
        "command": request.command,
        "scale": restorer.config.scale,
        "weights": str(request.weights),
        "engine": backend.engine,
        "precision": backend.precision,
        "degradation": applied,
        "assumed": _degradation_entry(assumed),
        "images": [non_finite_to_none(row) for row in rows],
        "mean": non_finite_to_none(mean),
    }
    with atomic_write(request.output / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _degradation_entry(degradation: NamedDegradation) -> dict:
    """A degradation as metrics.json states it; several kernels are a list and have regions, a noise map has a path."""
    specs, noise = [kernel.spec for kernel in degradation.kernels], degradation.noise
    entry = {"kernel": specs[0], "noise_level": noise}
    if len(specs) > 1:
        entry["kernel"] = specs
        entry |= {"regions": str(degradation.regions.path), "region_blend": degradation.region_blend}
    if isinstance(noise, NamedMap):
        entry |= {"noise_level": None, "noise_map": str(noise.path)}
    return entry
