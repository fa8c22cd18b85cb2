"""A session without its page: previews, candidates, whole pictures and commands."""

import shlex
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import srmd
from panel_pictures import photo, write_photo
from patience import PATIENCE
from small_restoring import write_network
from srmd import model
from srmd.backends import choice
from srmd.backends.backend import Backend
from srmd.base.errors import InputError
from srmd.cli.requests import parse
from srmd.config import PanelRequest
from srmd.kernel.families import gaussian
from srmd.model import SRMD, NetworkConfig
from srmd.panel.cancel import Cancelled
from srmd.panel.command import command_line, format_flags, name_flags, tile_flags
from srmd.panel.download import FileChoice, ResultFile, result_file
from srmd.panel.networks import PanelNetworks
from srmd.panel.session import Compute, Session
from srmd.panel.settings import Settings
from srmd.panel.whole import tile_side
from srmd.restore.restorer import Restorer
from srmd.weights.shipped import shipped_folder
from srmd.winograd import compiled

REQUEST = PanelRequest(engine="torch", precision="fp32")
KNOWN = Settings(width=1.2, noise_level=3)


@pytest.fixture(scope="module")
def compute() -> Compute:
    return Compute(PanelNetworks(REQUEST))


@pytest.fixture
def session(compute: Compute, tmp_path: Path) -> Session:
    session = Session(compute)
    session.load(write_photo(tmp_path / "photo.png"), "photo.png")
    return session


def restored(session: Session, settings: Settings) -> np.ndarray:
    told = session.told(settings)
    restorer = srmd.load(told.weights, engine="torch", precision="fp32")
    jpeg = told.jpeg and told.jpeg.tables
    return restorer.restore(session.picture.lr, told.kernel_spec, told.noise_level, jpeg=jpeg)


def test_the_crop_is_as_in_the_whole_restored_picture(session: Session, tmp_path: Path):
    photo(size=(300, 40)).save(tmp_path / "wide.png")
    session.load(tmp_path / "wide.png", "wide.png")
    session.centre = (0.5, 1.0)
    lr, sr = session.preview(KNOWN)
    expected = restored(session, KNOWN)[:, -512:].astype(int)
    assert lr.shape == sr.shape == (80, 512, 3)
    assert np.abs(sr - expected).max() <= 1  # tiles may round differently
    assert np.abs(lr - expected).mean() < 12


def test_a_newer_preview_cancels_one_that_waits(session: Session):
    results = {}

    def preview(name: str, settings: Settings) -> None:
        try:
            results[name] = session.preview(settings)
        except Cancelled:
            results[name] = None

    session.found(KNOWN)
    with session._compute.steps.turn():
        old = threading.Thread(target=preview, args=("old", KNOWN), daemon=True)
        old.start()
        while not session._compute.steps._waiting:
            time.sleep(0.001)
        new = threading.Thread(target=preview, args=("new", KNOWN), daemon=True)
        new.start()
        old.join(timeout=PATIENCE)
        assert results == {"old": None}
    new.join()
    assert results["new"] is not None


@pytest.mark.parametrize("winograd", [False, True])
def test_a_newer_preview_of_the_same_tab_ends_a_running_one_within_a_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, winograd: bool
):
    if winograd and compiled.load() is None:
        pytest.skip("no GCC that can be used")
    monkeypatch.setattr(choice, "available_backends", lambda *_: [Backend("torch", "fp32", "cpu", winograd)])
    compute = Compute(PanelNetworks(REQUEST))
    session, other_tab = Session(compute), Session(compute)
    session.load(write_photo(tmp_path / "photo.png"), "photo.png")
    begins, done, network_input, as_pixels = [], [], model.network_input, SRMD._as_pixels

    def begun(*arguments: torch.Tensor) -> torch.Tensor:
        begins.pop().begin_preview()
        return network_input(*arguments)

    def head_reached(*arguments: object) -> torch.Tensor:
        done.append(arguments)
        return as_pixels(*arguments)

    monkeypatch.setattr(model, "network_input", begun)
    monkeypatch.setattr(SRMD, "_as_pixels", head_reached)
    begins.append(other_tab)
    expected = session.preview(KNOWN)
    begins.append(session)
    with pytest.raises(Cancelled):
        session.preview(KNOWN)
    assert (begins, len(done)) == ([], 1)
    begins.append(other_tab)
    assert np.array_equal(session.preview(KNOWN), expected)


def test_the_whole_picture_equals_what_a_restorer_returns_and_keeps_its_metadata(session: Session, tmp_path: Path):
    run = session.start(KNOWN)
    assert run.ended.wait(PATIENCE)
    assert np.array_equal(run.result.pixels, restored(session, KNOWN))
    file = session.encode(FileChoice("tiff"))
    path = tmp_path / file.name
    path.write_bytes(b"".join(file.parts))
    with Image.open(path) as image:
        assert (path.name, image.getexif()[0x010E]) == ("photo_x2.tiff", "a test")


