"""The kernels of LR pictures that `save_kernel` writes: the given one, or those that were estimated."""

from collections import Counter
from pathlib import Path

from srmd.base.errors import InputError, prefix_errors
from srmd.base.files import check_folder, make_folder
from srmd.config import AUTO, NamedDegradation, NamedKernel, TestRequest
from srmd.evaluate.results import RestoringJob
from srmd.kernel.files import is_kernel_output
from srmd.kernel.specs import parse_kernels
from srmd.show.pictures import save_kernels


class SavedKernels:
    """The kernel files of a run over LR pictures.

    A given kernel is one file. Estimated ones are a file for a single picture, or a .mat for each picture in a folder,
    named after the results. Raises InputError if a file is asked for and there are several pictures, if a file would
    overwrite an input, or if the folder cannot be written to.
    """

    def __init__(self, request: TestRequest, jobs: list[RestoringJob]):
        self._path, self._is_estimated = request.save_kernel, request.kernel == AUTO
        self._files: dict[RestoringJob, Path] = {}
        if self._path is None:
            return
        with prefix_errors("save_kernel"):
            check_folder(self._folder)
        if not self._is_estimated:
            return
        if not is_kernel_output(self._path):
            self._files = _files_in_folder(self._path, jobs)
        elif len(jobs) > 1:
            found = f"found the name of a file, {self._path}"
            raise InputError(f"expected a folder for the kernels of {len(jobs)} pictures, {found}", "save_kernel")
        else:
            self._files = dict.fromkeys(jobs, self._path)
        self._check_nothing_is_overwritten(request)

    @property
    def _folder(self) -> Path:
        return self._path.parent if is_kernel_output(self._path) else self._path

    def _check_nothing_is_overwritten(self, request: TestRequest) -> None:
        inputs = {path.resolve() for path in request.input_paths}
        for file in self._files.values():
            if file.resolve() in inputs:
                raise InputError(f"{file} would overwrite an input", "save_kernel")

    def prepare(self, applied: NamedDegradation) -> None:
        """Makes the folder, and writes the kernel if it is given."""
        if self._path is None:
            return
        with prefix_errors("save_kernel"):
            make_folder(self._folder)
        if not self._is_estimated:
            save_kernels([kernel.array for kernel in applied.kernels], self._path)

    def save(self, job: RestoringJob, kernels: list[NamedKernel]) -> None:
        """Writes the estimated kernel of a picture, if it is asked for."""
        if file := self._files.get(job):
            with prefix_errors("save_kernel"):
                make_folder(file.parent)
            save_kernels([kernel.array for kernel in kernels], file)

    def save_recorded(self, job: RestoringJob, row: dict, size: int) -> None:
        """Writes the kernel that was estimated when a skipped picture was restored, if it is asked for.

        `row` is that of metrics.json, `size` the side of the network's kernel window.
        """
        if job in self._files:
            spec = row["estimated"]["kernel"]
            self.save(job, [NamedKernel(spec, parse_kernels(spec, size)[0])])


def _files_in_folder(folder: Path, jobs: list[RestoringJob]) -> dict[RestoringJob, Path]:
    """A .mat for each picture, named after the result, with its suffix where another result has the same name."""
    counts = Counter(job.name for job in jobs)
    return {job: folder / f"{job.name if counts[job.name] == 1 else job.file}.mat" for job in jobs}
