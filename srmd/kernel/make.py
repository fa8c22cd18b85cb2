"""Writes the kernels and the P that come with the package.

python -m srmd.kernel.make    # writes kernels/*.mat
"""

from pathlib import Path

from srmd.base.paths import shipped_folder
from srmd.kernel.families import asymmetric, delta, gaussian
from srmd.kernel.files import write_mat
from srmd.kernel.pca import SHIPPED_PCA, pca_matrix


def make_kernels(folder: Path) -> None:
    """Writes a .mat file for each kernel of the package (variable `kernel`), and one for each P (variable `P`)."""
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
    for size, name in SHIPPED_PCA.items():
        write_mat(folder / name, {"P": pca_matrix(size)})


if __name__ == "__main__":
    make_kernels(shipped_folder("kernels"))
