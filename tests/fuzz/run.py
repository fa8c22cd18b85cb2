"""Reads damaged files in child processes with limits, and reports every fault with the number that makes it again.

    python -m fuzz.run --cases=30000            # all cores
    python -m fuzz.run --case=1234 --keep=x     # one case in this process; the damaged file is kept as x

A fault is an exception other than InputError, a crash, or more than MAX_SECONDS of processor time. What needs more than
MAX_MEMORY fails. Lines that libtiff and other libraries print are discarded, as the command does.
"""

import argparse
import faulthandler
import logging
import mmap
import os
import resource
import shutil
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from fuzz.mutations import mutate
from fuzz.readers import READERS
from fuzz.seeds import write_seeds
from srmd.base.errors import InputError

MAX_SECONDS = 20
MAX_MEMORY = 2 * 2**30  # bytes, in addition to those of the parent process
SEED = 0


@dataclass
class Corpus:
    """Valid files, and the damaged file of each case number."""

    folder: Path
    seed: int = SEED

    def __post_init__(self):
        write_seeds(self.folder)
        self.files = [path for kind in READERS for path in sorted((self.folder / kind).iterdir())]

    def source(self, case: int) -> Path:
        return self.files[case % len(self.files)]

    def damaged(self, case: int) -> bytes:
        return mutate(np.random.default_rng([self.seed, case]), self.source(case).read_bytes())


def run_case(corpus: Corpus, case: int, folder: Path) -> str | None:
    """Reads the damaged file of a case, with the other valid files beside it; what went wrong, or None."""
    source = corpus.source(case)
    copies = folder / source.parent.name
    if not copies.exists():
        shutil.copytree(source.parent, copies)
    path = copies / source.name
    path.write_bytes(corpus.damaged(case))
    try:
        READERS[source.parent.name](path)
    except InputError as error:
        return None if str(error) else "an error without a message"
    except BaseException as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error!s:.200} ({Path(line.filename).name}:{line.lineno})"
    finally:
        shutil.copyfile(source, path)
    return None


def run_cases(corpus: Corpus, cases: range, workers: int = 1) -> Iterator[tuple[int, str]]:
    """The faults of cases: their numbers and descriptions."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as found:
        children = {}
        for part in range(workers):
            remaining = cases[part::workers]
            if remaining:
                _start(children, corpus, remaining, Path(folder, str(part)), found.fileno())
        while children:
            pid, status = _wait_for_one(children)
            remaining, current, work = children.pop(pid)
            (case,) = struct.unpack_from("<q", current)
            if status:
                yield case, f"the reader ended with status {os.waitstatus_to_exitcode(status)}"
                remaining = remaining[remaining.index(case) + 1 :]
                if remaining:
                    _start(children, corpus, remaining, work, found.fileno())
        found.seek(0)
        for line in found.read().decode().splitlines():
            number, _, text = line.partition(" ")
            yield int(number), text


def _wait_for_one(children: dict) -> tuple[int, int]:
    """Waits for one of these child processes, and for no other one of this process; its number and status."""
    while True:
        for pid in children:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return pid, status
        time.sleep(0.01)


def _start(children: dict, corpus: Corpus, cases: range, folder: Path, found: int) -> None:
    """Starts a child process that reads the damaged files of cases and writes the faults to the file `found`."""
    current = mmap.mmap(-1, 8)  # the number of the case that the child reads
    pid = os.fork()
    if pid == 0:
        _run_child(corpus, cases, folder, found, current)
    children[pid] = cases, current, folder


def _run_child(corpus: Corpus, cases: range, folder: Path, found: int, current: mmap.mmap) -> NoReturn:
    try:
        _set_limits()
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(null, stream)
        for case in cases:
            struct.pack_into("<q", current, 0, case)
            used = resource.getrusage(resource.RUSAGE_SELF)
            limit = int(used.ru_utime + used.ru_stime) + MAX_SECONDS
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
            if fault := run_case(corpus, case, folder):
                os.write(found, f"{case} {' '.join(fault.split())}\n".encode(errors="backslashreplace"))
        os._exit(0)
    finally:
        os._exit(1)


def _set_limits() -> None:
    faulthandler.disable()  # pytest has enabled it
    logging.disable()
    warnings.simplefilter("ignore")
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MAX_MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Runs the cases that the command line names; the exit code is 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=30_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--case", type=int)
    parser.add_argument("--keep", type=Path, help="where the damaged file of --case is written")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    values = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus(Path(folder, "seeds"), values.seed)
        if values.case is not None:
            if values.keep:
                values.keep.write_bytes(corpus.damaged(values.case))
            print(corpus.source(values.case), run_case(corpus, values.case, Path(folder, "work")), flush=True)
            return 0
        faults = Counter()
        for case, text in run_cases(corpus, range(values.start, values.start + values.cases), values.workers):
            source = corpus.source(case)
            print(f"case {case} ({source.parent.name}/{source.name}): {text}", flush=True)
            faults[source.parent.name] += 1
    print(f"{values.cases} cases, {faults.total()} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
