"""The pieces of HTML on the page: what was found, the kernel, progress, messages and the link to the result."""

import html

from srmd.config import AUTO
from srmd.jpeg.tables import JpegTables
from srmd.panel.download import ResultFile
from srmd.panel.loaded import LoadedPicture
from srmd.panel.session import Found, Told
from srmd.panel.settings import Settings
from srmd.panel.whole import Result
from srmd.restore.estimate import Estimate
from srmd.restore.jpeg import ToldJpeg
from srmd.show.page import data_uri
from srmd.show.pictures import kernel_picture

SOURCES = {"file": "from the file", "estimated": "estimated"}
TWICE = ", compressed twice"


def found_list(picture: LoadedPicture, found: Found, settings: Settings, takes_jpeg: bool) -> str:
    """What was found in a picture, as a list of terms and descriptions.

    `takes_jpeg`: whether a network of this scale can be told of JPEG.
    """
    height, width = picture.size
    scale = settings.scale
    entries = {
        "Picture": f"{picture.name}, {width}×{height}; restored {scale * width}×{scale * height}",
        "Blur": describe_blur(found.estimate),
        "Noise": f"level {found.estimate.noise_level:g} of 255" if found.estimate.noise_level else "none",
        "JPEG": describe_jpeg(found.jpeg, picture.picture.jpeg, is_searched=takes_jpeg and settings.jpeg == AUTO),
    }
    terms = [f"<dt>{term}</dt><dd>{html.escape(text)}</dd>" for term, text in entries.items()]
    warnings = [f"<dt>Note</dt><dd>{html.escape(warning)}</dd>" for warning in picture.picture.warnings]
    return f'<dl class="found">{"".join([*terms, *warnings])}</dl>'


def describe_blur(estimate: Estimate) -> str:
    """The estimated blur and how sure it is."""
    confidence = f"confidence {estimate.confidence:.0%}"
    if not estimate.is_sure:
        return f"the picture tells too little about it: no blur is assumed ({confidence})"
    if estimate.kernel_spec == "delta":
        return f"none ({confidence})"
    wide, narrow = estimate.widths
    if wide == narrow:
        return f"Gaussian of width {wide:g} pixels of the result ({confidence})"
    return f"Gaussian of widths {wide:g} and {narrow:g} pixels of the result at {estimate.angle:g}° ({confidence})"


def describe_jpeg(told: ToldJpeg | None, of_file: JpegTables | None, is_searched: bool) -> str:
    """The compression that was found, where it is known from, and what the network is told if that is another one.

    `is_searched`: whether traces of JPEG were searched in the picture if the file is none.
    """
    if told is not None and told.source != "given":
        return f"{_quality(told.tables)}{TWICE if told.is_compressed_twice else ''}, {SOURCES[told.source]}"
    if is_searched:
        return "no traces of JPEG compression were found"
    in_file = "the file is no JPEG" if of_file is None else f"{_quality(of_file)}, {SOURCES['file']}"
    return f"{in_file}; the network is told {'of none' if told is None else f'{_quality(told.tables)}, as set'}"


def _quality(tables: JpegTables) -> str:
    return f"quality ≈ {tables.quality} {tables.subsampling}"


def kernel_figure(told: Told) -> str:
    """The kernel as a picture with its name below."""
    source = data_uri(kernel_picture(told.kernel[None], zoom=1))
    name = html.escape(told.kernel_spec)
    return (
        f'<figure class="kernel"><img src="{source}" alt="Blur kernel {name}: white is its largest value">'
        f"<figcaption>kernel {name}</figcaption></figure>"
    )


def message(text: str, is_error: bool = False) -> str:
    """A sentence that screen readers read out when it appears."""
    if not text:
        return ""
    role, kind = ("alert", "error") if is_error else ("status", "note")
    return f'<p role="{role}" class="{kind}">{html.escape(text)}</p>'


def progress_bar(done: float) -> str:
    """The progress of the whole picture; `done` is from 0 to 1."""
    percent = f"{done:.0%}"
    return (
        f'<p role="status" class="note">Restoring the whole picture: {percent}</p>'
        f'<progress max="1" value="{done:.3f}" aria-label="Progress of the whole picture">{percent}</progress>'
    )


def download_link(result: Result, file: ResultFile, told: Told) -> str:
    """The link to the file of a result, with its size and what its format can't hold."""
    height, width = result.pixels.shape[:2]
    facts = f"{width}×{height}, {_describe_bytes(file.bytes)}; kernel {told.kernel_spec}, noise {told.noise_level:g}"
    warnings = "".join(f'<p class="note">{html.escape(warning)}</p>' for warning in file.warnings)
    return (
        f'<a class="download" href="/download/{file.secret}" download="{html.escape(file.name)}">'
        f'Download {html.escape(file.name)}</a><p class="note">{html.escape(facts)}</p>{warnings}'
    )


def _describe_bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
