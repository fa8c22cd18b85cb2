"""Restores LR pictures: skips those that were restored before; writes the results, metrics.json and a summary."""

import html
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from srmd.backends.backend import Backend
from srmd.base.background import BackgroundWriter, prefetch
from srmd.base.distributed import Processes
from srmd.base.errors import InputError, Stopped, prefix_errors
from srmd.base.files import check_folder, make_folder, removed_if_empty
from srmd.config import STANDARD_STREAM, TestRequest
from srmd.evaluate.announcement import degradation_pictures
from srmd.evaluate.grid import SheetEvaluation, check_grid
from srmd.evaluate.inputs import check_maps_fit
from srmd.evaluate.listing import log_dry_run, log_plan
from srmd.evaluate.metrics_file import left_out_entries, write_metrics
from srmd.evaluate.network_jobs import NetworkJobs, divide_by_network, quality_of, skip_existing
from srmd.evaluate.networks import choose_backends
from srmd.evaluate.picture import PictureEvaluation, Restored
from srmd.evaluate.records import ResultRecords, input_entry
from srmd.evaluate.resize import final_size
from srmd.evaluate.restoring_report import RestoringReport
from srmd.evaluate.results import RestoringJob, RestoringPlan, check_case, plan_results
from srmd.evaluate.saved_kernels import SavedKernels
from srmd.evaluate.streams import picture_file
from srmd.pictures.files import count_pixels, encode_picture, read_picture, write_picture
from srmd.pictures.formats import DEFAULT_QUALITY, check_size, format_of, lost_properties
from srmd.pictures.picture import Picture
from srmd.show.dashboard import Dashboard, open_dashboard

logger = logging.getLogger("srmd")

# Syncing a file to disk takes longer than restoring a small picture, but several files are synced as fast as one.
WRITERS = 4
MAX_WRITER_BYTES = 2**26  # results of all writers in memory; a large picture is written alone


def restore_pictures(
    request: TestRequest,
    progress: Callable[[int, int], object] | None = None,
    standard_input: BinaryIO | None = None,
    standard_output: BinaryIO | None = None,
    processes: Processes | None = None,
) -> list[dict]:
    """Restores the LR pictures of a request; arguments, result and errors as in `evaluate`."""
    processes = processes or Processes()
    from_stream = STANDARD_STREAM in request.input
    with picture_file(standard_input, request.max_pixels) if from_stream else nullcontext() as streamed:
        with processes.common_errors():  # so that all look at the folder before one writes to it
            plan, records, networks, kernels = _checked_plan(request, streamed)
        log_plan(plan)
        if request.dry_run:
            report = RestoringReport(request, plan, sum(len(network.skipped) for network in networks))
            log_dry_run(networks, report)
            report.raise_if_left_out()
            return []
        with records:
            return Restoring(request, plan, networks, kernels, records, progress, standard_output, processes).run()


def _checked_plan(
    request: TestRequest, streamed: Path | None
) -> tuple[RestoringPlan, ResultRecords, list[NetworkJobs], SavedKernels]:
    """What is to be done. Raises InputError for all that can be known to fail, so that a dry run tells it too.

    `streamed` is the file with the picture from standard input.
    """
    if request.output != STANDARD_STREAM:
        with prefix_errors("output"):
            check_folder(request.output)
    records = ResultRecords(request.output)
    plan = plan_results(request, records, streamed)
    networks = divide_by_network(request, plan.jobs)
    for network in networks:
        check_grid(network.networks)
    skip_existing(networks, records)
    return plan, records, networks, SavedKernels(request, plan.jobs)


