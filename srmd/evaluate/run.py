"""Runs a test: HR pictures are degraded, restored and scored, LR pictures are restored."""

import html
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import BinaryIO

from srmd.base.background import BackgroundWriter, prefetch
from srmd.base.distributed import Processes
from srmd.base.errors import prefix_errors
from srmd.base.files import make_folder, on_one_line, removed_if_empty
from srmd.config import TestRequest
from srmd.evaluate.announcement import degradation_pictures
from srmd.evaluate.inputs import Inputs
from srmd.evaluate.metrics_file import left_out_entries, write_metrics
from srmd.evaluate.networks import choose_backends, read_networks
from srmd.evaluate.picture import PictureEvaluation
from srmd.evaluate.restoring import restore_pictures
from srmd.pictures.metrics import min_side
from srmd.show.dashboard import Dashboard, open_dashboard
from srmd.show.pictures import save_kernels
from srmd.show.tables import table

logger = logging.getLogger("srmd")


def evaluate(
    request: TestRequest,
    progress: Callable[[int, int], object] | None = None,
    standard_input: BinaryIO | None = None,
    standard_output: BinaryIO | None = None,
    processes: Processes | None = None,
) -> list[dict]:
    """Restores LR pictures, or degrades, restores and scores HR pictures; writes pictures and metrics.json.

    Returns a row for each picture: its name, scores and seconds. `progress` takes the number of finished pixels and
    the number of all pixels. The streams are those that STANDARD_STREAM in the request stands for. Raises InputError if
    the request can't be met. Raises RuntimeError, after all results are written, if pictures were left out.
    `processes` are by default those that torchrun has started: each takes its share of the pictures. The first one
    writes metrics.json and returns the rows of all; the others return their own.
    """
    processes = processes or Processes.of_environment()
    with processes.joined():
        request = _own_request(request, processes)
        if request.input:
            return restore_pictures(request, progress, standard_input, standard_output, processes)
        return _score_pictures(request, progress, processes)


def _own_request(request: TestRequest, processes: Processes) -> TestRequest:
    """The request of one of several processes: with its device and the first one's folder, which may have the time."""
    if not processes.are_several:
        return request
    output = processes.from_first(request.output)
    with processes.common_errors():
        device = processes.device(request.device)
    visdom = request.visdom if processes.is_first else "off"
    return replace(request, output=output, device=device, visdom=visdom)


def _score_pictures(
    request: TestRequest, progress: Callable[[int, int], object] | None, processes: Processes
) -> list[dict]:
    with processes.common_errors():
        networks = read_networks(request, request.weights, request.noise_free_weights, request.jpeg_weights)
        inputs = Inputs(request, networks.scale, min_side(networks.scale))
        if request.save_kernel and processes.is_first:
            with prefix_errors("save_kernel"):
                make_folder(request.save_kernel.parent)
            save_kernels([kernel.array for kernel in networks.settings.applied.kernels], request.save_kernel)
    dashboard = open_dashboard(request.visdom, f"srmd_{request.output.name}", start_server=False, log=logger.info)
    with dashboard:
        choose_backends([networks], processes)
        inputs.divide(processes)
        with _made_folders(request):
            with processes.common_errors():
                evaluation = PictureEvaluation(networks, dashboard)
                rows = _evaluate_all(evaluation, inputs, dashboard, progress)
            rows = inputs.merge(rows)
        if rows:
            dashboard.text("scores", f"<pre>{html.escape(table(rows))}</pre>")
    if not processes.is_first:
        return rows
    write_metrics(networks, evaluation.backend, rows, rows, {"left_out": left_out_entries(inputs.left_out)})
    for line in table(rows).splitlines():
        logger.info("%s", line)
    logger.info("Pictures and metrics.json are in %s", request.output)
    if inputs.left_out:
        names = ", ".join(map(on_one_line, inputs.left_out))
        raise RuntimeError(f"{len(inputs.left_out)} of {len(inputs.paths)} pictures were left out: {names}")
    return rows


@contextmanager
def _made_folders(request: TestRequest) -> Iterator[None]:
    """A context that makes the output folders; at its end it removes those that it has made and that are empty."""
    names = ("compare", "lr") if request.save_lr else ("compare",)
    with ExitStack() as stack:
        for name in names:
            folder = request.output / name
            stack.enter_context(removed_if_empty(folder))
            with prefix_errors("output"):
                make_folder(folder)
        yield


def _evaluate_all(
    evaluation: PictureEvaluation, inputs: Inputs, dashboard: Dashboard, progress: Callable[[int, int], object] | None
) -> list[dict]:
    rows, cumulative_pixels = [], inputs.cumulative_pixels() if progress else {}
    total, done = max(cumulative_pixels.values(), default=0), 0

    def advance(pixels: int) -> None:
        nonlocal done
        done += pixels
        if progress:
            progress(done, total)

    for window, (picture, caption) in degradation_pictures(evaluation.settings).items():
        dashboard.image(window, picture, caption)
    with BackgroundWriter() as writer:
        for name, picture in prefetch(inputs):
            row = evaluation.score(name, picture, advance, writer)
            rows.append({"name": name} | row)
            if progress:
                advance(cumulative_pixels[name] - done)  # also counts broken pictures between the last one and this one
    return rows
