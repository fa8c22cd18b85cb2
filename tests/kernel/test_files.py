"""Kernel files of every format are read as their formats and MATLAB's centring define."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.ndimage
import scipy.sparse
from PIL import Image

from kernel_stacks import cell_array, kernel_stack
from plain_kernels import asymmetric_kernel
from srmd.kernel.files import MAX_KERNELS, read_kernels, write_mat


@pytest.fixture(autouse=True)
def _run_in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read_kernel(name):
    """The only kernel of a file."""
    (kernel,) = read_kernels(Path(name))
    return kernel


def assert_equal_kernels(kernels, expected):
    assert len(kernels) == len(expected)
    for kernel, other in zip(kernels, expected, strict=True):
        np.testing.assert_allclose(kernel, other, atol=1e-15)


def save_hdf5(name, fill):
    """Writes a .mat of version 7.3: an HDF5 file after a header of 512 bytes; `fill` writes its content."""
    with h5py.File(name, "w", userblock_size=512) as file:
        fill(file)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM"
    with open(name, "r+b") as file:
        file.write(header)


def write_hdf5_array(group, name, array):
    group[name] = array.T  # MATLAB stores axes in reverse order
    group[name].attrs["MATLAB_class"] = np.bytes_("double")
    return group[name]


# --- one kernel


@pytest.mark.parametrize("key", ["kernel", "k", "blurKernel"])
def test_the_only_matrix_of_a_mat_is_read_whatever_its_name(key):
    scipy.io.savemat("k.mat", {key: asymmetric_kernel()})
    np.testing.assert_allclose(read_kernel("k.mat"), asymmetric_kernel(), atol=1e-15)


@pytest.mark.parametrize("matlab", ["4", "5"])
def test_the_mat_formats_that_scipy_writes_are_read(matlab):
    scipy.io.savemat("k.mat", {"k": asymmetric_kernel()}, format=matlab)
    np.testing.assert_allclose(read_kernel("k.mat"), asymmetric_kernel(), atol=1e-15)


def test_a_mat_of_version_7_3_is_read_with_its_axes_in_order():
    save_hdf5("k.mat", lambda file: write_hdf5_array(file, "k", asymmetric_kernel()))
    np.testing.assert_allclose(read_kernel("k.mat"), asymmetric_kernel(), atol=1e-15)


def test_a_sparse_matrix_in_a_mat_is_ignored():
    scipy.io.savemat("k.mat", {"sparse": scipy.sparse.eye(5, format="csc"), "k": asymmetric_kernel()})
    np.testing.assert_allclose(read_kernel("k.mat"), asymmetric_kernel(), atol=1e-15)


def test_an_npy_kernel_is_normalised():
    np.save("k.npy", np.float32(5 * asymmetric_kernel(21)))
    np.testing.assert_allclose(read_kernel("k.npy"), asymmetric_kernel(21), atol=1e-7)


@pytest.mark.parametrize("shape", [(1, 15, 15), (15, 15, 1), (1, 1, 15, 15)])
def test_an_npy_of_one_kernel_with_axes_of_length_1_is_read(shape):
    np.save("k.npy", asymmetric_kernel().reshape(shape))
    np.testing.assert_allclose(read_kernel("k.npy"), asymmetric_kernel(), atol=1e-15)


@pytest.mark.parametrize(("dtype", "peak"), [(np.uint8, 255), (np.uint16, 65535)])
def test_a_picture_of_a_kernel_is_normalised(dtype, peak):
    levels = np.round(asymmetric_kernel() / asymmetric_kernel().max() * peak).astype(dtype)
    Image.fromarray(levels).save("k.png")
    np.testing.assert_allclose(read_kernel("k.png"), levels / levels.sum(dtype=float))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA"])
def test_a_grey_picture_gives_the_same_kernel_in_every_mode(mode):
    levels = np.round(asymmetric_kernel() / asymmetric_kernel().max() * 255).astype(np.uint8)
    Image.fromarray(levels).convert(mode).save("k.png")
    np.testing.assert_allclose(read_kernel("k.png"), levels / levels.sum(dtype=float))


def test_a_colour_picture_is_converted_to_grey():
    rgb = np.random.default_rng(0).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    Image.fromarray(rgb).save("k.png")
    grey = rgb @ [0.299, 0.587, 0.114]  # ITU-R BT.601
    np.testing.assert_allclose(read_kernel("k.png"), grey / grey.sum(), atol=1e-12)


@pytest.mark.parametrize("delimiter", [" ", "\t", ",", ";", ", ", " ; "])
@pytest.mark.parametrize("suffix", ["txt", "csv", "CSV"])
def test_a_text_file_is_read_with_any_separator(delimiter, suffix):
    np.savetxt(f"k.{suffix}", 7 * asymmetric_kernel(5), delimiter=delimiter, header="my kernel")
    np.testing.assert_allclose(read_kernel(f"k.{suffix}"), asymmetric_kernel(5), atol=1e-15)


def test_a_csv_file_of_a_spreadsheet_is_read():
    """It has a byte order mark, Windows line ends and a separator after the last number."""
    Path("k.csv").write_bytes(b"\xef\xbb\xbf1,2,\r\n3,1e1,\r\n\r\n")
    np.testing.assert_allclose(read_kernel("k.csv")[1:, 1:], np.array([[1, 2], [3, 10]]) / 16)


def test_negative_values_are_kept():
    k = np.array([[0, -1, 0], [-1, 8, -1], [0, -1, 0]])
    np.save("k.npy", k)
    np.testing.assert_allclose(read_kernel("k.npy"), k / 4)


# --- sides


@pytest.mark.parametrize("shape", [(4, 4), (2, 2), (5, 8), (6, 3), (1, 9), (9, 1), (1, 2)])
def test_any_shape_becomes_an_odd_square_that_blurs_as_imfilter_does(shape):
    """MATLAB's centre is floor((size + 1) / 2), counted from 1; the argument `origin` moves SciPy's centre there."""
    k = np.random.default_rng(1).random(shape)
    np.save("k.npy", k)
    kernel = read_kernel("k.npy")
    assert kernel.shape[0] == kernel.shape[1] == max(side + 1 - side % 2 for side in shape)
    picture = np.random.default_rng(2).random((30, 30))
    middle = [(side + 1) // 2 - 1 for side in shape]
    origin = [m - side // 2 for m, side in zip(middle, shape, strict=True)]
    expected = scipy.ndimage.correlate(picture, k / k.sum(), mode="nearest", origin=origin)
    np.testing.assert_allclose(scipy.ndimage.correlate(picture, kernel, mode="nearest"), expected, atol=1e-12)


def test_the_first_of_two_taps_is_the_centre():
    """imfilter([1 2 3], [3 1]) is 3·x(i) + x(i+1), as MATLAB's documentation defines its centre."""
    Path("k.txt").write_text("3 1\n")
    np.testing.assert_allclose(read_kernel("k.txt"), [[0, 0, 0], [0, 0.75, 0.25], [0, 0, 0]])


