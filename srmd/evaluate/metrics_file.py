"""metrics.json of a test."""

import json
from dataclasses import replace

from srmd import __version__
from srmd.base.files import atomic_write
from srmd.config import NamedDegradation, NamedMap, TestSettings
from srmd.pictures.metrics import without_infinities
from srmd.restore.restorer import Restorer
from srmd.show.tables import mean_row


def write_metrics(settings: TestSettings, restorer: Restorer, rows: list[dict]) -> None:
    """metrics.json: what was asked, and the scores of every picture; an infinite PSNR is null."""
    request, assumed, backend = settings.request, settings.assumed, restorer.backend
    mean = {key: value for key, value in mean_row(rows).items() if key != "name"}
    if "noise" not in restorer.config.conditions:
        assumed = replace(assumed, noise=0.0)
    applied = None if request.input else _stated(settings.applied) | {"downsampler": settings.downsampler}
    metrics = {
        "version": __version__,
        "command": request.command,
        "scale": restorer.config.scale,
        "weights": str(request.weights),
        "engine": backend.engine,
        "precision": backend.precision,
        "degradation": applied,
        "assumed": _stated(assumed),
        "images": [without_infinities(row) for row in rows],
        "mean": without_infinities(mean),
    }
    with atomic_write(request.output / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _stated(degradation: NamedDegradation) -> dict:
    """A degradation for metrics.json: of several kernels a list, with regions; of a noise map the path."""
    specs, noise = [kernel.spec for kernel in degradation.kernels], degradation.noise
    stated = {"kernel": specs[0], "noise_level": noise}
    if len(specs) > 1:
        stated["kernel"] = specs
        stated |= {"regions": str(degradation.regions.path), "region_blend": degradation.region_blend}
    if isinstance(noise, NamedMap):
        stated |= {"noise_level": None, "noise_map": str(noise.path)}
    return stated
