"""The kernels and the P that come with the package."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from plain_kernels import gaussian_by_loops, parse_kernel
from srmd.kernel import make
from srmd.kernel.families import random_kernels
from srmd.kernel.pca import pca_energy, read_pca

ROOT = Path(__file__).parents[2]
SHIPPED = ["delta", "isotropic_0.7", "isotropic_1.3", "isotropic_2.0", "isotropic_2.6"]
SHIPPED += ["anisotropic_2.6_1.0_30", "anisotropic_3.0_1.5_120", "asymmetric"]


def test_every_shipped_file_holds_one_kernel_that_sums_to_one():
    for name in SHIPPED:
        arrays = {k: a for k, a in scipy.io.loadmat(ROOT / "kernels" / f"{name}.mat").items() if k[0] != "_"}
        assert list(arrays) == ["kernel"], name
        assert arrays["kernel"].shape == (15, 15), name
        assert arrays["kernel"].sum() == pytest.approx(1, abs=1e-6), name


def test_the_shipped_files_equal_newly_made_ones(tmp_path):
    make.make_kernels(tmp_path / "kernels")
    new_names, shipped_names = (
        sorted(p.name for p in f.glob("*.mat")) for f in (tmp_path / "kernels", ROOT / "kernels")
    )
    assert new_names == shipped_names == sorted(f"{name}.mat" for name in [*SHIPPED, "pca", "pca_21"])
    for name in new_names:
        key = "P" if name.startswith("pca") else "kernel"
        new, shipped = (scipy.io.loadmat(f / name)[key] for f in (tmp_path / "kernels", ROOT / "kernels"))
        np.testing.assert_allclose(new, shipped, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("size", "name"), [(15, "pca.mat"), (21, "pca_21.mat")])
def test_fifteen_numbers_keep_nearly_all_of_the_kernels_of_training(size: int, name: str):
    pca, kernels = read_pca(ROOT / "kernels" / name, size), random_kernels(np.random.default_rng(1), 2000, 4, size)
    assert pca_energy(kernels, pca) > 0.9998
    assert pca_energy(kernels, pca[:-5]) < 0.9998


@pytest.mark.parametrize("name", [name for name in SHIPPED if "isotropic" in name])
def test_a_shipped_gaussian_has_the_widths_and_angle_in_its_name(name):
    numbers = [float(number) for number in name.split("_")[1:]]
    expected = gaussian_by_loops(*(numbers if len(numbers) == 3 else [*numbers, *numbers, 0]))
    np.testing.assert_allclose(parse_kernel(str(ROOT / "kernels" / f"{name}.mat")), expected, atol=1e-7)


def test_the_asymmetric_kernel_differs_from_all_of_its_turns_and_flips():
    k = scipy.io.loadmat(ROOT / "kernels" / "asymmetric.mat")["kernel"]
    turned = [np.rot90(m, n) for m in (k, k.T) for n in range(4)][1:]
    assert min(np.abs(k - t).sum() for t in turned) > 0.1
