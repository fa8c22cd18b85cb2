"""Kernel files of every format are read as their formats and MATLAB's centring define, or refused."""

import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.ndimage
import scipy.sparse
from PIL import Image

from plain_kernels import asymmetric_kernel
from srmd.base.errors import InputError
from srmd.kernel.files import MAX_KERNELS, read_kernels, write_mat

INVALID_ARRAYS = {
    "five axes": np.ones((2, 2, 2, 5, 5)),
    "nan": np.full((5, 5), np.nan),
    "infinite": np.full((5, 5), np.inf),
    "sum 0": np.zeros((5, 5)),
    "a sum of 0 but for rounding": np.array([[0.1, 0.2, -0.3 + 1e-12]]),
    "negative sum": -np.ones((5, 5)),
    "a sum beyond all numbers": np.full((5, 5), 1e308),
    "complex": np.ones((5, 5), dtype=complex),
    "text": np.full((5, 5), "a"),
    "no axes": np.array(1.0),
    "one axis": np.ones(5),
    "empty": np.ones((0, 5)),
    "none of many": np.ones((0, 5, 5)),
    "a photo's size": np.ones((300, 200)),
}
INVALID_TEXTS = {
    "empty": (b"", "found none"),
    "only a comment": (b"# nothing\n\n", "found none"),
    "words": (b"1 2\nthree 4\n", "line 2: expected numbers, found 'three'"),
    "a header": (b"a,b\n1,2\n", "line 1: expected numbers, found 'a'"),
    "a gap": (b"1,,2\n", "line 1: expected numbers, found ''"),
    "decimal commas": (b"0,5;1\n", "found '0,5'"),
    "ragged": (b"1 2 3\n\n1 2\n", "line 3: expected rows of one length, found 2 after lines of 3"),
    "bytes": (b"\xff\xfe\x00\x01", "found bytes"),
    "not finite": (b"1 nan\n", "finite"),
}


@pytest.fixture(autouse=True)
def _run_in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def kernel_stack(count=3, size=15):
    return np.stack([asymmetric_kernel(size, seed) for seed in range(count)])


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


def cell_array(*kernels):
    cells = np.empty(len(kernels), object)
    cells[:] = kernels
    return cells


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


def test_an_invalid_kernel_among_several_is_named_by_its_index():
    stack = kernel_stack()
    stack[1] = 0
    np.save("k.npy", stack)
    with pytest.raises(InputError, match=r"k\.npy\[1\]: .*positive sum"):
        read_kernels(Path("k.npy"))


# --- invalid files


@pytest.mark.parametrize("fault", INVALID_ARRAYS)
def test_an_invalid_array_is_refused_with_the_name_of_the_file(fault):
    np.save("bad.npy", INVALID_ARRAYS[fault])
    with pytest.raises(InputError, match=r"bad\.npy"):
        read_kernels(Path("bad.npy"))


@pytest.mark.parametrize("fault", INVALID_TEXTS)
def test_an_invalid_text_is_refused_with_the_number_of_the_line(fault):
    content, message = INVALID_TEXTS[fault]
    Path("bad.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.txt") as error:
        read_kernels(Path("bad.txt"))
    assert message in str(error.value)


def test_a_mat_with_several_matrices_is_refused_with_their_names():
    scipy.io.savemat("k.mat", {"first": asymmetric_kernel(), "second": kernel_stack()})
    with pytest.raises(InputError, match=r"first \(1 of 15×15\), second \(3 of 15×15\)"):
        read_kernels(Path("k.mat"))


@pytest.mark.parametrize(
    "value", ["hello", 3.0, {"k": 1.0}, cell_array(asymmetric_kernel(), "text"), cell_array(), 1j * np.ones((3, 3))]
)
def test_a_mat_without_a_kernel_is_refused(value):
    scipy.io.savemat("k.mat", {"value": value})
    with pytest.raises(InputError, match=r"k\.mat: .*found none"):
        read_kernels(Path("k.mat"))


