"""The page in a real browser without a picture, and with requests that follow each other quickly."""

import pytest

from panel_pictures import write_photo

pytestmark = pytest.mark.slow
NUMBERS = ("width", "second_width", "angle", "noise_level")


def numbers(page: object) -> list[str]:
    return [page.input_value(f"#{name} input[type=number]") for name in NUMBERS]


def wait_for_the_end_of_requests(page: object) -> None:
    page.wait_for_timeout(3000)


@pytest.fixture
def empty_page(empty_server, context):
    """A tab of the server without a picture, after its first requests."""
    with context.new_page() as page:
        page.goto(empty_server.address)
        page.wait_for_selector("#width input[type=number]")
        wait_for_the_end_of_requests(page)
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
    assert numbers(page) == before


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
    page.wait_for_function(
        "text => document.querySelector('#message [role=alert]')?.innerText === text", arg=sentence, timeout=30_000
    )
    assert page.locator(".toast-body").count() == 0
    page.fill("#noise_level input[type=number]", "7")
    page.press("#noise_level input[type=number]", "Enter")
    page.wait_for_function("document.querySelector('#command textarea').value.includes('--noise_level=7')")
    assert page.locator("#message [role=alert]").count() == 0
    assert "Traceback" not in server.log.read_text()


def test_on_a_phone_the_crop_stays_in_view_and_candidates_come_into_it(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("document.querySelector('#noise_level').scrollIntoView({ block: 'end' })")
    page.wait_for_timeout(500)
    assert page.evaluate("window.scrollY") > 400
    box = page.locator("#comparison").bounding_box()
    assert box["y"] == 0
    assert 100 < box["height"] < 400
    page.click("#show-candidates")
    page.locator("#candidates .thumbnail-item").first.wait_for()
    page.wait_for_timeout(1000)
    top = page.locator("#candidates").bounding_box()["y"]
    assert box["height"] <= top < box["height"] + 100  # it begins below the crop
