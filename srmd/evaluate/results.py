"""The LR pictures of a test, and the files of their results."""

import os
import unicodedata
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from srmd.base.errors import InputError, prefix_errors
from srmd.base.files import MAX_NAME_BYTES
from srmd.config import STANDARD_STREAM, TestRequest
from srmd.evaluate.names import result_file
from srmd.evaluate.records import ResultRecords, is_results_folder
from srmd.pictures.folders import FolderScan, scan_folder
from srmd.pictures.formats import result_suffix


@dataclass(frozen=True)
class RestoringJob:
    """An LR picture and the file of its result."""

    source: Path
    file: str  # of the result, in the output folder, with / as separator
    label: str  # of the picture in messages: its path, or "standard input"

    @property
    def name(self) -> str:
        """The result's file without suffix."""
        return self.file.removesuffix(Path(self.file).suffix)


@dataclass
class RestoringPlan:
    """The pictures that a request names, and what else its folders contain."""

    jobs: list[RestoringJob] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)  # number of files of each suffix that names no picture format
    excluded: list[Path] = field(default_factory=list)  # folders of results, which are not restored again
    left_out: dict[Path, str] = field(default_factory=dict)  # the reason for each folder that cannot be listed

    def describe_others(self) -> str:
        """Number and suffix of the files that are no pictures."""
        return FolderScan(others=self.others).describe_others()


def plan_results(request: TestRequest, records: ResultRecords, standard_input: Path | None = None) -> RestoringPlan:
    """Finds the LR pictures of a request and names their results.

    `records` are those of the output folder: their results are not restored again when a folder contains them.
    `standard_input` is the file with the picture from standard input. Raises InputError if two results would get one
    name, if a result would overwrite an input, or if a name is too long.
    """
    plan = RestoringPlan()
    results = {os.path.realpath(request.output / file) for file in records.rows}
    relative_paths: dict[Path, Path] = {}  # by picture, the path that its result is named after
    for path in request.input:
        if path == STANDARD_STREAM:
            relative_paths[standard_input] = Path(standard_input.name)
        elif path.is_dir():
            for picture in _pictures_of_folder(path, request, results, plan):
                named_after = picture.relative_to(path) if request.recursive else Path(picture.name)
                relative_paths.setdefault(picture, named_after)
        else:
            relative_paths.setdefault(path, Path(path.name))
    plan.jobs = _without_repeats(
        RestoringJob(source, _result_file(request, source, path), _label(source, standard_input))
        for source, path in relative_paths.items()
    )
    _check_one_result(request, len(plan.jobs))
    _check_names(plan.jobs)
    if request.output != STANDARD_STREAM:
        _check_nothing_is_overwritten(request, plan.jobs)
    return plan


def _without_repeats(jobs: Iterable[RestoringJob]) -> list[RestoringJob]:
    """The jobs without those of a file that was given before by another path, such as ./a.png and sub/../a.png."""
    by_file: dict[tuple[str, str], RestoringJob] = {}
    for job in jobs:
        by_file.setdefault((os.path.realpath(job.source), job.file), job)
    return list(by_file.values())


def _label(source: Path, standard_input: Path | None) -> str:
    return "standard input" if source == standard_input else str(source)


def _pictures_of_folder(folder: Path, request: TestRequest, results: set[str], plan: RestoringPlan) -> list[Path]:
    """The pictures of a folder that are no results of this package; raises InputError if there is none."""
    output = os.path.realpath(request.output)

    def is_excluded(subfolder: Path) -> bool:
        return os.path.realpath(subfolder) == output or is_results_folder(subfolder)

    with prefix_errors("input"):
        scan = scan_folder(folder, request.recursive, is_excluded)
        pictures = [path for path in scan.pictures if os.path.realpath(path) not in results]
        if not pictures and not scan.unreadable:
            where = "in it or its subfolders" if request.recursive else "directly inside it"
            found = "only results of earlier runs" if scan.pictures else scan.describe_others()
            raise InputError(f"{folder}: expected pictures {where}, found {found}")
    plan.others += scan.others
    plan.excluded += scan.excluded
    plan.left_out |= scan.unreadable
    return pictures


def _result_file(request: TestRequest, source: Path, named_after: Path) -> str:
    """The result's path in the output folder."""
    if request.result:
        return request.result.name
    file = result_file(named_after, f"{request.suffix}{result_suffix(request.format, source)}")
    name = Path(file).name
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        raise InputError(f"{source}: expected names of results of up to {MAX_NAME_BYTES} bytes, found {name}", "input")
    return file


def _check_one_result(request: TestRequest, count: int) -> None:
    """Raises InputError if there are several pictures and the output is a stream or a file."""
    if count > 1 and request.output == STANDARD_STREAM:
        raise InputError(f"expected one picture for standard output, found {count}", "output")
    if count > 1 and request.result:
        found = f"found the name of a picture, {request.result}"
        raise InputError(f"expected a folder for {count} results, {found}", "output")


def _check_names(jobs: list[RestoringJob]) -> None:
    """Raises InputError if two results would get one name, or one the name of another's folder."""
    sources: dict[str, Path] = {}
    for job in jobs:
        if job.file in sources:
            kept = {result_suffix("keep", source) for source in (sources[job.file], job.source)}
            advice = "; `format=keep` keeps their suffixes" if len(kept) > 1 else ""
            raise InputError(
                f"{sources[job.file]} and {job.source} would both be written to {job.file}{advice}", "input"
            )
        sources[job.file] = job.source
    for job in jobs:
        for parent in Path(job.file).parents:
            if parent.as_posix() in sources:
                file = sources[parent.as_posix()]
                raise InputError(f"the result of {file} would have the name of the folder for {job.source}", "input")


def check_case(folder: Path, jobs: Iterable[RestoringJob]) -> None:
    """Raises InputError if the file system of a folder takes the names of two results for one.

    Names that differ only in case or in the encoding of accents are one name on most disks of Windows and macOS.
    """
    by_key: dict[str, RestoringJob] = {}
    for job in jobs:
        first = by_key.setdefault(unicodedata.normalize("NFC", job.file).casefold(), job)
        if first is not job and _is_one_name(folder, first.file, job.file):
            message = f"{first.source} and {job.source} would both be written to {job.file}: {folder} ignores case"
            raise InputError(message, "input")


def _is_one_name(folder: Path, first: str, second: str) -> bool:
    """Whether two different paths of as many parts stand for one file in a folder, which must be writable."""
    parts = zip(first.split("/"), second.split("/"), strict=True)
    first, second = next((one, other) for one, other in parts if one != other)
    trial = folder / f".srmd-{uuid.uuid4().hex}"
    trial.mkdir()
    try:
        (trial / first).touch()
        return (trial / second).exists()
    finally:
        (trial / first).unlink(missing_ok=True)
        trial.rmdir()


def _check_nothing_is_overwritten(request: TestRequest, jobs: list[RestoringJob]) -> None:
    protected = {*(job.source for job in jobs), *request.input_paths}
    paths = {os.path.realpath(path) for path in protected}
    if request.save_kernel:  # the kernel is written before the results
        paths.add(os.path.realpath(request.save_kernel))
    # By number too: on a disk that ignores case, a file has several paths.
    files = {_file_number(path) for path in paths if os.path.exists(path)}
    for job in jobs:
        result = request.output / job.file
        is_protected = os.path.realpath(result) in paths or (result.exists() and _file_number(result) in files)
        if is_protected:
            raise InputError(f"the result {result} would overwrite another file", "output")
        if result.is_dir():
            raise InputError(f"{result}: expected the name of a file to write, found a folder", "output")


def _file_number(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