@pytest.mark.parametrize("name", ["other.mat", "other.npy", "other.png", "other.txt", "other.csv"])
@pytest.mark.parametrize("content", [b"", b"not a file of this kind" * 20])
def test_a_file_of_another_kind_with_a_kernel_suffix_is_refused_in_one_line(name, content):
    Path(name).write_bytes(content)
    with pytest.raises(InputError, match=name) as error:
        read_kernels(Path(name))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["absent.mat", "absent.csv", "folder.npy", "k.jpg", "k"])
def test_a_path_without_a_kernel_file_is_refused_with_its_name(name):
    Path("folder.npy").mkdir()
    Path("k.jpg").touch()
    with pytest.raises(InputError, match=name):
        read_kernels(Path(name))


def test_a_pickle_in_an_npy_runs_no_code(tmp_path):
    trap = tmp_path / "trap"

    class Opens:
        def __reduce__(self):
            return open, (str(trap), "w")

    np.save("k.npy", np.array([[Opens()]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        read_kernels(Path("k.npy"))
    assert not trap.exists()


# --- writing


def test_equal_arrays_give_equal_files_at_any_time(monkeypatch):
    write_mat(Path("one.mat"), {"kernel": asymmetric_kernel()})
    monkeypatch.setattr("time.asctime", lambda *_: "Thu Jan  1 00:00:00 1970")
    write_mat(Path("two.mat"), {"kernel": asymmetric_kernel()})
    assert Path("one.mat").read_bytes() == Path("two.mat").read_bytes()
    np.testing.assert_array_equal(scipy.io.loadmat("one.mat")["kernel"], asymmetric_kernel())


def test_a_sparse_matrix_in_a_mat_is_ignored():
    scipy.io.savemat("k.mat", {"sparse": scipy.sparse.eye(5, format="csc"), "k": asymmetric_kernel()})
    np.testing.assert_allclose(read_kernel("k.mat"), asymmetric_kernel(), atol=1e-15)


def test_a_file_without_read_permission_is_refused(unreadable):
    with pytest.raises(InputError, match=r"k\.npy: expected a file that can be read, found no permission"):
        read_kernels(unreadable("k.npy"))


# --- limits


@pytest.mark.parametrize("name", ["k.npy", "k.mat"])
def test_too_many_kernels_are_refused_before_any_is_normalised(name):
    stack = np.ones((MAX_KERNELS + 1, 3, 3), np.uint8)
    write = np.save if name.endswith(".npy") else lambda name, stack: scipy.io.savemat(name, {"k": stack.T})
    write(name, stack)
    start = time.process_time()
    with pytest.raises(InputError, match=f"expected at most {MAX_KERNELS} kernels, found {MAX_KERNELS + 1}"):
        read_kernels(Path(name))
    assert time.process_time() - start < 1


def test_kernels_that_are_large_when_they_are_squares_are_refused(monkeypatch):
    monkeypatch.setattr("srmd.kernel.files.MAX_VALUES", 2 * 25)
    np.save("k.npy", np.ones((2, 1, 5)))
    assert len(read_kernels(Path("k.npy"))) == 2
    np.save("k.npy", np.ones((3, 1, 5)))
    with pytest.raises(InputError, match="expected kernels with at most 50 numbers as squares, found more"):
        read_kernels(Path("k.npy"))


def test_a_stack_that_is_no_kernels_may_be_long():
    scipy.io.savemat("k.mat", {"kernel": asymmetric_kernel(), "film": np.zeros((3, 4, MAX_KERNELS + 1), np.uint8)})
    np.testing.assert_allclose(read_kernel("k.mat"), asymmetric_kernel(), atol=1e-15)


def test_a_refusal_names_ten_of_many_variables():
    scipy.io.savemat("k.mat", {f"k{number}": np.ones((3, 3)) for number in range(100)})
    with pytest.raises(InputError, match=r"found k0 \(1 of 3×3\), .* k9 \(1 of 3×3\)$"):
        read_kernels(Path("k.mat"))
