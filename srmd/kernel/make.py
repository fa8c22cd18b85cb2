"""Writes the kernels and the P that come with the package.

python -m srmd.kernel.make    # writes kernels/*.mat
"""

from pathlib import Path

from srmd.base.paths import shipped_folder
from srmd.kernel.families import asymmetric, delta, gaussian
from srmd.kernel.files import write_mat
from srmd.kernel.pca import pca_matrix


def make_kernels(folder: Path) -> None:
    """Writes one .mat file for each kernel of the package (variable `kernel`), and pca.mat with P (variable `P`)."""
    kernels = {
        "delta": delta(),
        "isotropic_0.7": gaussian(0.7),
        "isotropic_1.3": gaussian(1.3),
        "isotropic_2.0": gaussian(2.0),
        "isotropic_2.6": gaussian(2.6),
        "anisotropic_2.6_1.0_30": gaussian(2.6, 1.0, 30),
        "anisotropic_3.0_1.5_120": gaussian(3.0, 1.5, 120),
        "asymmetric": asymmetric(),
    }
    folder.mkdir(exist_ok=True)
    for name, kernel in kernels.items():
        write_mat(folder / f"{name}.mat", {"kernel": kernel})
    write_mat(folder / "pca.mat", {"P": pca_matrix()})


if __name__ == "__main__":
    make_kernels(shipped_folder("kernels"))