class Restoring:
    """A run over LR pictures."""

    def __init__(
        self,
        request: TestRequest,
        plan: RestoringPlan,
        networks: list[NetworkJobs],
        kernels: SavedKernels,
        records: ResultRecords,
        progress: Callable[[int, int], object] | None,
        standard_output: BinaryIO | None,
        processes: Processes,
    ):
        self.processes = processes
        self.request, self.plan, self.networks, self.records = request, plan, networks, records
        self.report = RestoringReport(request, plan, sum(len(network.skipped) for network in networks))
        self._progress, self._standard_output = progress, standard_output
        self._kernels = kernels
        self._backend: Backend | None = None  # the last one that was used
        self._folders: set[Path] = set()  # those that were made
        self._jobs_left = any(network.jobs for network in networks)
        for network in networks:
            network.jobs = processes.share(network.jobs)
        jobs = [job for network in networks for job in network.jobs]
        counts = (count_pixels(job.source, request.max_pixels, twice_with_alpha=True) for job in jobs)
        pixels = list(counts) if progress else [0] * len(jobs)
        self._cumulative_pixels = dict(zip(jobs, accumulate(pixels), strict=True))
        self._done_pixels, self._all_pixels = 0, sum(pixels)

    def run(self) -> list[dict]:
        """Restores all pictures and returns a row for each."""
        with removed_if_empty(self.request.output) if self.processes.is_first else nullcontext():
            return self._run()

    def _run(self) -> list[dict]:
        with self.processes.common_errors():
            if self.processes.is_first:
                self._prepare()
        if self._jobs_left:
            choose_backends([network.networks for network in self.networks], self.processes)
        try:
            with self._open_dashboard() as dashboard:
                with self.processes.common_errors(), BackgroundWriter(WRITERS, MAX_WRITER_BYTES) as writer:
                    for network in self.networks:
                        self._restore_all(network, dashboard, writer)
                self._advance(self._all_pixels - self._done_pixels)  # the last pictures may have been left out
                self._merge()
                dashboard.text("scores", f"<pre>{html.escape(self.report.summary())}</pre>")
        except BaseException as error:
            with suppress(OSError):
                self._write_metrics()
            if isinstance(error, (KeyboardInterrupt, Stopped)):
                self.report.log_summary("stopped: ")
            raise
        with self.processes.common_errors():
            self._write_metrics()
            self.report.log_summary()
            self.report.raise_if_left_out()
        return self.report.restored

    def _merge(self) -> None:
        """Adds what the other processes report to the report and the records."""
        if not self.processes.are_several:
            return
        parts = self.processes.gather((self.report.part(), self.records.part()))
        self.report.merge([report for report, _ in parts])
        self.records.merge([records for _, records in parts])

    def _prepare(self) -> None:
        """Makes the output folder and writes the kernels that are known before a picture is restored."""
        if self.request.output != STANDARD_STREAM:
            with prefix_errors("output"):
                make_folder(self.request.output)
            check_case(self.request.output, self.plan.jobs)
        if self.networks:
            self._kernels.prepare(self.networks[0].networks.settings.applied)
        for network in self.networks:
            size = network.networks.main.weights.network.config.kernel_size
            for job in network.skipped:
                self._kernels.save_recorded(job, self.records.rows[job.file], size)

    def _open_dashboard(self) -> Dashboard:
        name = self.request.result.stem if self.request.result else self.request.output.name
        return open_dashboard(self.request.visdom, f"srmd_{name}", start_server=False, log=logger.info)

    def _restore_all(self, network: NetworkJobs, dashboard: Dashboard, writer: BackgroundWriter) -> None:
        """Restores the pictures of one network; the next picture is read and the previous one written meanwhile."""
        if not network.jobs:
            return
        evaluation = (SheetEvaluation if self.request.has_grid else PictureEvaluation)(network.networks, dashboard)
        for window, (picture, caption) in degradation_pictures(network.networks.settings).items():
            dashboard.image(window, picture, caption)
        for job, picture, source in prefetch(self._read_all(network)):
            restored = evaluation.restore(job.name, job.label, picture, self._advance)
            row = {"name": job.name, "file": job.file, "seconds": restored.seconds, "settings": network.entry}
            row |= {"input": source} | restored.assumption.row | restored.entries
            if self.request.has_grid:
                picture = Picture(picture.pixels)  # a sheet has no metadata, such as a colour profile for grey
            writer.submit(self._write, job, restored, picture, row, size=restored.pixels.nbytes + picture.pixels.nbytes)
            self._advance(self._cumulative_pixels[job] - self._done_pixels)  # also counts pictures that were left out
            self._backend = evaluation.backend

    def _read_all(self, network: NetworkJobs) -> Iterator[tuple[RestoringJob, Picture, dict]]:
        """Each picture that can be read, with its `input_entry`; the others are left out."""
        scale = network.networks.scale
        for job in network.jobs:
            try:
                source = input_entry(job.source)
                picture = read_picture(job.source, self.request.max_pixels)
                size = picture.pixels.shape[:2]
                new_size = final_size(size, scale, self.request.outscale, self.request.size)
                check_size(format_of(Path(job.file)), width=new_size[1], height=new_size[0])
                if self.report.count > 1:  # for a single picture it is an error of the map
                    check_maps_fit(self.request, (scale * size[0], scale * size[1]), scale)
            except (InputError, OSError) as error:
                self.report.leave_out(job, error)
                continue
            for warning in picture.warnings:
                self.report.warnings.add(job.label, warning)
            self.report.warn_of_size(job, size, new_size, scale)
            if STANDARD_STREAM in self.request.input:
                source["path"] = str(STANDARD_STREAM)
            yield job, picture, source

    def _write(self, job: RestoringJob, restored: Restored, picture: Picture, row: dict) -> None:
        """Writes a result and records it; a result that its format cannot hold is left out."""
        path, quality = self.request.output / job.file, quality_of(self.request, job)
        lost = lost_properties(format_of(path), picture)
        row |= {key: value for key, value in (("quality", quality), ("lost", lost)) if value}
        arguments = path, restored.pixels, picture, restored.alpha, quality or DEFAULT_QUALITY, self.report.warnings.add
        try:
            self._kernels.save(job, restored.assumption.degradation.kernels)
            if self.request.output == STANDARD_STREAM:
                self._standard_output.writelines(encode_picture(*arguments))
                self._standard_output.flush()
            else:
                self._make_folder(path.parent)
                self._write_file(row, *arguments)
        except InputError as error:
            self.report.leave_out(job, error)
        else:
            self.report.warn_of_loss(job, lost)
            self.report.restored.append(row)

    def _write_file(self, row: dict, path: Path, *arguments: object) -> None:
        """Writes and records a result so that a process that is killed leaves no result without or with a false record.

        The record of a file that does not exist does no harm.
        """
        is_replaced = path.exists()
        if not is_replaced:
            self._record(row)
        write_picture(path, *arguments)
        if is_replaced:
            self._record(row)

    def _record(self, row: dict) -> None:
        """Records a result; one in a file that was named only if there is a record, which would otherwise be false."""
        if self.request.has_metrics_file or row["file"] in self.records.rows:
            self.records.add(row)

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._folders:
            make_folder(folder)
            self._folders.add(folder)

    def _advance(self, pixels: int) -> None:
        self._done_pixels += pixels
        if self._progress and self._all_pixels:
            self._progress(self._done_pixels, self._all_pixels)

    def _write_metrics(self) -> None:
        """Writes metrics.json, if there is a result of this run or of an earlier one.

        Of several processes the first one does. If it is ended before the others have told it of their results, their
        journals tell the next run.
        """
        if not self.request.has_metrics_file or not self.processes.is_first:
            return
        rows, settings = _with_indices(self.records.existing_rows())
        if rows:
            self._write_metrics_of(rows, settings)
        self.records.remove_journals()

    def _write_metrics_of(self, rows: list[dict], settings: list[dict]) -> None:
        network = next((network for network in self.networks if network.jobs), self.networks[0])
        left_out = left_out_entries(self.report.left_out)
        further = {"summary": self.report.counts, "left_out": left_out, "settings": settings}
        mean_rows = [{"name": row["name"], "seconds": row["seconds"]} for row in self.report.restored]
        write_metrics(network.networks, self._backend, rows, mean_rows, further)


def _with_indices(rows: list[dict]) -> tuple[list[dict], list[dict]]:
    """The rows with an index in place of their settings, and the list of different settings."""
    indices: dict[str, int] = {}
    settings, indexed = [], []
    for row in rows:
        key = json.dumps(row["settings"], sort_keys=True)
        if key not in indices:
            indices[key] = len(settings)
            settings.append(row["settings"])
        indexed.append(row | {"settings": indices[key]})
    return indexed, settings