def test_with_several_tiles_the_command_states_those_of_the_page(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("srmd.panel.whole.TILE", 24)
    monkeypatch.chdir(tmp_path)
    restore_tiles, sides = Restorer.restore_tiles, []

    def recorded(restorer: Restorer, lr: object, assumed: object, tile: int, *further: object) -> object:
        sides.append(tile)
        return restore_tiles(restorer, lr, assumed, tile, *further)

    monkeypatch.setattr(Restorer, "restore_tiles", recorded)
    run = session.start(KNOWN)
    assert run.ended.wait(PATIENCE)
    assert (run.error, run.done, sides) == (None, 1, [24])
    told = session.told(KNOWN)
    config = session._networks.config(told.weights)
    text = command_line(REQUEST, "photo.png", KNOWN, told, True, tile_flags(session.picture.size, config))
    assert parse(shlex.split(text)[1:]).tile == 24
    assert tile_flags((24, 24), config) == []
    assert tile_flags((24, 25), config) == tile_flags((25, 24), config) == ["--tile=24"]


def test_a_network_with_features_as_large_as_hr_gets_smaller_tiles():
    assert tile_side(NetworkConfig(scale=3)) == 258
    assert tile_side(NetworkConfig(scale=3, head="upsample")) == 86


def test_a_result_above_the_largest_size_is_refused(session: Session, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("srmd.panel.whole.MAX_RESULT_PIXELS", 240 * 192)
    session.start(KNOWN)
    monkeypatch.setattr("srmd.panel.whole.MAX_RESULT_PIXELS", 240 * 192 - 1)
    with pytest.raises(InputError, match=r"^scale: expected a result of at most .* at x2: choose a smaller scale$"):
        session.start(KNOWN)


def test_one_whole_picture_is_restored_at_a_time(session: Session, compute: Compute):
    session.preview(KNOWN)  # opens the network
    with compute.pictures.turn():
        run = session.start(KNOWN)
        end = time.monotonic() + PATIENCE
        while not compute.pictures._waiting and not run.ended.is_set() and time.monotonic() < end:
            time.sleep(0.001)
        assert compute.pictures._waiting
        assert session.preview(KNOWN) is not None  # crops do not wait for whole pictures
        assert not run.ended.is_set()
    assert run.ended.wait(PATIENCE)
    assert run.result is not None


def test_transparent_and_grey_pictures_keep_their_channels(session: Session, tmp_path: Path):
    transparent = photo(size=(40, 30))
    transparent.putalpha(Image.linear_gradient("L").resize((40, 30)))
    for name, image, mode in (("a.png", transparent, "RGBA"), ("b.png", photo(size=(40, 30)).convert("L"), "L")):
        image.save(tmp_path / name)
        session.load(tmp_path / name, name)
        _, sr = session.preview(KNOWN)
        run = session.start(KNOWN)
        assert run.ended.wait(PATIENCE)
        assert run.error is None
        assert run.done == 1
        (tmp_path / "result.png").write_bytes(b"".join(result_file(run.result, FileChoice()).parts))
        with Image.open(tmp_path / "result.png") as result:
            assert result.mode == mode
            shown = Image.alpha_composite(Image.new("RGBA", result.size, "white"), result.convert("RGBA"))
        assert np.abs(np.asarray(shown.convert("RGB")).astype(int) - sr).max() <= 2


def test_a_run_is_cancelled_between_tiles_and_frees_the_turn(session: Session, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("srmd.panel.whole.TILE", 24)
    restore_tiles, tiles, is_restoring, may_go_on = Restorer.restore_tiles, [], threading.Event(), threading.Event()

    def held(*arguments: object, **further: object) -> Iterator:
        for tile in restore_tiles(*arguments, **further):
            tiles.append(tile)
            is_restoring.set()
            assert may_go_on.wait(PATIENCE)
            yield tile

    monkeypatch.setattr(Restorer, "restore_tiles", held)
    run = session.start(KNOWN)
    assert is_restoring.wait(PATIENCE)
    session.cancel()
    may_go_on.set()
    assert run.ended.wait(PATIENCE)
    assert len(tiles) == 1
    assert (run.result, run.error, session.run) == (None, None, None)
    assert session.preview(KNOWN) is not None


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(scale=4),
        Settings(noise_level=0, width=1.3),
        Settings(scale=1, width=2, second_width=1, angle=45, noise_level=8, jpeg="off"),
        Settings(jpeg=40),
    ],
)
def test_the_command_asks_for_what_the_network_is_told(
    session: Session, tmp_path: Path, settings: Settings, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_photo(tmp_path / "photo.jpg")
    session.load(tmp_path / "photo.jpg", "photo.jpg")
    told, choice = session.told(settings), FileChoice("webp", 80)
    text = command_line(REQUEST, "photo.jpg", settings, told, True, format_flags(choice, "photo.jpg", settings.scale))
    program, *arguments = shlex.split(text)
    request = parse(arguments)
    assert program == "srmd"
    assert [str(path) for path in request.input] == ["photo.jpg"]
    assert (request.format, request.quality, request.suffix) == ("webp", 80, f"_x{settings.scale}")
    assert (request.engine, request.precision) == ("torch", "fp32")
    if settings.is_auto:
        assert (request.kernel, request.noise_level) == ("auto", "auto")
    else:
        assert (request.kernel[0].spec, request.noise_level) == (told.kernel_spec, told.noise_level)
    assert request.jpeg == settings.jpeg
    networks = (request.weights, request.noise_free_weights, request.jpeg_weights)
    assert told.weights in networks
    assert (told.jpeg is not None) == (told.weights.stem.startswith("srmdj"))


def test_a_name_that_starts_with_a_dash_or_has_spaces_is_quoted(session: Session):
    told = session.told(Settings())
    text = command_line(PanelRequest(), "-my photo;.png", Settings(), told, True, [])
    assert shlex.split(text)[1] == "./-my photo;.png"
    assert text == "srmd './-my photo;.png' --scale_factor=2"


def test_a_given_network_of_the_noise_free_kind_is_told_no_noise_level(tmp_path: Path):
    weights = shipped_folder("weights") / "srmdnf_x3.safetensors"
    networks = PanelNetworks(PanelRequest(weights=weights, engine="torch", precision="fp32"))
    session = Session(Compute(networks))
    session.load(write_photo(tmp_path / "a.png"), "a.png")
    told = session.told(Settings(scale=3, width=1, noise_level=9))
    assert (networks.scales, told.weights, told.noise_level) == ((3,), weights, 0)
    text = command_line(networks.request, "a.png", Settings(scale=3, width=1), told, False, [])
    assert shlex.split(text)[2:4] == [f"--weights={weights}", "--kernel=gaussian:1"]


def test_a_device_or_a_precision_that_this_machine_lacks_is_refused_before_the_page_is_served():
    given = shipped_folder("weights") / "srmdnf_x3.safetensors"
    for weights in (None, given):
        with pytest.raises(InputError, match=r"^device: this machine has \d+ CUDA devices, found cuda:31$"):
            PanelNetworks(PanelRequest(weights=weights, device="cuda:31"))
        with pytest.raises(InputError, match=r"^precision: fp16 is for GPUs"):
            PanelNetworks(PanelRequest(weights=weights, device="cpu", precision="fp16"))


def test_arguments_in_messages_of_the_library_become_flags():
    assert name_flags("ncnn is broken; `engine=torch` works, `lr` is too high") == (
        "ncnn is broken; --engine=torch works, --lr is too high"
    )


def test_a_network_of_the_package_with_a_larger_window_is_told_the_whole_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "srmdnf_x2.safetensors"
    write_network(str(path), kernel_size=21)
    monkeypatch.setattr("srmd.panel.networks.shipped_weights", lambda scale, noisy: path)
    session = Session(Compute(PanelNetworks(REQUEST)))
    session.load(write_photo(tmp_path / "a.png"), "a.png")
    settings = Settings(width=3.6, noise_level=0)
    np.testing.assert_allclose(session.told(settings).kernel, gaussian(3.6, size=21))
    assert session.preview(settings)[1].any()


def test_a_broken_or_too_large_picture_is_a_sentence_without_its_path(session: Session, tmp_path: Path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nxxxx")
    with pytest.raises(InputError, match=r"^broken\.png: ") as raised:
        session.load(tmp_path / "broken.png", "broken.png")
    assert str(tmp_path) not in str(raised.value)
    assert session.loaded.name == "photo.png"
    small = Session(Compute(PanelNetworks(PanelRequest(max_pixels=100))))
    with pytest.raises(InputError, match=r"^photo\.png: expected at most 100 pixels \(`max_pixels`\), found 11,520"):
        small.load(tmp_path / "photo.png", "photo.png")


def test_the_overview_is_the_whole_picture_over_white(session: Session, tmp_path: Path):
    transparent = photo(left=0, top=0, size=(20, 400))
    transparent.putalpha(Image.linear_gradient("L").resize((20, 400)))
    transparent.save(tmp_path / "a.png")
    session.load(tmp_path / "a.png", "a.png")
    expected = Image.alpha_composite(Image.new("RGBA", (20, 400), "white"), transparent).convert("RGB")
    assert np.abs(session.picture.overview - np.asarray(expected).astype(int)).max() <= 1


def test_a_file_is_sent_in_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("srmd.panel.download.BLOCK", 4)
    file = ResultFile("a.png", [b"abcde", memoryview(b"fghi"), b""], [])
    assert list(file.blocks()) == [b"abcd", b"e", b"fghi"]
    assert file.bytes == 9


def test_the_memory_of_a_session_is_that_of_its_picture_result_and_file(session: Session, tmp_path: Path):
    transparent = photo(size=(20, 10))
    transparent.putalpha(Image.linear_gradient("L").resize((20, 10)))
    transparent.save(tmp_path / "a.png")
    session.load(tmp_path / "a.png", "a.png")
    picture = 20 * 10 * (3 + 1 + 3)  # colours, alpha, and the colours that are restored
    assert session.bytes == picture
    assert session.start(KNOWN).ended.wait(PATIENCE)
    assert session.bytes == picture + 40 * 20 * (3 + 1)
    file = session.encode(FileChoice())
    assert session.bytes == picture + 40 * 20 * (3 + 1) + len(b"".join(file.parts))
