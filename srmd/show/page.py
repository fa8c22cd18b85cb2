"""A page of results as one HTML file: pictures to compare with a slider, tables and plots.

The file asks for nothing from outside, so that it can be opened from a disk or sent by mail: pictures are data URIs,
plots are inline SVG, and its Content-Security-Policy forbids all requests.
"""

import base64
import html
import io
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Comparison:
    """Pictures of one size, of which two at a time are compared with a slider.

    Attributes:
        title: what the pictures show.
        pictures: by label, (H, W, 3) uint8.
        left, right: the labels of those that are shown first.
    """

    title: str
    pictures: dict[str, NDArray[np.uint8]]
    left: str
    right: str

    def to_html(self) -> str:
        """The pictures above each other, the slider, and a choice of the picture for either side."""
        images = "\n".join(self._image(label, picture) for label, picture in self.pictures.items())
        choices = "\n".join(self._choice(side, shown) for side, shown in (("left", self.left), ("right", self.right)))
        height, width, _ = next(iter(self.pictures.values())).shape
        title = html.escape(self.title)
        return f"""<figure class="comparison">
<div class="choices">
{choices}
</div>
<div class="frame" style="aspect-ratio: {width} / {height}">
{images}
<input type="range" min="0" max="100" value="50" aria-label="Part of the left picture, percent: {title}">
</div>
<figcaption>{title}</figcaption>
</figure>"""

    def _image(self, label: str, picture: NDArray[np.uint8]) -> str:
        sides = {"is-left": label == self.left, "is-right": label == self.right}
        shown = " ".join(name for name, is_shown in sides.items() if is_shown)
        alt = html.escape(f"{self.title}: {label}")
        return f'<img class="{shown}" data-label="{html.escape(label)}" alt="{alt}" src="{data_uri(picture)}">'

    def _choice(self, side: str, shown: str) -> str:
        options = "".join(
            f"<option{' selected' if label == shown else ''}>{html.escape(label)}</option>" for label in self.pictures
        )
        return f'<label>{side.capitalize()} <select class="{side}" autocomplete="off">{options}</select></label>'


@dataclass(frozen=True)
class Table:
    """A table of texts; the first column names the rows."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def to_html(self) -> str:
        """The table, which scrolls if it is wider than the page."""
        header = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in self.header)
        rows = "\n".join(self._row(*row) for row in self.rows)
        return f'<div class="scrolling"><table>\n<tr>{header}</tr>\n{rows}\n</table></div>'

    def _row(self, name: str, *texts: str) -> str:
        cells = "".join(f"<td>{html.escape(text)}</td>" for text in texts)
        return f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>'


@dataclass(frozen=True)
class Plot:
    """A plot as inline SVG, and what it shows."""

    title: str
    svg: str  # an <svg> element

    def to_html(self) -> str:
        """The plot with its title."""
        title = html.escape(self.title)
        return f"""<figure class="plot" role="img" aria-label="{title}">
{self.svg}
<figcaption>{title}</figcaption>
</figure>"""


@dataclass(frozen=True)
class Section:
    """A part of a page: a text, the commands that made what it shows, and what it shows."""

    title: str
    text: str
    commands: tuple[str, ...]
    parts: list[Comparison | Table | Plot]

    def to_html(self) -> str:
        """The section, below its heading."""
        commands = "\n".join(html.escape(command) for command in self.commands)
        parts = "\n".join(part.to_html() for part in self.parts)
        heading = f"<h2>{html.escape(self.title)}</h2>\n<p>{html.escape(self.text)}</p>"
        return f"<section>\n{heading}\n<pre>{commands}</pre>\n{parts}\n</section>"


def data_uri(picture: NDArray[np.uint8]) -> str:
    """A picture (H, W, 3) as the address of a PNG that holds its data."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def results_page(title: str, text: str, sections: list[Section]) -> str:
    """The HTML of a page of results."""
    style, script = (_asset(name) for name in ("page.css", "page.js"))
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    body = "\n".join(section.to_html() for section in sections)
    title, text = html.escape(title), html.escape(text)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{text}</p>
{body}
</main>
<script>
{script}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return files("srmd.show").joinpath(name).read_text(encoding="utf-8")
