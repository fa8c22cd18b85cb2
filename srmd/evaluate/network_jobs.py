"""Divides LR pictures by the networks that restore them, and finds out which results are there already."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from srmd.base.errors import InputError
from srmd.config import AUTO, OFF, NamedDegradation, TestRequest
from srmd.evaluate.networks import Networks, read_networks
from srmd.evaluate.records import ResultRecords, differences, input_entry, settings_entry
from srmd.evaluate.results import RestoringJob
from srmd.pictures.files import upright_size
from srmd.pictures.formats import DEFAULT_QUALITY, QUALITY_FORMATS, format_of
from srmd.weights.shipped import jpeg_counterpart, noise_free_counterpart, weights_for_enlargement

# Of the main network, and of those for pictures without noise and for JPEGs
WeightsPaths = tuple[Path, Path | None, Path | None]


@dataclass
class NetworkJobs:
    """The pictures that one network restores, or those of one scale."""

    networks: Networks
    entry: dict  # `settings_entry`
    jobs: list[RestoringJob]
    skipped: list[RestoringJob]  # those whose results exist and were made with equal settings


def divide_by_network(request: TestRequest, jobs: list[RestoringJob]) -> list[NetworkJobs]:
    """The pictures by networks: those of one scale for all, unless `size` needs networks of different scales.

    Raises InputError if a network does not suit the request.
    """
    jobs_by_weights: dict[WeightsPaths, list[RestoringJob]] = defaultdict(list)
    for job in jobs:
        paths = request.weights, request.noise_free_weights, request.jpeg_weights
        jobs_by_weights[paths if request.weights else _weights_for_size(request, job.source)].append(job)
    divided = []
    for paths, network_jobs in jobs_by_weights.items():
        networks = read_networks(request, *paths)
        divided.append(NetworkJobs(networks, settings_entry(networks), network_jobs, []))
    return divided


def _weights_for_size(request: TestRequest, source: Path) -> WeightsPaths:
    """The shipped network of the smallest scale that makes a picture as large as `size`.

    If the noise level is estimated, also the one for pictures without noise, and if JPEGs are told, the one for them.
    """
    try:
        height, width = upright_size(source, request.max_pixels)
    except InputError:  # the picture is left out when it is read
        height, width = 1, 1
    factor = max(request.size[0] / width, request.size[1] / height)
    noise = request.noise_map or request.noise_level
    weights = weights_for_enlargement(factor, NamedDegradation([], noise).has_noise)
    if weights is None:
        raise InputError("expected a weights file, because no network is shipped, found none", "weights")
    noise_free = noise_free_counterpart(weights) if noise == AUTO else None
    return weights, noise_free, None if request.jpeg == OFF else jpeg_counterpart(weights)


def skip_existing(networks: list[NetworkJobs], records: ResultRecords) -> None:
    """Moves pictures whose results exist and were made with equal settings from `jobs` to `skipped`.

    Raises InputError if a result exists and was made with other settings, or nothing says how it was made.
    """
    refused: list[str] = []
    for network in networks:
        remaining = []
        for job in network.jobs:
            # A picture that is gone, such as a link to nothing, is left out when it is read.
            if not os.path.exists(job.source) or not _result_exists(network.networks.settings.request, job):
                remaining.append(job)
            elif problem := _difference(network, job, records):
                refused.append(f"{network.networks.settings.request.output / job.file} exists and {problem}")
            else:
                network.skipped.append(job)
        network.jobs = remaining
    if refused:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise InputError(f"{refused[0]}{more}; `overwrite` makes results anew", "output")


def _result_exists(request: TestRequest, job: RestoringJob) -> bool:
    """Whether a result exists that may not be replaced; a file that was named is replaced."""
    return request.has_metrics_file and not request.overwrite and (request.output / job.file).exists()


def _difference(network: NetworkJobs, job: RestoringJob, records: ResultRecords) -> str:
    """Why an existing result cannot be kept; empty if it was made from the same picture with equal settings."""
    row = records.rows.get(job.file)
    request, unknown = network.networks.settings.request, "no metrics.json says how it was made"
    if row is None:
        return unknown
    found = differences(row["settings"], network.entry)
    if row.get("quality") != quality_of(request, job):
        found.append("quality")
    if found:
        return f"was made with other settings: {', '.join(found)}"
    estimates = "windows" if request.estimate_map else "kernel"
    if request.kernel == AUTO and estimates not in row.get("estimated", {}):
        return unknown
    old, new = row.get("input", {}), input_entry(job.source)
    if (old.get("bytes"), old.get("modified_ns")) != (new["bytes"], new["modified_ns"]):
        return f"was made from {old.get('path')}, which is another picture than {job.source} or has changed since"
    return ""


def quality_of(request: TestRequest, job: RestoringJob) -> int | None:
    """The quality that a result is written with; None for formats that have no quality."""
    if format_of(Path(job.file)) not in QUALITY_FORMATS:
        return None
    return request.quality or DEFAULT_QUALITY
