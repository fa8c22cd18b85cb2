"""Kernel files that are broken, hold no kernel or too much are refused with their name."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from kernel_stacks import cell_array, kernel_stack
from plain_kernels import asymmetric_kernel
from srmd.base.errors import InputError
from srmd.kernel.files import MAX_KERNELS, read_kernels

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


def test_an_invalid_kernel_among_several_is_named_by_its_index():
    stack = kernel_stack()
    stack[1] = 0
    np.save("k.npy", stack)
    with pytest.raises(InputError, match=r"k\.npy\[1\]: .*positive sum"):
        read_kernels(Path("k.npy"))


def test_a_mat_with_several_matrices_is_refused_with_their_names():
    scipy.io.savemat("k.mat", {"first": asymmetric_kernel(), "second": kernel_stack()})
    with pytest.raises(InputError, match=r"first \(1 of 15×15\), second \(3 of 15×15\)"):
        read_kernels(Path("k.mat"))


def test_a_refusal_names_ten_of_many_variables():
    scipy.io.savemat("k.mat", {f"k{number}": np.ones((3, 3)) for number in range(100)})
    with pytest.raises(InputError, match=r"found k0 \(1 of 3×3\), .* k9 \(1 of 3×3\)$"):
        read_kernels(Path("k.mat"))


@pytest.mark.parametrize(
    "value", ["hello", 3.0, {"k": 1.0}, cell_array(asymmetric_kernel(), "text"), cell_array(), 1j * np.ones((3, 3))]
)
def test_a_mat_without_a_kernel_is_refused(value):
    scipy.io.savemat("k.mat", {"value": value})
    with pytest.raises(InputError, match=r"k\.mat: .*found value"):
        read_kernels(Path("k.mat"))


@pytest.mark.parametrize("name", ["P", "p"])
def test_the_pca_matrix_is_no_kernel(name: str):
    scipy.io.savemat("k.mat", {name: np.ones((15, 225))})
    with pytest.raises(InputError, match=r"k\.mat: .*found P, the PCA matrix$"):
        read_kernels(Path("k.mat"))
    scipy.io.savemat("k.mat", {name: np.ones((15, 225)), "blur": np.ones((3, 3))})
    assert read_kernels(Path("k.mat"))[0].shape == (3, 3)
    scipy.io.savemat("k.mat", {name: np.ones((5, 5))})
    assert read_kernels(Path("k.mat"))[0].shape == (5, 5)


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


def test_a_file_without_read_permission_is_refused(unreadable):
    with pytest.raises(InputError, match=r"k\.npy: expected a file that can be read, found no permission"):
        read_kernels(unreadable("k.npy"))


def test_a_pickle_in_an_npy_runs_no_code(tmp_path):
    trap = tmp_path / "trap"

    class Opens:
        def __reduce__(self):
            return open, (str(trap), "w")

    np.save("k.npy", np.array([[Opens()]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        read_kernels(Path("k.npy"))
    assert not trap.exists()


@pytest.mark.parametrize("name", ["k.npy", "k.mat"])
def test_too_many_kernels_are_refused_before_any_is_normalised(name, monkeypatch: pytest.MonkeyPatch):
    stack = np.ones((MAX_KERNELS + 1, 3, 3), np.uint8)
    write = np.save if name.endswith(".npy") else lambda name, stack: scipy.io.savemat(name, {"k": stack.T})
    write(name, stack)
    monkeypatch.setattr("srmd.kernel.files.normalise_kernel", lambda *_: pytest.fail("a kernel was normalised"))
    with pytest.raises(InputError, match=f"expected at most {MAX_KERNELS} kernels, found {MAX_KERNELS + 1}"):
        read_kernels(Path(name))


def test_kernels_that_are_large_when_they_are_squares_are_refused(monkeypatch):
    monkeypatch.setattr("srmd.kernel.files.MAX_VALUES", 2 * 25)
    np.save("k.npy", np.ones((2, 1, 5)))
    assert len(read_kernels(Path("k.npy"))) == 2
    np.save("k.npy", np.ones((3, 1, 5)))
    with pytest.raises(InputError, match="expected kernels with at most 50 numbers as squares, found more"):
        read_kernels(Path("k.npy"))
