"""The page in a real browser without a picture, and with requests that follow each other quickly."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from panel_pages import wait_for_the_end_of_requests, watch
from panel_pictures import write_photo

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
pytestmark = pytest.mark.slow
NUMBERS = ("width", "second_width", "angle", "noise_level")


def numbers(page: object) -> list[str]:
    return [page.input_value(f"#{name} input[type=number]") for name in NUMBERS]


@contextmanager
def opened(server: SimpleNamespace, context: object) -> Iterator[object]:
    """A tab of a server without a picture, after its first requests."""
    with context.new_page() as page:
        watch(page)
        page.goto(server.address)
        page.wait_for_selector("#width input[type=number]")
        wait_for_the_end_of_requests(page)
        yield page


@pytest.fixture
def empty_page(empty_server, context):
    with opened(empty_server, context) as page:
        yield page


@pytest.fixture
def slow_page(slow_server, context):
    with opened(slow_server, context) as page:
        yield page


def test_without_a_picture_the_page_keeps_its_settings_and_takes_an_upload(empty_server, empty_page, tmp_path):
    page = empty_page
    assert page.inner_text("#scale label.selected") == "×2"
    assert numbers(page) == ["0"] * 4
    assert page.inner_text("#show-candidates") == "Show candidates"
    page.set_input_files("#upload input[type=file]", write_photo(tmp_path / "first.png", size=(100, 80)))
    page.wait_for_selector("#comparison img")
    assert "first.png, 100×80" in page.inner_text("#found")
    wait_for_the_end_of_requests(page)
    assert list(empty_server.temporary.rglob("first.png")) == []  # an upload is removed once it is read


def test_a_second_picture_is_shown_with_the_settings_that_the_page_shows(empty_page, tmp_path):
    page = empty_page
    page.set_input_files("#upload input[type=file]", write_photo(tmp_path / "first.png", size=(100, 80)))
    page.wait_for_selector("#comparison img")
    wait_for_the_end_of_requests(page)
    page.click("#jpeg label:has-text('none')")
    page.click("#format input")
    page.click("[role=option]:has-text('WebP')")
    command = "document.querySelector('#command textarea').value"
    page.wait_for_function(f"{command}.includes('--jpeg=off') && {command}.includes('--format=webp')")
    wait_for_the_end_of_requests(page)
    page.set_input_files("#upload input[type=file]", write_photo(tmp_path / "second.png", size=(100, 80)))
    page.wait_for_function(f"{command}.includes('second.png')")
    wait_for_the_end_of_requests(page)
    assert page.inner_text("#jpeg label.selected") == "auto"  # the compression is one of the picture
    assert "--jpeg" not in page.input_value("#command textarea")
    assert page.input_value("#format input") == "WebP"
    assert "--format=webp" in page.input_value("#command textarea")


@pytest.mark.parametrize("button", ["#restore", "#show-candidates", "#scale label:has-text('×3')"])
def test_without_a_picture_an_action_asks_for_one(empty_page, button):
    empty_page.click(button)
    empty_page.wait_for_selector("#message [role=alert]")
    assert empty_page.inner_text("#message") == "Choose a picture first."
    assert numbers(empty_page) == ["0"] * 4


def test_settings_stay_when_one_is_changed_several_times_at_once(page):
    before = numbers(page)
    for label in ("none", "auto", "none", "auto", "none"):
        page.click(f"#jpeg label:has-text('{label}')")
    page.wait_for_function("document.querySelector('#command textarea').value.includes('--jpeg=off')")
    wait_for_the_end_of_requests(page)
    assert all(numbers(page))
    assert page.inner_text("#scale label.selected") == "×2"
    page.click("#jpeg label:has-text('auto')")
    page.wait_for_function("!document.querySelector('#command textarea').value.includes('--jpeg')")
    wait_for_the_end_of_requests(page)
    assert numbers(page) == before


# Moves the slider of the width; the addresses of the restored crops that appear are kept in `shownCrops`.
SLIDE_QUICKLY = """async () => {
  window.shownCrops = [];
  const observer = new MutationObserver(() => {
    const address = document.querySelector("#comparison img.fixed")?.src;
    if (address && address != shownCrops.at(-1)) shownCrops.push(address);
  });
  observer.observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["src"] });
  const slider = document.querySelector("#width input[type=range]");
  for (const width of [1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8]) {
    slider.value = width;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}"""


def wait_for_crop(page: object, is_right: str, address: str) -> str:
    """Waits until the address of the restored crop `is_right`, compared with another one."""
    page.wait_for_function(f"arg => document.querySelector('#comparison img.fixed').src {is_right} arg", arg=address)
    return page.get_attribute("#comparison img.fixed", "src")


def test_of_a_slider_that_is_moved_only_the_last_value_is_restored(slow_page, tmp_path):
    page = slow_page
    page.set_input_files("#upload input[type=file]", write_photo(tmp_path / "large.png", left=0, size=(400, 400)))
    page.wait_for_selector("#comparison img.fixed")
    wait_for_the_end_of_requests(page)
    found = page.get_attribute("#comparison img.fixed", "src")
    page.evaluate(SLIDE_QUICKLY)
    wait_for_crop(page, "!=", found)
    wait_for_the_end_of_requests(page)
    (moved,) = [address for address in page.evaluate("shownCrops") if address != found]
    assert page.locator("#message [role=alert], .toast-body").count() == 0
    page.click("#auto-width input")
    wait_for_crop(page, "==", found)
    wait_for_the_end_of_requests(page)  # which sets the number to the width that was found
    page.fill("#width input[type=number]", "1.8")
    page.press("#width input[type=number]", "Enter")
    wait_for_crop(page, "==", moved)  # the address is a hash of the pixels


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("#width", "", "Blur width, pixels of the result: expected a number from 0 to 8, found nothing"),
        ("#width", "99", "Blur width, pixels of the result: expected a number from 0 to 8, found 99"),
        ("#column", "", "Middle of the crop, column: expected a number from 0 to 120, found nothing"),
        ("#column", "-5", "Middle of the crop, column: expected a number from 0 to 120, found -5"),
    ],
)
def test_a_field_that_is_empty_or_out_of_range_gives_a_sentence_and_the_next_setting_works(
    page, server, field, typed, sentence
):
    page.fill(f"{field} input[type=number]", typed)
    page.wait_for_function("text => document.querySelector('#message [role=alert]')?.innerText === text", arg=sentence)
    assert page.locator(".toast-body").count() == 0
    page.fill("#noise_level input[type=number]", "7")
    page.press("#noise_level input[type=number]", "Enter")
    page.wait_for_function("document.querySelector('#command textarea').value.includes('--noise_level=7')")
    expect(page.locator("#message [role=alert]")).to_have_count(0)
    assert "Traceback" not in server.log.read_text()


def test_on_a_phone_the_crop_stays_in_view_and_candidates_come_into_it(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("document.querySelector('#noise_level').scrollIntoView({ block: 'end' })")
    page.wait_for_function("window.scrollY > 400")
    page.wait_for_function("document.querySelector('#comparison').getBoundingClientRect().y === 0")
    height = page.locator("#comparison").bounding_box()["height"]
    assert 100 < height < 400
    page.click("#show-candidates")
    page.locator("#candidates .thumbnail-item").first.wait_for()
    top = "document.querySelector('#candidates').getBoundingClientRect().y"
    page.wait_for_function(f"{height} <= {top} && {top} < {height + 100}")  # it begins below the crop
