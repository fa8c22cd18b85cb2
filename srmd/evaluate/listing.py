"""The messages that say which LR pictures a test restores and which not."""

import logging
from pathlib import Path

from srmd.base.errors import InputError
from srmd.base.files import check_folder
from srmd.config import STANDARD_STREAM, TestRequest
from srmd.evaluate.inputs import check_maps_fit
from srmd.evaluate.network_jobs import NetworkJobs
from srmd.evaluate.resize import final_size
from srmd.evaluate.restoring_report import RestoringReport
from srmd.evaluate.results import RestoringJob, RestoringPlan
from srmd.pictures.files import read_picture
from srmd.pictures.formats import check_size, format_of

logger = logging.getLogger("srmd")


def log_plan(plan: RestoringPlan) -> None:
    """Logs what of the folders is not restored."""
    for folder in plan.excluded:
        logger.info("not restored: the pictures in %s, which are results", folder)
    for folder, reason in plan.left_out.items():
        logger.warning("left out: %s: %s", folder, reason)
    if plan.others:
        logger.info("ignored, because of their suffix: %s", plan.describe_others())


def log_dry_run(networks: list[NetworkJobs], report: RestoringReport) -> None:
    """Logs a line for each picture, with its size and that of its result, and how many there are.

    Pictures are read completely, because a header does not say whether the file is whole. Those that would be left out
    are added to `report`, and so are the others.
    """
    for network in networks:
        request, scale = network.networks.settings.request, network.networks.scale
        for job in network.skipped:
            logger.info("skipped: %s, restored before to %s", job.label, target_of(request, job))
        for job in network.jobs:
            try:
                height, width = read_picture(job.source, request.max_pixels).pixels.shape[:2]
                new_height, new_width = final_size((height, width), scale, request.outscale, request.size)
                check_size(format_of(Path(job.file)), new_width, new_height)
                check_maps_fit(request, (scale * height, scale * width), scale)
                if request.output != STANDARD_STREAM:
                    check_folder((request.output / job.file).parent)
            except (InputError, OSError) as error:
                logger.info("left out: %s: %s", job.label, InputError(report.note(job, error)))
            else:
                report.restored.append({"file": job.file})
                sizes = (width, height, new_width, new_height)
                logger.info("%s -> %s (%d×%d -> %d×%d)", job.label, target_of(request, job), *sizes)
    counts = report.counts["restored"], report.counts["skipped"], report.counts["left_out"]
    logger.info("nothing was written; this would restore %d, skip %d and leave out %d", *counts)


def target_of(request: TestRequest, job: RestoringJob) -> str:
    """Where the result of a picture goes, in words."""
    return "standard output" if request.output == STANDARD_STREAM else str(request.output / job.file)
