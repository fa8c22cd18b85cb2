"""Reads MATLAB files of versions 4 to 7.3 into Python values."""

from pathlib import Path
from typing import Any

import numpy as np

from srmd.base.errors import InputError
from srmd.base.files import check_is_file

HDF5_MAJOR_VERSION = 2  # of MATLAB 7.3's files, which are HDF5 files; SciPy does not read them


def read_mat(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file by name. Raises InputError if the file cannot be read.

    Numeric arrays have the axes that they have in MATLAB. Structs become dicts, cell arrays become lists in
    column-major order, and character arrays become str.
    """
    import scipy.io

    check_is_file(path, "a MATLAB file")
    try:
        major, _ = scipy.io.matlab.matfile_version(path)
        variables = None if major == HDF5_MAJOR_VERSION else scipy.io.loadmat(path)
    except Exception as error:  # a damaged file can raise almost any exception in SciPy's parser
        raise InputError(f"{path}: not a MATLAB file ({error})") from error
    if variables is None:
        return _read_hdf5(path)
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


def _read_hdf5(path: Path) -> dict[str, Any]:
    import h5py

    try:
        with h5py.File(path) as file:
            return {name: _hdf5_to_python(file, item) for name, item in file.items() if not name.startswith("#")}
    except Exception as error:
        raise InputError(f"{path}: not a MATLAB file ({error})") from error


def _hdf5_to_python(file, item) -> Any:
    """The value of an HDF5 group (a struct) or data set.

    A data set of references is a cell array. The axes of arrays are stored in reverse order.
    """
    import h5py

    if isinstance(item, h5py.Group):
        return {name: _hdf5_to_python(file, member) for name, member in item.items()}
    matlab_class = item.attrs.get("MATLAB_class", b"")
    if item.attrs.get("MATLAB_empty"):
        shape = item[()].astype(int)  # the data set of an empty array holds its shape
        return {b"cell": [], b"char": "", b"struct": {}}.get(matlab_class, np.zeros(shape))
    if item.dtype == h5py.ref_dtype:
        return [_hdf5_to_python(file, file[reference]) for reference in item[()].ravel()]
    if matlab_class == b"char":
        return "".join(map(chr, item[()].ravel()))
    return item[()].T
