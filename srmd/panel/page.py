"""The page in the browser: its controls, their events and its style."""

from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr

from srmd.base.errors import InputError
from srmd.config import PanelRequest
from srmd.panel import markup
from srmd.panel.cancel import Cancelled
from srmd.panel.command import name_flags
from srmd.panel.handlers import Handlers, Updates
from srmd.panel.layout import LABELS, Controls, make_controls
from srmd.panel.sessions import Sessions

STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
SCRIPT = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
MAX_WAITING = 64  # requests in the queue; more are refused with a sentence
CACHE_SECONDS = (60, 600)  # how often pictures that were shown are removed, and how old they are then


def theme() -> gr.themes.Base:
    """A theme with the fonts of the machine; the default theme would load fonts from the network."""
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    dark_button = {
        "button_primary_background_fill": "*primary_700",
        "button_primary_background_fill_hover": "*primary_800",
    }
    return gr.themes.Default(primary_hue="blue", **fonts).set(**dark_button)


def build_page(sessions: Sessions, request: PanelRequest) -> gr.Blocks:
    """The page for the sessions of a request."""
    with gr.Blocks(title="SRMD", analytics_enabled=False, delete_cache=CACHE_SECONDS, fill_width=True) as page:
        controls = make_controls(sessions.networks)
        _connect(page, controls, Handlers(controls, sessions, request))
        page.unload(_closing(sessions))
    sessions.uploads = page.upload_file_set
    page.queue(max_size=MAX_WAITING, api_open=False, default_concurrency_limit=None)
    return page


def _closing(sessions: Sessions) -> Callable:
    def close(request: gr.Request) -> None:
        sessions.close(request.session_hash)

    return close


def _connect(page: gr.Blocks, controls: Controls, handlers: Handlers) -> None:
    """Connects the events of the components with the handlers."""
    inputs, crop, autos = [*controls.settings, *controls.file_choice], controls.crop, [*controls.autos.values()]
    overview, candidates = controls.overview, controls.candidates
    run = [controls.restore, controls.cancel, controls.progress, controls.download]
    opened = [*crop, *autos, overview, candidates, controls.upload, controls.progress, controls.download]
    listen = _Listener(controls)
    listen(page.load, handlers.open_first, inputs, opened)
    listen(controls.upload.upload, handlers.upload, [controls.upload, *inputs], opened)
    listen(controls.scale.input, handlers.change, inputs, [*crop, overview, candidates], changed="scale")
    for name, slider in controls.numbers.items():
        listen(slider.input, handlers.change, inputs, [*crop, controls.autos[name]], changed=name)
    for auto in controls.autos.values():
        listen(auto.input, handlers.change, inputs, crop)
    listen(controls.jpeg.input, handlers.change, inputs, crop)
    listen(controls.quality.input, handlers.change, inputs, crop, changed="quality")
    listen(overview.select, handlers.click, inputs, [*crop, overview], takes_event=True)
    for number in (controls.column, controls.row):
        listen(number.input, handlers.type_centre, [*inputs, controls.column, controls.row], [*crop, overview])
    listen(controls.show_candidates.click, handlers.show_candidates, inputs, [candidates])
    listen(candidates.select, handlers.take_candidate, inputs, [*crop, *autos, candidates], takes_event=True)
    listen(controls.restore.click, handlers.restore, inputs, run)
    listen(controls.cancel.click, handlers.cancel, inputs, run)
    for choice in controls.file_choice:
        listen(choice.input, handlers.change_file, inputs, [controls.command, controls.download])


class _Listener:
    """Lets handlers listen to events; errors of the request become a sentence on the page."""

    def __init__(self, controls: Controls):
        self._controls = controls

    def __call__(
        self,
        event: Callable,
        handler: Callable,
        inputs: list,
        outputs: list,
        takes_event: bool = False,
        **fixed: object,
    ) -> None:
        """Calls `handler` with the values of `inputs`, the identifier of the tab and `fixed` when the event occurs.

        `outputs` are the components that it may change, besides the message. Each costs time at each change of any.
        """

        def run(*values: object, tab: str, **further: object) -> Iterator[Updates]:
            try:
                yield from handler(*values, tab=tab, **fixed, **further)
            except InputError as error:
                yield {self._controls.message: markup.message(_sentence(error), is_error=True)}
            except Cancelled:  # a newer change shows its result
                pass
            yield gr.skip()  # Gradio empties all outputs of a generator that ends without a yield

        # Gradio finds out from the annotations which further arguments a handler takes.
        if takes_event:

            def with_event(event_data: gr.SelectData, request: gr.Request, *values: object) -> Iterator[Updates]:
                yield from run(*values, tab=request.session_hash, event=event_data)
        else:

            def with_event(request: gr.Request, *values: object) -> Iterator[Updates]:
                yield from run(*values, tab=request.session_hash)

        event(
            with_event,
            inputs,
            [self._controls.message, *outputs],
            preprocess=False,  # Gradio would show an error of its own for a number out of bounds
            show_progress="hidden",
            trigger_mode="multiple",
            api_visibility="private",
        )


def _sentence(error: InputError) -> str:
    """The message of an error, with the label on the page in place of the name of a setting."""
    text, name = name_flags(str(error)), error.argument
    return text if name not in LABELS else LABELS[name] + text.removeprefix(name)
