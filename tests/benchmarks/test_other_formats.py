"""Pictures stored as WebP and AVIF: the rows of the table, what the tool makes of the files, and traces of JPEG."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks import other_formats
from picture_files import open_picture
from small_restoring import write_network
from srmd.degradation import degrade_picture
from srmd.evaluate.resize import resize_picture
from srmd.jpeg.pillow_codec import compress_array
from srmd.jpeg.tables import JpegTables
from srmd.pictures.metrics import score
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.restorer import load

PHOTO = builtin_test_pictures()["chelsea"][60:220, 110:270]
HR = [PHOTO[:64, :48], PHOTO[64:128, :48]]
KERNEL = "gaussian:1.3"


def psnr(sr: list[NDArray], hr: list[NDArray] = HR) -> float:
    return np.mean([score(each / 255, true / 255, 2)["psnr_y"] for each, true in zip(sr, hr, strict=True)])


@pytest.fixture(autouse=True)
def one_cell(monkeypatch: pytest.MonkeyPatch):
    """One kernel and one quality are measured."""
    monkeypatch.setattr(other_formats, "KERNELS", (KERNEL,))
    monkeypatch.setattr(other_formats, "QUALITIES", (40,))


def test_a_row_is_measured_on_the_files_that_pillow_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_network("srmd_x2.safetensors", conditions=("kernel", "noise"))
    monkeypatch.setattr(other_formats, "shipped", lambda name: Path(f"{name}.safetensors"))
    none = [np.zeros_like(picture) for picture in HR]
    results = {f"--kernel={KERNEL}": (HR, [2, 5]), "--kernel=auto": (HR[::-1], [0, 1]), "--jpeg=50": (none, [3, 3])}

    def tool(lr: Path, _: Path, flag: str) -> dict:
        restored, levels = results[flag]
        files = {path.stem: int(path.stem[-1]) for path in lr.iterdir()}
        assert {stem[:-2] for stem in files} == {"WebP_40", "AVIF_40", "JPEG_40"}
        return {stem: (restored[index], levels[index], stem != "AVIF_40_0") for stem, index in files.items()}

    monkeypatch.setattr(other_formats, "run_tool", tool)
    _, _, webp, avif, jpeg, last = other_formats.table(HR)
    files = [tmp_path / f"{index}.webp" for index in range(2)]
    for path, picture in zip(files, HR, strict=True):
        Image.fromarray(degrade_picture(picture, KERNEL, scale=2)).save(path, quality=40)
    lr = [np.asarray(open_picture(path).convert("RGB")) for path in files]
    network = load("srmd_x2.safetensors", precision="fp32")
    levels = {level: psnr([network.restore(picture, KERNEL, level) for picture in lr]) for level in (0, 5, 10, 15)}
    best = max(levels, key=levels.get)
    bits = np.mean([8 * path.stat().st_size / (32 * 24) for path in files])
    bicubic = psnr([resize_picture(picture, (64, 48), np.dtype(np.uint8)) for picture in lr])
    assert webp == (
        f"| {KERNEL} | WebP 40 | {bits:.2f} | {bicubic:.2f} | {levels[0]:.2f} | {levels[best]:.2f} ({best}) "
        f"| inf (3.5) | {psnr(HR[::-1]):.2f} (0.5) | {psnr(none):.2f} (3.0) |"
    )
    assert avif.startswith(f"| {KERNEL} | AVIF 40 | ")
    assert " | – | – | inf (3.5) | " in jpeg
    assert last == "\nA JPEG was recognised in 3 of the 4 files of WebP and AVIF."


@pytest.mark.parametrize(("quality", "jpeg", "found"), [(100, 40, 2), (100, None, 0), (30, 40, 0)])
def test_traces_of_jpeg_are_counted_in_the_stored_pictures(
    monkeypatch: pytest.MonkeyPatch, quality: int, jpeg: int | None, found: int
):
    monkeypatch.setattr(other_formats, "QUALITIES", (quality,))
    pictures = [PHOTO, PHOTO[::-1].copy()]
    if jpeg:
        pictures = [compress_array(picture, JpegTables.of_quality(jpeg)) for picture in pictures]
    expected = [f"WebP {quality}: {found} of 2", f"AVIF {quality}: {found} of 2"]
    assert list(other_formats.traces(pictures)) == expected


@pytest.mark.slow
def test_the_tool_restores_the_files_and_the_page_has_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(other_formats, "SIDE", 48)
    (tmp_path / "hr").mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "hr" / "a.png")
    page = tmp_path / "page.md"
    page.write_text("<!-- other formats -->\n\nold\n\n<!-- end of other formats -->\n")
    monkeypatch.setattr(sys, "argv", ["other_formats", str(tmp_path / "hr"), f"--page={page}"])
    other_formats.main()
    header, _, *rows = (line for line in page.read_text().splitlines() if line.startswith("|"))
    assert header.endswith("| told the kernel | told nothing | told JPEG |")
    cells = {row.split(" | ")[1]: [cell.split(" ")[0] for cell in row.split(" | ")[2:]] for row in rows}
    assert list(cells) == ["WebP 40", "AVIF 40", "JPEG 40"]
    assert all(float(cells[name][3]) >= float(cells[name][2]) for name in ("WebP 40", "AVIF 40"))
    assert float(cells["JPEG 40"][4]) > float(cells["JPEG 40"][1])  # told its tables, above bicubic
    assert "A JPEG was recognised in 0 of the 2 files" in page.read_text()
    assert "\nold\n" not in page.read_text()
