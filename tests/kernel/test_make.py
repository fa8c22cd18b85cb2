"""The kernels that the package ships."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from plain_kernels import gaussian_by_loops, only
from srmd.kernel import make

ROOT = Path(__file__).parents[2]
SHIPPED = ["delta", "isotropic_0.7", "isotropic_1.3", "isotropic_2.0", "isotropic_2.6"]
SHIPPED += ["anisotropic_2.6_1.0_30", "anisotropic_3.0_1.5_120", "asymmetric"]


# --- the files that are shipped


def test_every_shipped_kernel_opens_in_scipy_under_one_key_and_sums_to_one():
    for name in SHIPPED:
        arrays = {k: a for k, a in scipy.io.loadmat(ROOT / "kernels" / f"{name}.mat").items() if k[0] != "_"}
        assert list(arrays) == ["kernel"], name
        assert arrays["kernel"].shape == (15, 15), name
        assert arrays["kernel"].sum() == pytest.approx(1, abs=1e-6), name


def test_the_shipped_files_equal_those_made_afresh(tmp_path):
    make.make_kernels(tmp_path / "kernels")
    made, shipped = (sorted(p.name for p in f.glob("*.mat")) for f in (tmp_path / "kernels", ROOT / "kernels"))
    assert made == shipped == sorted(f"{name}.mat" for name in [*SHIPPED, "pca"])
    for name in made:
        key = "P" if name == "pca.mat" else "kernel"
        fresh, ours = (scipy.io.loadmat(f / name)[key] for f in (tmp_path / "kernels", ROOT / "kernels"))
        np.testing.assert_allclose(fresh, ours, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", [name for name in SHIPPED if "isotropic" in name])
def test_a_shipped_gaussian_is_what_its_name_says(name):
    numbers = [float(number) for number in name.split("_")[1:]]
    expected = gaussian_by_loops(*(numbers if len(numbers) == 3 else [*numbers, *numbers, 0]))
    np.testing.assert_allclose(only(str(ROOT / "kernels" / f"{name}.mat")), expected, atol=1e-7)


def test_the_shipped_asymmetric_kernel_equals_none_of_its_turns_and_flips():
    k = scipy.io.loadmat(ROOT / "kernels" / "asymmetric.mat")["kernel"]
    turned = [np.rot90(m, n) for m in (k, k.T) for n in range(4)][1:]
    assert min(np.abs(k - t).sum() for t in turned) > 0.1