# --- several kernels


@pytest.mark.parametrize("name", ["k.npy", "k.mat"])
@pytest.mark.parametrize("count", [2, 3, 14, 20])
@pytest.mark.parametrize("last", [False, True])
def test_stacks_are_split_along_the_axis_that_is_not_of_the_kernels(name, count, last):
    stack = np.moveaxis(kernel_stack(count), 0, -1) if last else kernel_stack(count)
    np.save(name, stack) if name.endswith("npy") else scipy.io.savemat(name, {"stack": stack})
    assert_equal_kernels(read_kernels(Path(name)), kernel_stack(count))


def test_a_cubic_stack_is_split_along_the_first_axis_in_npy_and_the_last_in_mat():
    stack = kernel_stack(15)
    np.save("k.npy", stack)
    assert_equal_kernels(read_kernels(Path("k.npy")), stack)
    scipy.io.savemat("k.mat", {"stack": np.moveaxis(stack, 0, -1)})
    assert_equal_kernels(read_kernels(Path("k.mat")), stack)


def test_a_batch_of_pytorch_is_read_as_several_kernels():
    np.save("k.npy", kernel_stack()[:, None])
    assert_equal_kernels(read_kernels(Path("k.npy")), kernel_stack())


def test_a_cell_array_holds_kernels_of_different_sizes_in_matlabs_order():
    kernels = [asymmetric_kernel(15), asymmetric_kernel(19), asymmetric_kernel(27), asymmetric_kernel(5)]
    scipy.io.savemat("k.mat", {"kernels": cell_array(*kernels), "note": "camera shakes"})
    assert_equal_kernels(read_kernels(Path("k.mat")), kernels)
    square = np.array([[None, None], [None, None]], object)
    square[0, 0], square[1, 0], square[0, 1], square[1, 1] = kernels  # columns first
    scipy.io.savemat("k.mat", {"kernels": square})
    assert_equal_kernels(read_kernels(Path("k.mat")), kernels)


def test_cell_arrays_and_stacks_of_version_7_3_are_read():
    kernels = [asymmetric_kernel(15), asymmetric_kernel(9)]

    def fill(file):
        references = [
            write_hdf5_array(file.require_group("#refs#"), name, k).ref for name, k in zip("ab", kernels, strict=True)
        ]
        cells = file.create_dataset("kernels", (2, 1), h5py.ref_dtype)
        cells[:, 0] = references
        cells.attrs["MATLAB_class"] = np.bytes_("cell")

    save_hdf5("cell.mat", fill)
    assert_equal_kernels(read_kernels(Path("cell.mat")), kernels)
    save_hdf5("stack.mat", lambda file: write_hdf5_array(file, "k", np.moveaxis(kernel_stack(), 0, -1)))
    assert_equal_kernels(read_kernels(Path("stack.mat")), kernel_stack())


def test_the_variable_named_kernel_or_kernels_is_preferred():
    scipy.io.savemat("k.mat", {"P": asymmetric_kernel(9), "kernel": asymmetric_kernel(), "gain": 3.0})
    np.testing.assert_allclose(read_kernel("k.mat"), asymmetric_kernel(), atol=1e-15)
    scipy.io.savemat(
        "k.mat", {"P": asymmetric_kernel(9), "kernels": cell_array(asymmetric_kernel(), asymmetric_kernel(5))}
    )
    assert_equal_kernels(read_kernels(Path("k.mat")), [asymmetric_kernel(), asymmetric_kernel(5)])


def test_a_stack_that_is_no_kernels_may_be_long():
    scipy.io.savemat("k.mat", {"kernel": asymmetric_kernel(), "film": np.zeros((3, 4, MAX_KERNELS + 1), np.uint8)})
    np.testing.assert_allclose(read_kernel("k.mat"), asymmetric_kernel(), atol=1e-15)


# --- writing


def test_equal_arrays_give_equal_files_at_any_time(monkeypatch):
    write_mat(Path("one.mat"), {"kernel": asymmetric_kernel()})
    monkeypatch.setattr("time.asctime", lambda *_: "Thu Jan  1 00:00:00 1970")
    write_mat(Path("two.mat"), {"kernel": asymmetric_kernel()})
    assert Path("one.mat").read_bytes() == Path("two.mat").read_bytes()
    np.testing.assert_array_equal(scipy.io.loadmat("one.mat")["kernel"], asymmetric_kernel())
