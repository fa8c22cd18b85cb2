"""The controls of the page and where they are."""

from dataclasses import dataclass

import gradio as gr

from srmd.config import AUTO, OFF
from srmd.panel.candidates import COLUMNS
from srmd.panel.download import FORMATS
from srmd.panel.networks import PanelNetworks
from srmd.panel.settings import BOUNDS, NUMBERS
from srmd.pictures.formats import DEFAULT_QUALITY

QUALITY = "quality"  # of `jpeg`: the quality is set by hand
LABELS = {
    "width": "Blur width, pixels of the result",
    "second_width": "Second blur width",
    "angle": "Angle of the blur, degrees",
    "noise_level": "Noise level of 255",
    "quality": "JPEG quality",
    "file_quality": "Quality of the file",
    "column": "Middle of the crop, column",
    "row": "Middle of the crop, row",
}
FORMAT_NAMES = {"png": "PNG", "jpg": "JPEG", "webp": "WebP", "tiff": "TIFF", "avif": "AVIF", "keep": "as the picture"}


@dataclass(frozen=True)
class Controls:
    """The components of the page that are read or changed."""

    upload: gr.File
    message: gr.HTML
    found: gr.HTML
    comparison: gr.ImageSlider
    overview: gr.Image
    column: gr.Number
    row: gr.Number
    scale: gr.Radio
    numbers: dict[str, gr.Slider]
    autos: dict[str, gr.Checkbox]  # whether a number is what was found
    jpeg: gr.Radio
    quality: gr.Slider
    kernel: gr.HTML
    command: gr.Textbox
    show_candidates: gr.Button
    candidates: gr.Gallery
    format: gr.Dropdown
    file_quality: gr.Slider
    restore: gr.Button
    cancel: gr.Button
    progress: gr.HTML
    download: gr.HTML

    @property
    def settings(self) -> list[gr.components.Component]:
        """The components that the settings are read from, in the order of `Handlers.read_settings`."""
        return [self.scale, *self.numbers.values(), *self.autos.values(), self.jpeg, self.quality]

    @property
    def file_choice(self) -> list[gr.components.Component]:
        """The components that format and quality of the file are read from."""
        return [self.format, self.file_quality]

    @property
    def crop(self) -> list[gr.components.Component]:
        """The components that change with the crop and with what the network is told of it, besides the message."""
        told = [self.found, self.kernel, self.command, self.jpeg, self.quality, *self.numbers.values()]
        return [*told, self.column, self.row, self.comparison]


def make_controls(networks: PanelNetworks) -> Controls:
    """Makes all components inside the present `gr.Blocks`."""
    gr.HTML(
        "<h1>SRMD</h1><p>Enlarge and restore a picture. All is computed on this machine: "
        "no picture leaves it, and nothing is kept but what you download.</p>",
        elem_id="title",
    )
    with gr.Row(elem_id="columns"):
        with gr.Column(scale=5, min_width=340):
            picture = _picture_controls()
        with gr.Column(scale=3, min_width=320):
            settings = _setting_controls(networks)
    return Controls(**picture, **settings)


def _picture_controls() -> dict:
    upload = gr.File(label="Picture: drop, paste or choose", height=130, elem_id="upload", type="filepath")
    message = gr.HTML(elem_id="message")
    found = gr.HTML(elem_id="found")
    comparison = gr.ImageSlider(
        label="Crop: before | restored",
        format="bmp",  # PNG would take a fifth of the network's time to write
        interactive=False,
        buttons=["fullscreen"],
        max_height=620,
        elem_id="comparison",
    )
    overview = gr.Image(
        label="Whole picture: click to move the crop",
        format="jpeg",
        interactive=False,
        buttons=[],
        height=240,
        elem_id="overview",
    )
    with gr.Row(equal_height=True, elem_id="centre"):
        column = gr.Number(label=LABELS["column"], precision=0, minimum=0, min_width=140, elem_id="column")
        row = gr.Number(label=LABELS["row"], precision=0, minimum=0, min_width=140, elem_id="row")
    candidates = gr.Gallery(
        label="Candidates: click one to take its settings",
        columns=COLUMNS,
        allow_preview=False,
        interactive=False,
        visible=False,
        buttons=[],
        format="bmp",
        height="auto",
        elem_id="candidates",
    )
    return {
        "upload": upload,
        "message": message,
        "found": found,
        "comparison": comparison,
        "overview": overview,
        "column": column,
        "row": row,
        "candidates": candidates,
    }


def _setting_controls(networks: PanelNetworks) -> dict:
    scales = [(f"×{scale}", scale) for scale in networks.scales]
    first = 2 if 2 in networks.scales else networks.scales[0]
    scale = gr.Radio(scales, value=first, label="Scale", elem_id="scale")
    numbers, autos = {}, {}
    for name in NUMBERS:
        is_used = name != "noise_level" or networks.takes_noise_level()
        numbers[name], autos[name] = _number_controls(name, is_used)
    jpeg = gr.Radio(
        [("auto", AUTO), ("none", OFF), ("by quality", QUALITY)], value=AUTO, label="JPEG compression", elem_id="jpeg"
    )
    low, high, step = BOUNDS["quality"]
    quality = gr.Slider(low, high, 75, step=step, label=LABELS["quality"], elem_id="quality", buttons=[])
    with gr.Row(elem_id="kernel-row"):
        kernel = gr.HTML(elem_id="kernel", min_height=90)
        show_candidates = gr.Button("Show candidates", size="md", elem_id="show-candidates")
    return {
        "scale": scale,
        "numbers": numbers,
        "autos": autos,
        "jpeg": jpeg,
        "quality": quality,
        "kernel": kernel,
        "show_candidates": show_candidates,
    } | _file_controls()


def _number_controls(name: str, is_used: bool) -> tuple[gr.Slider, gr.Checkbox]:
    low, high, step = BOUNDS[name]
    with gr.Row(equal_height=True, elem_classes="setting"):
        slider = gr.Slider(
            low,
            high,
            0,
            step=step,
            label=LABELS[name],
            interactive=is_used,
            scale=6,
            min_width=200,
            elem_id=name,
            buttons=[],
        )
        auto = gr.Checkbox(True, label="auto", interactive=is_used, scale=1, min_width=80, elem_id=f"auto-{name}")
    return slider, auto


def _file_controls() -> dict:
    with gr.Row(equal_height=True):
        choices = [(FORMAT_NAMES[name], name) for name in FORMATS]
        file_format = gr.Dropdown(choices, value="png", label="Format of the result", min_width=130, elem_id="format")
        low, high, step = BOUNDS["file_quality"]
        file_quality = gr.Slider(
            low,
            high,
            DEFAULT_QUALITY,
            step=step,
            label=LABELS["file_quality"],
            min_width=160,
            elem_id="file-quality",
            buttons=[],
        )
    with gr.Row(equal_height=True):
        restore = gr.Button("Restore the whole picture", variant="primary", elem_id="restore", min_width=180)
        cancel = gr.Button("Cancel", interactive=False, elem_id="cancel", min_width=80)
    progress = gr.HTML(elem_id="progress")
    download = gr.HTML(elem_id="download")
    command = gr.Textbox(
        label="The command that does the same", interactive=False, lines=2, buttons=["copy"], elem_id="command"
    )
    return {
        "format": file_format,
        "file_quality": file_quality,
        "restore": restore,
        "cancel": cancel,
        "progress": progress,
        "download": download,
        "command": command,
    }
