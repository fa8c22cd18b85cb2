"""The page in a real browser, against results of the command line."""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panel_pages import wait_for_the_end_of_requests, watch
from panel_pictures import write_photo

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def command(page: object) -> str:
    return page.input_value("#command textarea")


def wait_for_command(page: object, part: str) -> str:
    page.wait_for_function("part => document.querySelector('#command textarea').value.includes(part)", arg=part)
    return command(page)


def restored_address(page: object) -> str:
    return page.get_attribute("#comparison img.fixed", "src")


def wait_for_new_crop(page: object, old: str) -> None:
    page.wait_for_function("old => document.querySelector('#comparison img.fixed').src != old", arg=old)


def restored_crop(page: object) -> np.ndarray:
    response = page.request.get(restored_address(page))
    return np.asarray(Image.open(io.BytesIO(response.body())).convert("RGB"))


def run_command(text: str, folder: Path) -> Path:
    """Runs the command that the page shows in a folder with the picture; the path of its result."""
    arguments = shlex.split(text)
    assert arguments[0] == "srmd"
    output = folder / "results"
    command = [sys.executable, str(ROOT / "main.py"), *arguments[1:], f"--output={output}", "--visdom=off"]
    environment = os.environ | {"CC": "no-compiler"}  # as that of the server
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    (result,) = [path for path in output.iterdir() if path.name != "metrics.json"]
    return result


def restore_and_download(page: object, folder: Path) -> Path:
    page.click("#restore")
    with page.expect_download() as download:
        page.click("#download a")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_the_page_shows_what_was_found_and_the_restored_crop(page):
    found = page.inner_text("#found")
    assert "photo.jpg, 120×96; restored 240×192" in found
    assert "quality ≈ 80 4:2:0, from the file" in found
    assert "confidence" in found
    assert command(page) == "srmd photo.jpg --scale_factor=2 --engine=torch --precision=fp32 --suffix=_x2"
    assert restored_crop(page).shape == (192, 240, 3)
    assert re.match("kernel (delta|gaussian)", page.inner_text("#kernel figcaption"))


def test_a_number_that_is_typed_or_slid_changes_crop_kernel_and_command_and_auto_puts_it_back(page):
    old, found = restored_address(page), page.input_value("#width input[type=number]")
    page.fill("#width input[type=number]", "1.5")
    page.press("#width input[type=number]", "Enter")
    wait_for_command(page, "--kernel=gaussian:1.5 --noise_level=")
    wait_for_new_crop(page, old)
    expect(page.locator("#kernel figcaption")).to_have_text("kernel gaussian:1.5")
    expect(page.locator("#second_width input[type=number]")).to_have_value("1.5")
    expect(page.locator("#auto-width input")).not_to_be_checked()
    wait_for_the_end_of_requests(page)
    old = restored_address(page)
    page.focus("#noise_level input[type=range]")
    page.keyboard.press("ArrowRight")
    wait_for_new_crop(page, old)
    expect(page.locator("#command textarea")).not_to_have_value(re.compile("--noise_level=0 "))
    wait_for_the_end_of_requests(page)
    page.check("#auto-width input")
    page.check("#auto-noise_level input")
    page.wait_for_function("!document.querySelector('#command textarea').value.includes('--kernel')")
    expect(page.locator("#width input[type=number]")).to_have_value(found)


DIVIDER = "#comparison [data-testid=slider]"


def wait_for_divider(page: object, condition: str) -> float:
    """Waits until a condition of the divider's left side `x` holds; that side."""
    script = f"() => {{ const x = document.querySelector('{DIVIDER}').getBoundingClientRect().x; return {condition}; }}"
    page.wait_for_function(script)
    return page.locator(DIVIDER).bounding_box()["x"]


