"""Writes metrics.json of a test."""

import json
from dataclasses import replace
from pathlib import Path

from srmd import __version__
from srmd.backends.backend import Backend
from srmd.base.files import atomic_write
from srmd.config import AUTO, NamedDegradation, NamedMap
from srmd.evaluate.networks import Networks
from srmd.pictures.metrics import non_finite_to_none
from srmd.show.tables import mean_row

METRICS_FILE = "metrics.json"


def write_metrics(
    networks: Networks, backend: Backend | None, rows: list[dict], mean_rows: list[dict], further: dict
) -> None:
    """Writes metrics.json: the command, the networks, the degradations and a row for each picture.

    Args:
        backend: what ran a network; None if no picture was restored.
        mean_rows: the scores of the pictures that `mean` is computed from; an infinite PSNR is written as null.
        further: more entries of the file.
    """
    settings, request, applied = networks.settings, networks.settings.request, None
    if not request.input:
        applied = degradation_entry(settings.applied) | {"downsampler": settings.downsampler}
    mean = {key: value for key, value in mean_row(mean_rows).items() if key != "name"} if mean_rows else {}
    metrics = {
        "version": __version__,
        "command": request.command,
        "scale": networks.scale,
        **weights_entry(networks),
        "engine": backend and backend.engine,
        "precision": backend and backend.precision,
        "degradation": applied,
        "assumed": degradation_entry(settings.assumed, networks.main.weights.network.config.conditions),
        **further,
        "images": [non_finite_to_none(row) for row in rows],
        "mean": non_finite_to_none(mean),
    }
    with atomic_write(request.output / METRICS_FILE) as temporary:
        temporary.write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def weights_entry(networks: Networks) -> dict[str, str]:
    """The files of the networks as metrics.json states them."""
    entry = {"weights": str(networks.settings.request.weights)}
    if networks.noise_free is not networks.main:
        entry["noise_free_weights"] = str(networks.noise_free.settings.request.weights)
    if networks.jpeg:
        entry["jpeg_weights"] = str(networks.jpeg.settings.request.weights)
    return entry


def left_out_entries(left_out: dict[Path, str] | dict[str, str]) -> list[dict]:
    """The pictures that were left out, each with the reason, as metrics.json states them."""
    return [{"input": str(path), "reason": reason} for path, reason in left_out.items()]


def degradation_entry(degradation: NamedDegradation, conditions: tuple[str, ...] = ("kernel", "noise")) -> dict:
    """A degradation as metrics.json states it; several kernels are a list and have regions, a noise map has a path.

    What is estimated, or read from each file, is `auto`; the row of each picture says what was found.
    `conditions` are those of the network that is told the degradation: without `noise` the noise level counts as 0.
    """
    if "noise" not in conditions:
        degradation = replace(degradation, noise=0.0)
    noise = degradation.noise
    specs = [AUTO] if degradation.kernels == AUTO else [kernel.spec for kernel in degradation.kernels]
    entry = {"kernel": specs[0], "noise_level": noise}
    if len(specs) > 1:
        entry["kernel"] = specs
        entry |= {"regions": str(degradation.regions.path), "region_blend": degradation.region_blend}
    if isinstance(noise, NamedMap):
        entry |= {"noise_level": None, "noise_map": str(noise.path)}
    if degradation.jpeg is not None:
        entry["jpeg"] = degradation.jpeg
    return entry
