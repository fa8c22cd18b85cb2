"""MATLAB files that hold other values than arrays."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from srmd.base.errors import InputError
from srmd.base.matlab import read_mat


def test_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="expected a MATLAB file, found a folder"):
        read_mat(tmp_path)


def test_a_sparse_matrix_stays_sparse_and_the_other_variables_are_read(tmp_path: Path):
    scipy.io.savemat(tmp_path / "a.mat", {"S": scipy.sparse.eye(3, format="csc"), "k": np.ones((3, 3))})
    variables = read_mat(tmp_path / "a.mat")
    assert scipy.sparse.issparse(variables["S"])
    np.testing.assert_array_equal(variables["k"], np.ones((3, 3)))


def test_a_file_with_a_function_handle_is_read():
    written_by_matlab = Path(scipy.io.__file__).parent / "matlab/tests/data/parabola.mat"
    if not written_by_matlab.exists():
        pytest.skip("SciPy was installed without its tests")
    assert isinstance(read_mat(written_by_matlab)["parabola"], dict)