def test_the_divider_is_dragged_and_moved_by_keys(page):
    divider = page.locator(DIVIDER)
    start = divider.bounding_box()
    middle = start["x"] + start["width"] / 2, start["y"] + start["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 100, middle[1], steps=5)
    page.mouse.up()
    dragged = wait_for_divider(page, f"Math.abs(x - {start['x'] + 100}) <= 5")
    divider.focus()
    page.keyboard.press("ArrowLeft")
    wait_for_divider(page, f"x < {dragged - 10}")
    page.wait_for_function(f"Number(document.querySelector('{DIVIDER}').getAttribute('aria-valuenow')) > 50")


def test_a_click_into_the_whole_picture_moves_the_crop(page, tmp_path):
    write_photo(tmp_path / "wide.png", left=0, top=100, size=(480, 60))
    old = restored_address(page)
    page.set_input_files("#upload input[type=file]", tmp_path / "wide.png")
    wait_for_new_crop(page, old)
    expect(page.locator("#column input")).to_have_value("240")
    page.wait_for_function("document.querySelector('#overview img').naturalWidth === 480")
    wait_for_the_end_of_requests(page)
    old = restored_address(page)
    overview = page.locator("#overview img")
    box = overview.bounding_box()
    shown = min(box["width"], 480)  # it is not enlarged, and stands in the middle
    across = (box["width"] - shown) / 2 + 0.9 * shown
    overview.click(position={"x": across, "y": box["height"] / 2})
    page.wait_for_function("Math.abs(Number(document.querySelector('#column input').value) - 432) <= 3")
    wait_for_new_crop(page, old)
    assert restored_crop(page).shape == (120, 512, 3)
    old = restored_address(page)
    page.fill("#column input", "100")
    wait_for_new_crop(page, old)


def test_a_candidate_that_is_clicked_gives_its_settings(page):
    page.click("#show-candidates")
    candidates = page.locator("#candidates .thumbnail-item")
    candidates.nth(11).wait_for()
    label = candidates.nth(7).inner_text()
    number, width, noise = re.fullmatch(r"(\d+): width ([\d.]+), noise ([\d.]+)", label.strip()).groups()
    assert number == "8"
    candidates.nth(7).click()
    wait_for_command(page, f"--kernel=gaussian:{width} --noise_level={noise} ")
    expect(page.locator("#width input[type=number]")).to_have_value(width)
    expect(page.locator("#auto-noise_level input")).not_to_be_checked()


@pytest.mark.parametrize("file_format", ["PNG", "as the picture"])
def test_the_download_equals_the_file_of_the_command(page, server, tmp_path, file_format):
    page.fill("#width input[type=number]", "0.9")
    page.press("#width input[type=number]", "Enter")
    wait_for_command(page, "gaussian:0.9")
    if file_format != "PNG":
        page.click("#format input")
        page.get_by_role("option", name=file_format).click()
        wait_for_command(page, "--format=keep")
    downloaded = restore_and_download(page, tmp_path)
    (tmp_path / "photo.jpg").write_bytes(server.picture.read_bytes())
    result = run_command(command(page), tmp_path)
    assert result.name == downloaded.name == ("photo_x2.png" if file_format == "PNG" else "photo_x2.jpg")
    assert result.read_bytes() == downloaded.read_bytes()
    with Image.open(downloaded) as image:
        assert (image.size, image.getexif()[0x010E]) == ((240, 192), "a test")


def test_two_tabs_have_pictures_of_their_own(page, server, context, tmp_path):
    write_photo(tmp_path / "other.png", left=20, size=(64, 64))
    with context.new_page() as second:
        watch(second)
        second.goto(server.address)
        second.wait_for_selector("#comparison img")
        wait_for_the_end_of_requests(second)
        second.set_input_files("#upload input[type=file]", tmp_path / "other.png")
        wait_for_command(second, "other.png")
        second.click("#scale label:has-text('×3')")
        wait_for_command(second, "--scale_factor=3")
        page.fill("#width input[type=number]", "1.1")
        page.press("#width input[type=number]", "Enter")
        wait_for_command(page, "photo.jpg --scale_factor=2 --kernel=gaussian:1.1")
        assert "1.1" not in command(second)
        downloaded = restore_and_download(second, tmp_path)
        with Image.open(downloaded) as image:
            assert (downloaded.name, image.size) == ("other_x3.png", (192, 192))


def test_the_whole_picture_can_be_cancelled(page, tmp_path):
    write_photo(tmp_path / "large.png", left=0, top=0, size=(2048, 2048))  # it takes long enough
    page.set_input_files("#upload input[type=file]", tmp_path / "large.png")
    wait_for_command(page, "large.png")
    page.click("#restore")
    page.wait_for_selector("#progress progress")
    page.click("#cancel")
    page.wait_for_function("document.querySelector('#progress').innerText.includes('Cancelled')")
    expect(page.locator("#restore")).to_be_enabled()
    assert page.locator("#download a").count() == 0


def test_a_broken_picture_shows_a_sentence_and_the_earlier_one_stays(page, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    page.set_input_files("#upload input[type=file]", tmp_path / "broken.png")
    page.wait_for_selector("#message [role=alert]")
    text = page.inner_text("#message")
    assert text.startswith("broken.png: ")
    assert "/" not in text
    assert "photo.jpg" in page.inner_text("#found")


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("pasted.png", 'document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: files, bubbles: true }))'),
        (
            "dropped.png",
            'document.querySelector("#upload input[type=file]").parentElement'
            '.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true }))',
        ),
    ],
)
def test_a_picture_is_pasted_or_dropped(page, name, event):
    page.evaluate(
        f"""async () => {{
            const canvas = new OffscreenCanvas(40, 30);
            canvas.getContext("2d").fillRect(5, 5, 20, 20);
            const files = new DataTransfer();
            files.items.add(new File([await canvas.convertToBlob()], "{name}", {{ type: "image/png" }}));
            {event};
        }}"""
    )
    wait_for_command(page, f"srmd {name}")
    expect(page.locator("#found")).to_contain_text("40×30")


def test_an_upload_above_the_stated_size_is_refused_with_a_sentence(page, tmp_path):
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(129 * 2**20)
    page.set_input_files("#upload input[type=file]", tmp_path / "huge.png")
    page.wait_for_selector("text=/exceeds the maximum|expected at most/i")
    assert "photo.jpg" in page.inner_text("#found")


def read_axe(folder: Path) -> str:
    """The script of axe-core, from npm."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, which fetches axe-core")
    done = subprocess.run(["npm", "pack", "axe-core@4"], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm can't fetch axe-core: {done.stderr.strip().splitlines()[-1]}")
    (archive,) = folder.glob("axe-core-*.tgz")
    with tarfile.open(archive) as files:
        return files.extractfile("package/axe.min.js").read().decode()


def test_wide_and_narrow_pages_have_no_serious_fault_of_accessibility(page, tmp_path):
    axe = read_axe(tmp_path)
    page.click("#show-candidates")
    page.locator("#candidates .thumbnail-item").nth(11).wait_for()
    page.click("#restore")
    page.wait_for_selector("#download a")
    for width in (1400, 390):
        page.set_viewport_size({"width": width, "height": 900})
        wait_for_the_end_of_requests(page)  # and of changes of colours, in the middle of which contrasts may be low
        page.evaluate(axe)
        found = page.evaluate("axe.run()")["violations"]
        serious = [
            (fault["id"], [node["html"][:200] for node in fault["nodes"]])
            for fault in found
            if fault["impact"] in ("serious", "critical")
        ]
        assert serious == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
