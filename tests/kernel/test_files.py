"""Kernel files of every kind people have, against what their formats and MATLAB's centring define."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.ndimage
import scipy.sparse
from PIL import Image

from srmd.base.errors import InputError
from srmd.kernel.files import read_kernels, write_mat

NO_KERNELS = {
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
NO_TEXTS = {
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
def _folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def skewed(size=15, seed=3):
    k = np.random.default_rng(seed).random((size, size))
    return k / k.sum()


def several(count=3, size=15):
    return np.stack([skewed(size, seed) for seed in range(count)])


def only(name):
    """The one kernel of a file."""
    (found,) = read_kernels(Path(name))
    return found


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-15)


def save_hdf5(name, fill):
    """A .mat of version 7.3: HDF5 behind 512 bytes of MATLAB's own header."""
    with h5py.File(name, "w", userblock_size=512) as file:
        fill(file)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM"
    with open(name, "r+b") as file:
        file.write(header)


def put(group, name, array):
    group[name] = array.T  # MATLAB writes columns as HDF5's rows
    group[name].attrs["MATLAB_class"] = np.bytes_("double")
    return group[name]


def cell(*kernels):
    held = np.empty(len(kernels), object)
    held[:] = kernels
    return held


# --- one kernel


@pytest.mark.parametrize("key", ["kernel", "k", "blurKernel"])
def test_a_mat_with_one_matrix_is_taken_whatever_its_key(key):
    scipy.io.savemat("k.mat", {key: skewed()})
    np.testing.assert_allclose(only("k.mat"), skewed(), atol=1e-15)


@pytest.mark.parametrize("matlab", ["4", "5"])
def test_the_mat_formats_that_scipy_writes_are_read(matlab):
    scipy.io.savemat("k.mat", {"k": skewed()}, format=matlab)
    np.testing.assert_allclose(only("k.mat"), skewed(), atol=1e-15)


def test_a_mat_of_version_7_3_is_read_with_its_axes_turned_back():
    save_hdf5("k.mat", lambda file: put(file, "k", skewed()))
    np.testing.assert_allclose(only("k.mat"), skewed(), atol=1e-15)


def test_an_npy_kernel_comes_back_normalised():
    np.save("k.npy", np.float32(5 * skewed(21)))
    np.testing.assert_allclose(only("k.npy"), skewed(21), atol=1e-7)


@pytest.mark.parametrize("shape", [(1, 15, 15), (15, 15, 1), (1, 1, 15, 15)])
def test_an_npy_of_one_kernel_with_idle_axes_is_that_kernel(shape):
    np.save("k.npy", skewed().reshape(shape))
    np.testing.assert_allclose(only("k.npy"), skewed(), atol=1e-15)


@pytest.mark.parametrize(("dtype", "peak"), [(np.uint8, 255), (np.uint16, 65535)])
def test_a_picture_of_a_kernel_comes_back_normalised(dtype, peak):
    levels = np.round(skewed() / skewed().max() * peak).astype(dtype)
    Image.fromarray(levels).save("k.png")
    np.testing.assert_allclose(only("k.png"), levels / levels.sum(dtype=float))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA"])
def test_a_grey_picture_in_other_modes_is_the_same_kernel(mode):
    levels = np.round(skewed() / skewed().max() * 255).astype(np.uint8)
    Image.fromarray(levels).convert(mode).save("k.png")
    np.testing.assert_allclose(only("k.png"), levels / levels.sum(dtype=float))


def test_a_colour_picture_counts_as_its_grey():
    rgb = np.random.default_rng(0).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    Image.fromarray(rgb).save("k.png")
    grey = rgb @ [0.299, 0.587, 0.114]  # ITU-R BT.601
    np.testing.assert_allclose(only("k.png"), grey / grey.sum(), atol=1e-12)


@pytest.mark.parametrize("delimiter", [" ", "\t", ",", ";", ", ", " ; "])
@pytest.mark.parametrize("suffix", ["txt", "csv", "CSV"])
def test_a_text_file_is_read_whatever_stands_between_its_numbers(delimiter, suffix):
    np.savetxt(f"k.{suffix}", 7 * skewed(5), delimiter=delimiter, header="my kernel")
    np.testing.assert_allclose(only(f"k.{suffix}"), skewed(5), atol=1e-15)


