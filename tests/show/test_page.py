"""Pages of results."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chromium import chromium
from srmd.show.page import Comparison, Plot, Section, Table, results_page
from srmd.show.plots import loss_svg

ROWS = [{"step": step, "loss": 1 / step} for step in range(1, 30)]
ROWS.append({"step": 30, "loss": 0.02, "psnr_y": 30, "bicubic_psnr_y": 28})


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes, and its texts."""

    def __init__(self, page: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def pictures() -> dict[str, np.ndarray]:
    """Pictures of one colour each, 60×90."""
    colours = {"<LR> & more": (200, 0, 0), "SR": (0, 200, 0), "HR": (0, 0, 200)}
    return {label: np.full((60, 90, 3), colour, np.uint8) for label, colour in colours.items()}


@pytest.fixture(scope="module")
def page(pictures: dict[str, np.ndarray]) -> str:
    parts = [
        Comparison("A <photo>", pictures, "<LR> & more", "SR"),
        Table(("", "PSNR"), [("<script>alert(1)</script>", "30.1")]),
        Plot("Loss & PSNR", loss_svg(ROWS)),
    ]
    command = "python main.py a.png --output='<out>' " + 30 * "long "
    return results_page("Title <&>", "Text <b>", [Section("1. <Section>", "What & why", (command,), parts)])


def test_pictures_are_in_the_page(page: str, pictures: dict[str, np.ndarray]):
    images = Elements(page).named("img")
    assert [image["data-label"] for image in images] == list(pictures)
    for image, expected in zip(images, pictures.values(), strict=True):
        start, data = image["src"].split(",")
        assert start == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            np.testing.assert_array_equal(np.asarray(picture), expected)


def test_nothing_is_asked_for_from_outside(page: str):
    for tag, attributes in Elements(page).elements:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
                assert value.startswith(("data:", "#")), (tag, name, value)
    assert not re.search(r"@import|url\((?!#)", page)
    assert set(re.findall(r"https?://[^\"]*", page)) <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}


def test_texts_are_escaped(page: str):
    elements = Elements(page)
    texts = " ".join(elements.texts)
    for text in ("Title <&>", "Text <b>", "1. <Section>", "'<out>'", "A <photo>", "<script>alert(1)</script>"):
        assert text in texts
    assert len(elements.named("script")) == 1
    assert not {"photo", "section<", "out", "b", "lr"} & {tag for tag, _ in elements.elements}


def open_page(browser, path: Path, **options):
    opened = browser.new_page(**options)
    requests: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(path.as_uri())
    return opened, requests


def colour_at(opened, part: float) -> tuple[int, ...]:
    """The colour in the middle row of the pictures, at a part of their width."""
    shot = opened.locator(".frame").screenshot()
    with Image.open(io.BytesIO(shot)) as picture:
        return picture.convert("RGB").getpixel((int(part * picture.width), picture.height // 2))


@pytest.mark.slow
def test_a_browser_compares_pictures_by_keyboard_and_sends_no_request(page: str, tmp_path: Path):
    path = tmp_path / "index.html"
    path.write_text(page, encoding="utf-8")
    red, green, blue = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    with chromium() as browser:
        opened, requests = open_page(browser, path, viewport={"width": 390, "height": 800})
        assert (colour_at(opened, 0.25), colour_at(opened, 0.75)) == (red, green)
        opened.locator(".frame input").focus()
        for _ in range(40):
            opened.keyboard.press("ArrowLeft")
        assert colour_at(opened, 0.25) == green
        opened.keyboard.press("End")
        assert colour_at(opened, 0.75) == red
        opened.select_option("select.left", "HR")
        assert colour_at(opened, 0.75) == blue
        opened.select_option("select.left", "SR")  # both sides show one picture
        assert colour_at(opened, 0.25) == colour_at(opened, 0.75) == green
        assert opened.evaluate("document.documentElement.scrollWidth") <= 390
        assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
