"""Reads MATLAB files of versions 4 to 7.3 into Python values."""

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from srmd.base.errors import InputError
from srmd.base.files import check_is_file
from srmd.base.isolated import run_isolated
from srmd.base.kinds import MATLAB, describe_content
from srmd.base.matlab_check import MAX_BYTES, check_version_4, decompressed
from srmd.base.matlab_hdf5 import read_hdf5

MATLAB_4_MAJOR_VERSION = 0
MAX_NAMED, MAX_NAME = 10, 60  # variables that a message names, and characters of each
HDF5_MAJOR_VERSION = 2  # of MATLAB 7.3's files, which are HDF5 files; SciPy does not read them


def read_mat(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file by name. Raises InputError if the file is damaged or exceeds a limit.

    Numeric arrays have the axes that they have in MATLAB. Structs become dicts, cell arrays become lists in
    column-major order, and character arrays become str. The limits are those of `matlab_check`.
    """
    check_is_file(path, "a MATLAB file")
    try:
        return _read(path)
    except Exception as error:  # a damaged file can raise almost any exception in SciPy and h5py
        found = " ".join(str(error).split())[:200]  # SciPy's messages may have several lines
        if (kind := describe_content(path)) not in (None, MATLAB):
            raise InputError(f"{path}: expected a MATLAB file, found {kind}") from error
        raise InputError(f"{path}: not a MATLAB file ({found})") from error


def describe_variables(variables: dict[str, Any]) -> str:
    """The first variables of a MATLAB file for a message, such as `P 15×225, net`; arrays with their shape."""
    named = itertools.islice(variables.items(), MAX_NAMED)
    texts = [f"{name} {'×'.join(map(str, getattr(value, 'shape', ())))}".rstrip()[:MAX_NAME] for name, value in named]
    return ", ".join(texts) or "nothing"


def _read(path: Path) -> dict[str, Any]:
    import scipy.io

    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES / 1e6:.0f} MB, found {size / 1e6:.0f} MB")
    major, _ = scipy.io.matlab.matfile_version(path)
    if major == HDF5_MAJOR_VERSION:
        import h5py  # noqa: F401 - before the fork, so that it is imported once

        return run_isolated(read_hdf5, path)
    content = path.read_bytes()
    if major == MATLAB_4_MAJOR_VERSION:
        check_version_4(content)
    else:
        content = decompressed(content)
    variables = scipy.io.loadmat(io.BytesIO(content))
    return {name: _to_python(value) for name, value in variables.items() if not name.startswith("__")}


def _to_python(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value  # a sparse matrix or a part of a function handle, which no caller needs
    if value.dtype.names is not None:
        return {name: _to_python(value[name].flat[0]) for name in value.dtype.names} if value.size else {}
    if value.dtype == object:
        return [_to_python(item) for item in value.ravel("F")]
    if value.dtype.kind == "U":
        return "".join(value.ravel())
    return value