def test_a_text_file_as_spreadsheets_write_it_is_read():
    """A mark of the encoding in front, Windows' line ends, a separator behind the last number."""
    Path("k.csv").write_bytes(b"\xef\xbb\xbf1,2,\r\n3,1e1,\r\n\r\n")
    np.testing.assert_allclose(only("k.csv")[1:, 1:], np.array([[1, 2], [3, 10]]) / 16)


def test_negative_values_stay():
    k = np.array([[0, -1, 0], [-1, 8, -1], [0, -1, 0]])
    np.save("k.npy", k)
    np.testing.assert_allclose(only("k.npy"), k / 4)


# --- sides


@pytest.mark.parametrize("shape", [(4, 4), (2, 2), (5, 8), (6, 3), (1, 9), (9, 1), (1, 2)])
def test_any_shape_becomes_the_odd_square_that_blurs_as_imfilter_does(shape):
    """MATLAB centres a kernel at floor((size + 1) / 2), counted from 1; SciPy's origin moves its own there."""
    k = np.random.default_rng(1).random(shape)
    np.save("k.npy", k)
    found = only("k.npy")
    assert found.shape[0] == found.shape[1] == max(side + 1 - side % 2 for side in shape)
    picture = np.random.default_rng(2).random((30, 30))
    middle = [(side + 1) // 2 - 1 for side in shape]
    origin = [m - side // 2 for m, side in zip(middle, shape, strict=True)]
    expected = scipy.ndimage.correlate(picture, k / k.sum(), mode="nearest", origin=origin)
    np.testing.assert_allclose(scipy.ndimage.correlate(picture, found, mode="nearest"), expected, atol=1e-12)


def test_imfilter_of_two_taps_starts_at_the_first():
    """imfilter([1 2 3], [3 1]) is 3·x(i) + x(i+1), as MATLAB's documentation defines its centre."""
    Path("k.txt").write_text("3 1\n")
    np.testing.assert_allclose(only("k.txt"), [[0, 0, 0], [0, 0.75, 0.25], [0, 0, 0]])


# --- several kernels


@pytest.mark.parametrize("name", ["k.npy", "k.mat"])
@pytest.mark.parametrize("count", [2, 3, 14, 20])
@pytest.mark.parametrize("last", [False, True])
def test_stacks_are_taken_apart_along_the_axis_that_is_not_the_kernels(name, count, last):
    stack = np.moveaxis(several(count), 0, -1) if last else several(count)
    np.save(name, stack) if name.endswith("npy") else scipy.io.savemat(name, {"stack": stack})
    same(read_kernels(Path(name)), several(count))


def test_where_lengths_dont_tell_numpy_counts_first_and_matlab_last():
    stack = several(15)
    np.save("k.npy", stack)
    same(read_kernels(Path("k.npy")), stack)
    scipy.io.savemat("k.mat", {"stack": np.moveaxis(stack, 0, -1)})
    same(read_kernels(Path("k.mat")), stack)


def test_a_batch_as_pytorch_has_it_is_several_kernels():
    np.save("k.npy", several()[:, None])
    same(read_kernels(Path("k.npy")), several())


def test_a_cell_array_holds_kernels_of_different_sizes_in_matlabs_order():
    kernels = [skewed(15), skewed(19), skewed(27), skewed(5)]
    scipy.io.savemat("k.mat", {"kernels": cell(*kernels), "note": "camera shakes"})
    same(read_kernels(Path("k.mat")), kernels)
    square = np.array([[None, None], [None, None]], object)
    square[0, 0], square[1, 0], square[0, 1], square[1, 1] = kernels  # columns first
    scipy.io.savemat("k.mat", {"kernels": square})
    same(read_kernels(Path("k.mat")), kernels)


def test_cell_arrays_and_stacks_of_version_7_3_are_read():
    kernels = [skewed(15), skewed(9)]

    def fill(file):
        references = [put(file.require_group("#refs#"), name, k).ref for name, k in zip("ab", kernels, strict=True)]
        held = file.create_dataset("kernels", (2, 1), h5py.ref_dtype)
        held[:, 0] = references
        held.attrs["MATLAB_class"] = np.bytes_("cell")

    save_hdf5("cell.mat", fill)
    same(read_kernels(Path("cell.mat")), kernels)
    save_hdf5("stack.mat", lambda file: put(file, "k", np.moveaxis(several(), 0, -1)))
    same(read_kernels(Path("stack.mat")), several())


def test_the_variable_named_kernel_or_kernels_is_taken_before_others():
    scipy.io.savemat("k.mat", {"P": skewed(9), "kernel": skewed(), "gain": 3.0})
    np.testing.assert_allclose(only("k.mat"), skewed(), atol=1e-15)
    scipy.io.savemat("k.mat", {"P": skewed(9), "kernels": cell(skewed(), skewed(5))})
    same(read_kernels(Path("k.mat")), [skewed(), skewed(5)])


def test_a_broken_kernel_among_several_is_named_by_its_number():
    stack = several()
    stack[1] = 0
    np.save("k.npy", stack)
    with pytest.raises(InputError, match=r"k\.npy\[1\]: .*positive sum"):
        read_kernels(Path("k.npy"))


# --- no kernels


@pytest.mark.parametrize("fault", NO_KERNELS)
def test_an_array_that_is_no_kernel_is_refused_with_its_files_name(fault):
    np.save("bad.npy", NO_KERNELS[fault])
    with pytest.raises(InputError, match=r"bad\.npy"):
        read_kernels(Path("bad.npy"))


@pytest.mark.parametrize("fault", NO_TEXTS)
def test_a_text_that_is_no_kernel_is_refused_with_the_line(fault):
    content, said = NO_TEXTS[fault]
    Path("bad.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.txt") as error:
        read_kernels(Path("bad.txt"))
    assert said in str(error.value)


def test_a_mat_with_several_matrices_is_refused_and_they_are_named():
    scipy.io.savemat("k.mat", {"first": skewed(), "second": several()})
    with pytest.raises(InputError, match=r"first \(1 of 15×15\), second \(3 of 15×15\)"):
        read_kernels(Path("k.mat"))


@pytest.mark.parametrize("value", ["hello", 3.0, {"k": 1.0}, cell(skewed(), "text"), cell(), 1j * np.ones((3, 3))])
def test_a_mat_without_a_kernel_is_refused(value):
    scipy.io.savemat("k.mat", {"value": value})
    with pytest.raises(InputError, match=r"k\.mat: .*found none"):
        read_kernels(Path("k.mat"))


@pytest.mark.parametrize("name", ["rubbish.mat", "rubbish.npy", "rubbish.png", "rubbish.txt", "rubbish.csv"])
@pytest.mark.parametrize("content", [b"", b"not a file of this kind" * 20])
def test_rubbish_under_a_known_suffix_is_refused_in_one_line(name, content):
    Path(name).write_bytes(content)
    with pytest.raises(InputError, match=name) as error:
        read_kernels(Path(name))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["absent.mat", "absent.csv", "folder.npy", "k.jpg", "k"])
def test_what_is_no_kernel_file_is_named(name):
    Path("folder.npy").mkdir()
    Path("k.jpg").touch()
    with pytest.raises(InputError, match=name):
        read_kernels(Path(name))


def test_an_npy_with_a_pickle_inside_runs_no_code(tmp_path):
    trap = tmp_path / "trap"

    class Opens:
        def __reduce__(self):
            return open, (str(trap), "w")

    np.save("k.npy", np.array([[Opens()]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        read_kernels(Path("k.npy"))
    assert not trap.exists()


# --- writing


def test_the_same_arrays_give_the_same_bytes_at_any_time(monkeypatch):
    write_mat(Path("one.mat"), {"kernel": skewed()})
    monkeypatch.setattr("time.asctime", lambda *_: "Thu Jan  1 00:00:00 1970")
    write_mat(Path("two.mat"), {"kernel": skewed()})
    assert Path("one.mat").read_bytes() == Path("two.mat").read_bytes()
    np.testing.assert_array_equal(scipy.io.loadmat("one.mat")["kernel"], skewed())


def test_a_sparse_matrix_in_a_mat_is_no_kernel():
    scipy.io.savemat("k.mat", {"sparse": scipy.sparse.eye(5, format="csc"), "k": skewed()})
    np.testing.assert_allclose(only("k.mat"), skewed(), atol=1e-15)


def test_a_file_that_may_not_be_read_is_refused(unreadable):
    with pytest.raises(InputError, match=r"k\.npy: expected a file that can be read, found no permission"):
        read_kernels(unreadable("k.npy"))
