"""What the page does when a person changes something on it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from srmd.base.errors import InputError
from srmd.config import AUTO, PanelRequest
from srmd.panel import markup
from srmd.panel.command import command_line, format_flags, name_flags, tile_flags
from srmd.panel.download import FileChoice
from srmd.panel.layout import QUALITY, Controls
from srmd.panel.session import Session, Told
from srmd.panel.sessions import Sessions
from srmd.panel.settings import (
    BOUNDS,
    NUMBERS,
    Settings,
    checked_number,
    chosen_blur,
    chosen_noise_level,
    number_between,
)
from srmd.panel.whole import WholeRun

PROGRESS_INTERVAL = 0.25  # seconds
Updates = dict[gr.components.Component, object]


class Handlers:
    """The functions that the events of the page call; each yields changes of components."""

    def __init__(self, controls: Controls, sessions: Sessions, request: PanelRequest):
        self._controls, self._sessions, self._request = controls, sessions, request
        self._networks = sessions.networks

    def open_first(self, *values: object, tab: str) -> Iterator[Updates]:
        """A new tab: loads the picture of the command line, if there is one."""
        if self._request.input is not None:
            yield from self._open(tab, self._request.input, values)

    def upload(self, uploaded: object, *values: object, tab: str) -> Iterator[Updates]:
        """A picture was dropped, pasted or chosen; its file is removed once it is read."""
        if uploaded is None:
            return
        path = self._sessions.uploaded(uploaded)
        try:
            yield from self._open(tab, path, values)
        finally:
            path.unlink(missing_ok=True)

    def _open(self, tab: str, path: Path, values: tuple) -> Iterator[Updates]:
        """Loads a picture. The scale and the format of the file stay; what belongs to a picture is auto again."""
        controls = self._controls
        yield {controls.upload: None, controls.message: markup.message(f"Reading {path.name} …")}
        settings = Settings(self._scale(values[0]))
        session = self._sessions.session(tab)
        session.load(path, path.name)
        self._sessions.bound(tab)
        cleared = {controls.progress: "", controls.download: "", controls.candidates: gr.update(visible=False)}
        placed = self._shown_crop(session, settings) | self._centre(session)
        yield cleared | dict.fromkeys(controls.autos.values(), True) | {controls.jpeg: AUTO} | placed
        yield from self._show(session, settings, self._file_choice(values))

    def change(self, *values: object, tab: str, changed: str = "") -> Iterator[Updates]:
        """A setting was changed; a number that a person sets is no longer auto."""
        session = self._sessions.session(tab)
        settings = self.read_settings(values, changed)
        first: Updates = {self._controls.autos[changed]: False} if changed in NUMBERS else {}
        if changed == "quality":
            first = {self._controls.jpeg: QUALITY}
        if changed == "scale":
            first |= self._shown_crop(session, settings)
            first[self._controls.candidates] = gr.update(visible=False)  # their widths are those of another scale
        if first:
            yield first
        yield from self._show(session, settings, self._file_choice(values))

    def click(self, *values: object, tab: str, event: gr.SelectData) -> Iterator[Updates]:
        """The whole picture was clicked: the crop moves there."""
        session = self._sessions.session(tab)
        height, width = session.loaded.overview.shape[:2]
        column, row = event.index
        session.centre = tuple(float(np.clip(at, 0, 1)) for at in (row / height, column / width))
        yield self._centre(session)
        yield from self._show_moved(session, values)

    def type_centre(self, *values: object, tab: str) -> Iterator[Updates]:
        """Column and row of the crop's middle were typed; they are the last two values."""
        session = self._sessions.session(tab)
        *values, column, row = values
        height, width = session.loaded.size
        row, column = number_between("row", row, 0, height), number_between("column", column, 0, width)
        session.centre = row / height, column / width
        yield from self._show_moved(session, tuple(values))

    def _show_moved(self, session: Session, values: tuple) -> Iterator[Updates]:
        """Shows the crop at its new place."""
        settings = self.read_settings(values)
        yield self._shown_crop(session, settings)
        yield from self._show(session, settings, self._file_choice(values))

    def show_candidates(self, *values: object, tab: str) -> Iterator[Updates]:
        """Restores the candidates and shows them."""
        session, gallery = self._sessions.session(tab), self._controls.candidates
        yield {self._controls.message: markup.message("Restoring the candidates …")}
        shown = session.candidates(self.read_settings(values))
        pictures = [(pixels, candidate.label) for candidate, pixels in shown]
        update = gr.update(value=pictures, visible=True, selected_index=None)
        yield {gallery: update, self._controls.message: ""}

    def take_candidate(self, *values: object, tab: str, event: gr.SelectData) -> Iterator[Updates]:
        """A candidate was clicked: its settings are taken."""
        session, controls = self._sessions.session(tab), self._controls
        candidate = session.candidate(event.index)
        chosen = {name: getattr(candidate.settings, name) for name in NUMBERS}
        settings = replace(self.read_settings(values), **chosen)
        taken: Updates = {controls.candidates: gr.update(selected_index=None)}
        for name, number in chosen.items():
            taken[controls.autos[name]] = number is None
            if number is not None:
                taken[controls.numbers[name]] = _within_bounds(name, number)
        text = f"The settings of candidate {candidate.label} are taken."
        yield taken | {controls.message: markup.message(text)}
        yield from self._show(session, settings, self._file_choice(values), text)

    def restore(self, *values: object, tab: str) -> Iterator[Updates]:
        """Restores the whole picture, shows the progress, and at the end the link to the result."""
        controls, session = self._controls, self._sessions.session(tab)
        settings, choice = self.read_settings(values), self._file_choice(values)
        told = session.told(settings)
        run = session.start(settings)
        buttons = {controls.restore: gr.update(interactive=False), controls.cancel: gr.update(interactive=True)}
        try:
            while not run.ended.is_set():
                yield buttons | {controls.progress: markup.progress_bar(run.done), controls.download: ""}
                run.ended.wait(PROGRESS_INTERVAL)
        finally:  # also if the tab was closed
            if not run.ended.is_set():
                run.cancel()
        yield {controls.restore: gr.update(interactive=True), controls.cancel: gr.update(interactive=False)}
        yield from self._show_end(session, run, choice, told)

    def _show_end(self, session: Session, run: WholeRun, choice: FileChoice, told: Told) -> Iterator[Updates]:
        """Shows the link to the result of a run that has ended, or why there is none."""
        controls = self._controls
        if run.error is not None:
            reason = name_flags(str(run.error))
            yield {controls.progress: markup.message(f"It failed: {reason}", is_error=True)}
        elif run.result is None:
            yield {controls.progress: markup.message("Cancelled.")}
        else:
            yield {controls.progress: markup.message("Writing the file …")}
            try:
                file = session.encode(choice)
            except InputError:  # the format cannot hold a picture of this size
                yield {controls.progress: ""}
                raise
            link = "" if file is None else markup.download_link(run.result, file, told)
            yield {controls.progress: "", controls.download: link}

    def cancel(self, *_values: object, tab: str) -> Iterator[Updates]:
        """Ends the run of the whole picture."""
        self._sessions.session(tab).cancel()
        yield {self._controls.cancel: gr.update(interactive=False)}

    def change_file(self, *values: object, tab: str) -> Iterator[Updates]:
        """Another format or quality was chosen: the result is encoded anew, and the command is."""
        controls, session = self._controls, self._sessions.session(tab)
        settings, choice = self.read_settings(values), self._file_choice(values)
        yield {controls.command: self._command(session, settings, choice), controls.message: ""}
        file = session.encode(choice)
        if file is not None:
            told = session.told(session.result.settings)
            yield {controls.download: markup.download_link(session.result, file, told)}

    def _show(self, session: Session, settings: Settings, choice: FileChoice, text: str = "") -> Iterator[Updates]:
        """Shows what was found and is told, and then the crop; `text` is the message beside it."""
        controls, number = self._controls, session.begin_preview()
        found = session.found(settings, lambda: session.is_newest(number))
        told = session.told(settings)
        if not session.is_newest(number):  # while this estimate was made, a person has changed a setting
            return
        takes_jpeg = self._networks.takes_jpeg(settings.scale)
        shown: Updates = {
            controls.found: markup.found_list(session.loaded, found, settings, takes_jpeg),
            controls.kernel: markup.kernel_figure(told),
            controls.command: self._command(session, settings, choice),
            controls.message: markup.message(text),
            controls.jpeg: gr.update(interactive=takes_jpeg),
            controls.quality: gr.update(interactive=takes_jpeg),
        }
        if settings.jpeg == AUTO and found.jpeg is not None:
            quality = int(np.clip(found.jpeg.tables.quality, *BOUNDS["quality"][:2]))
            shown[controls.quality] = gr.update(interactive=takes_jpeg, value=quality)
        blur = chosen_blur(settings, found.estimate)
        values = blur._asdict() | {"noise_level": chosen_noise_level(settings, found.estimate)}
        for name, value in values.items():
            if getattr(settings, name) is None:  # a person may move on the others while this is computed
                shown[controls.numbers[name]] = _within_bounds(name, value)
        yield shown
        yield {controls.comparison: session.preview(settings, number)}

    def _shown_crop(self, session: Session, settings: Settings) -> Updates:
        """The whole picture with a frame around the crop."""
        picture, controls = session.loaded, self._controls
        rows, columns = picture.crop(session.centre, settings.scale)
        return {controls.overview: _framed(picture.overview, rows, columns, picture.size)}

    def _centre(self, session: Session) -> Updates:
        """The crop's middle in numbers."""
        height, width = session.loaded.size
        row, column = session.centre
        return {self._controls.column: round(column * width), self._controls.row: round(row * height)}

    def _command(self, session: Session, settings: Settings, choice: FileChoice) -> str:
        name, told = session.loaded.name, session.told(settings)
        flags = tile_flags(session.loaded.size, self._networks.config(told.weights))
        flags += format_flags(choice, name, settings.scale)
        takes_noise_level = self._networks.takes_noise_level()
        return command_line(self._request, name, settings, told, takes_noise_level, flags)

    def read_settings(self, values: tuple, changed: str = "") -> Settings:
        """The settings in the values of `Controls.settings`; the number `changed` is taken even where auto is on."""
        scale, *others = values
        count = len(NUMBERS)
        numbers, autos, (jpeg, quality) = others[:count], others[count : 2 * count], others[2 * count : 2 * count + 2]
        chosen = {
            name: None if is_auto and name != changed else checked_number(name, number)
            for name, number, is_auto in zip(NUMBERS, numbers, autos, strict=True)
        }
        if jpeg == QUALITY or changed == "quality":
            jpeg = quality
        scale = self._scale(scale)
        if not self._networks.takes_jpeg(scale):
            return Settings(scale, **chosen)
        return Settings(scale, **chosen, jpeg=jpeg)

    def _scale(self, value: object) -> int:
        if value not in self._networks.scales:
            raise InputError(f"expected one of {self._networks.scales}, found {value!r}", "scale")
        return value

    def _file_choice(self, values: tuple) -> FileChoice:
        """Format and quality of the file, the values after those of the settings."""
        return FileChoice(*values[len(self._controls.settings) :][:2])


def _within_bounds(name: str, value: float) -> float:
    """A number as its slider takes it."""
    low, high, _ = BOUNDS[name]
    return float(np.clip(value, low, high))


def _framed(overview: NDArray, rows: slice, columns: slice, size: tuple[int, int]) -> NDArray:
    """The whole picture with a frame around the rows and columns of a crop."""
    image = Image.fromarray(overview)
    vertical, horizontal = image.height / size[0], image.width / size[1]
    left, right = columns.start * horizontal, columns.stop * horizontal - 1
    top, bottom = rows.start * vertical, rows.stop * vertical - 1
    draw = ImageDraw.Draw(image)
    for inset, colour in ((0, "black"), (1, "white"), (2, "white"), (3, "black")):
        if right - left > 2 * inset and bottom - top > 2 * inset:
            draw.rectangle((left + inset, top + inset, right - inset, bottom - inset), outline=colour)
    return np.asarray(image)
