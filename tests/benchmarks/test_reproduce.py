"""The reference scores: reading them, comparing with them, and measuring a cell of each scale."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import reproduce
from benchmarks.reproduce import Cell, Setting
from default_pca import default_pca
from published import NCNN, PCA, PICTURES, needs_networks, needs_set5
from srmd.model import SRMD, NetworkConfig
from srmd.weights.files import Weights, write_weights

CLEAN = Cell(Setting("Set5", "delta", 0, 2), "SRMD", reference=(37.0, 0.95), measured=(37.0, 0.95))
NOISY = replace(CLEAN, setting=Setting("Set5", "delta", 15, 2))


@pytest.mark.parametrize(
    ("cell", "psnr", "ssim", "off"),
    [
        (CLEAN, 37.019, 0.9496, False),
        (CLEAN, 36.979, 0.95, True),
        (CLEAN, 37.0, 0.9506, True),
        (NOISY, 37.09, 0.96, False),
        (NOISY, 36.89, 0.95, True),
    ],
)
def test_a_cell_is_off_if_it_differs_by_more_than_the_tolerance(cell: Cell, psnr: float, ssim: float, off: bool):
    cell = replace(cell, measured=(psnr, ssim))
    assert cell.is_off == off
    assert str(cell).endswith("OFF") == off


def test_the_reference_is_complete():
    cells = reproduce.reference_cells()
    assert len(cells) == len({(cell.setting, cell.network) for cell in cells})
    for data, kernels in (("Set5", 5), ("Set14", 5), ("B100", 1)):
        for network in ("bicubic", *reproduce.NETWORKS):
            for scale in reproduce.SCALES:
                matching = [c for c in cells if (c.setting.data, c.network, c.setting.scale) == (data, network, scale)]
                assert len({cell.setting.kernel for cell in matching}) >= min(kernels, 4)
    assert all(abs(float(cell.paper) - cell.reference[0]) < 0.08 for cell in cells if cell.paper)
    assert sum(cell.paper != "" for cell in cells) == 12


def small_networks(folder: Path) -> Path:
    folder.mkdir()
    for name, conditions, size in (("srmdnf_x4", ("kernel",), 21), ("SRMD_x4", ("kernel", "noise"), 15)):
        config = NetworkConfig(4, conditions=conditions, features=3, layers=2, kernel_size=size)
        write_weights(folder / f"{name}.safetensors", Weights(SRMD(config), default_pca(size)))
    return folder


def pictures(folder: Path) -> Path:
    (folder / "Set14").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(rng.integers(0, 256, (40, 44, 3), np.uint8)).save(folder / "Set14" / f"{name}.png")
    return folder


def test_cells_that_are_off_are_printed_and_the_exit_code_is_1(tmp_path: Path, capsys: pytest.CaptureFixture):
    """Random pictures and networks: every cell is off."""
    assert reproduce.main([str(small_networks(tmp_path / "weights")), str(pictures(tmp_path / "data"))]) == 1
    printed = capsys.readouterr().out
    cells = [cell for cell in reproduce.reference_cells() if cell.setting.data == "Set14"]
    measured = [cell for cell in cells if cell.network == "bicubic" or cell.setting.scale == 4]
    assert f"{len(measured)} of {len(reproduce.reference_cells())} cells measured" in printed
    assert printed.count("Set14 SRMDNF  gaussian:2.6,1.0,30  noise 0   x4") == 2  # when measured, and in the final list
    assert "| Set14 | `gaussian:2.6,1.0,30` | 0 | SRMDNF |  |  | " in printed


@pytest.mark.parametrize("missing", ["weights", "data"])
def test_missing_networks_or_pictures_are_a_one_line_error(tmp_path: Path, capsys: pytest.CaptureFixture, missing: str):
    folders = {"weights": small_networks(tmp_path / "weights"), "data": pictures(tmp_path / "data")}
    (tmp_path / "empty").mkdir()
    folders[missing] = tmp_path / "empty"
    with pytest.raises(SystemExit) as ended:
        reproduce.main([str(folders["weights"]), str(folders["data"])])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{missing.upper()}: expected")
    assert error.count("\n") == 1


@needs_networks
@needs_set5
@pytest.mark.parametrize(
    ("network", "setting"),
    [
        pytest.param("SRMDNF", Setting("Set5", "delta", 0, 2), marks=pytest.mark.slow),
        pytest.param("SRMD", Setting("Set5", "gaussian:2.6,1.0,30", 0, 3), marks=pytest.mark.slow),
        ("SRMD", Setting("Set5", "gaussian:1.3", 50, 4)),
    ],
)
def test_a_published_cell_is_reproduced(tmp_path: Path, network: str, setting: Setting):
    name = f"{network.lower()}_x{setting.scale}"
    for suffix in (".param", ".bin"):
        (tmp_path / f"{name}{suffix}").symlink_to(NCNN / f"{name}{suffix}")
    networks = reproduce.restorers(tmp_path, PCA)
    cells = [cell for cell in reproduce.reference_cells() if (cell.network, cell.setting) == (network, setting)]
    (cell,) = reproduce.reproduce(PICTURES, networks, cells)
    assert not cell.is_off
    assert cell.measured == pytest.approx(cell.reference, abs=0.003)
