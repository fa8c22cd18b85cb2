"""MATLAB files of versions 4 to 7.3 as Python values. No torch here."""

from pathlib import Path
from typing import Any

import numpy as np

from srmd.base.errors import InputError

HDF5 = 2  # the major version of MATLAB 7.3's files, which SciPy does not read


def read_mat(path: Path) -> dict[str, Any]:
    """The variables of a file: numeric arrays as MATLAB has them, structs as dicts, cells as lists, text as str."""
    import scipy.io

    if path.is_dir():
        raise InputError(f"{path}: expected a MATLAB file, found a folder")
    try:
        major, _ = scipy.io.matlab.matfile_version(path)
        variables = None if major == HDF5 else scipy.io.loadmat(path)
    except Exception as error:  # a foreign file can break SciPy's parser in many ways
        raise InputError(f"{path}: not a MATLAB file ({error})") from error
    if variables is None:
        return _read_hdf5(path)
    return {name: _value(value) for name, value in variables.items() if not name.startswith("__")}


def _value(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value  # that no reader here wants: a sparse matrix, a part of a function handle
    if value.dtype.names is not None:
        return {name: _value(value[name].flat[0]) for name in value.dtype.names} if value.size else {}
    if value.dtype == object:
        return [_value(item) for item in value.ravel("F")]
    if value.dtype.kind == "U":
        return "".join(value.ravel())
    return value


def _read_hdf5(path: Path) -> dict[str, Any]:
    import h5py

    try:
        with h5py.File(path) as file:
            return {name: _hdf5_value(file, item) for name, item in file.items() if not name.startswith("#")}
    except Exception as error:
        raise InputError(f"{path}: not a MATLAB file ({error})") from error


def _hdf5_value(file, item) -> Any:
    """A struct is a group, a cell a data set of references; an array's axes come reversed."""
    import h5py

    if isinstance(item, h5py.Group):
        return {name: _hdf5_value(file, member) for name, member in item.items()}
    kind = item.attrs.get("MATLAB_class", b"")
    if item.attrs.get("MATLAB_empty"):  # then the data are the lengths of its axes
        return {b"cell": [], b"char": "", b"struct": {}}.get(kind, np.zeros(item[()].astype(int)))
    if item.dtype == h5py.ref_dtype:
        return [_hdf5_value(file, file[reference]) for reference in item[()].ravel()]
    if kind == b"char":
        return "".join(map(chr, item[()].ravel()))
    return item[()].T
