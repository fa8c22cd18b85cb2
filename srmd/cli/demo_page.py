"""The photos of the demo, and the page of what the demo has made of them."""

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from srmd.base.files import atomic_write, make_folder
from srmd.cli.demo_steps import COMPRESSED, JPEG_GAIN, NOISY, SCALE, Demo, Photo
from srmd.degradation import degrade_picture, upsample
from srmd.pictures.files import read_picture
from srmd.pictures.metrics import score
from srmd.pictures.photos import builtin_test_pictures
from srmd.show.page import Comparison, Plot, Section, Table, results_page
from srmd.show.pictures import to_rgb8
from srmd.show.plots import loss_svg
from srmd.train.run_folder import RunFolder

TITLE = "SRMD: two photos restored, a network trained"
TEXT = (
    "Each photo was blurred, reduced to half its size, and made noisy or compressed: this is LR. The results are "
    "compared with the original, HR. Drag the line in a picture, or move it by the arrow keys; the lists above it "
    "choose what is on either side. PSNR, in dB, and SSIM are those of luma; higher is better."
)
BICUBIC, HR = "LR, bicubic upscaling", "HR"
AUTO, TOLD = "restored, told nothing", "restored, told the truth"

UNTOLD_JPEG, TOLD_JPEG = "told nothing of JPEG", "told the tables"
TRAINED = "new network"

Content = tuple[str, list[Comparison | Table | Plot]]  # a text, and what is shown below it


def write_photos(demo: Demo) -> None:
    """Writes the HR photos, and the LR pictures that the demo restores."""
    for photo in (NOISY, COMPRESSED):
        hr = builtin_test_pictures()[photo.name]
        lr = degrade_picture(hr, photo.kernel, photo.noise_level, SCALE)
        for path in (demo.hr(photo), demo.lr(photo)):
            make_folder(path.parent)
        Image.fromarray(hr).save(demo.hr(photo))
        options = {} if photo.quality is None else {"quality": photo.quality}
        Image.fromarray(lr).save(demo.lr(photo), **options)


def write_page(demo: Demo) -> dict[str, float]:
    """Writes the page; returns gains in PSNR over bicubic upscaling, in dB, by what was restored."""
    noisy = Results(demo, NOISY, {AUTO: "auto", TOLD: "told"})
    compressed = Results(demo, COMPRESSED, {UNTOLD_JPEG: "jpeg_off", TOLD_JPEG: "jpeg"})
    contents = [_blind(demo, noisy), _told(noisy), _jpeg(demo, compressed), _training(demo)]
    sections = [
        Section(f"{number}. {step.title}", text, step.lines(), parts)
        for number, (step, (text, parts)) in enumerate(zip(demo.steps(), contents, strict=True), 1)
    ]
    with atomic_write(demo.page) as temporary:
        temporary.write_text(results_page(TITLE, TEXT, sections), encoding="utf-8")
    mean = _metrics(demo, "trained")["mean"]
    gains = {"photo, told nothing": noisy.gain(AUTO), "photo, told the truth": noisy.gain(TOLD)}
    return gains | {JPEG_GAIN: compressed.gain(TOLD_JPEG), "new network": mean["psnr_y"] - mean["bicubic_psnr_y"]}


class Results:
    """A photo and what was made of it: pictures (H, W, 3) uint8 by label, and their scores.

    Args:
        folders: by label, the folder of a result in that of the demo.
    """

    def __init__(self, demo: Demo, photo: Photo, folders: dict[str, str]):
        self._photo = photo
        lr, hr = _pixels(demo.lr(photo)), _pixels(demo.hr(photo))
        restored = {label: _pixels(demo.folder / name / f"{photo.name}.png") for label, name in folders.items()}
        self.pictures = {BICUBIC: _enlarged(lr), **restored, HR: hr}
        scored = [label for label in self.pictures if label != HR]
        self.scores = {label: score(self.pictures[label] / 255, hr / 255, SCALE) for label in scored}

    def comparison(self, left: str, right: str, *others: str) -> Comparison:
        """The part of the photo that is shown, in some of the pictures and HR."""
        pictures = {label: self.pictures[label] for label in (left, right, *others, HR)}
        return _comparison(self._photo, pictures, left, right)

    def table(self, *labels: str) -> Table:
        """The scores of some of the pictures."""
        rows = [(each, f"{self.scores[each]['psnr_y']:.2f}", f"{self.scores[each]['ssim_y']:.4f}") for each in labels]
        return Table(("", "PSNR", "SSIM"), rows)

    def gain(self, label: str) -> float:
        """The gain in PSNR over bicubic upscaling."""
        return self.scores[label]["psnr_y"] - self.scores[BICUBIC]["psnr_y"]


def _blind(demo: Demo, noisy: Results) -> Content:
    text = "The network needs a blur kernel and a noise level. Both were estimated from LR alone."
    return text, [noisy.comparison(BICUBIC, AUTO), _found(demo, "auto", NOISY), noisy.table(BICUBIC, AUTO)]


def _told(noisy: Results) -> Content:
    text = (
        "What the network makes of the photo if it is told what was done to it. What was estimated above should come "
        "close to this."
    )
    return text, [noisy.comparison(AUTO, TOLD, BICUBIC), noisy.table(BICUBIC, AUTO, TOLD)]


def _jpeg(demo: Demo, compressed: Results) -> Content:
    text = (
        "A JPEG file holds quantisation tables, which say how much was lost. A network that is told nothing of them "
        "takes the blocks of the compression for detail. Blur and noise were estimated both times; compression hides "
        "blur, so that less of it is found than there is."
    )
    return text, [
        compressed.comparison(UNTOLD_JPEG, TOLD_JPEG, BICUBIC),
        _found(demo, "jpeg", COMPRESSED),
        compressed.table(BICUBIC, UNTOLD_JPEG, TOLD_JPEG),
    ]


def _training(demo: Demo) -> Content:
    text = (
        f"The photos of the test are not among the pictures of the training. They were blurred by {NOISY.kernel}, "
        "which the network was told, and reduced, without noise."
    )
    folder = demo.folder / "trained"
    lr, sr = _pixels(folder / "lr" / f"{NOISY.name}.png"), _pixels(folder / f"{NOISY.name}.png")
    metrics = _metrics(demo, "trained")
    rows = [_score_row(row["name"], row) for row in metrics["images"]]
    return text, [
        Plot(
            "Loss (L1) in training, and PSNR of pictures that are not trained on", loss_svg(RunFolder(demo.run).rows())
        ),
        Table(("photo", "PSNR, bicubic", "PSNR, new network", "gain"), [*rows, _score_row("mean", metrics["mean"])]),
        _comparison(NOISY, {BICUBIC: _enlarged(lr), TRAINED: sr, HR: _pixels(demo.hr(NOISY))}, BICUBIC, TRAINED),
    ]


def _score_row(name: str, row: dict) -> tuple[str, ...]:
    bicubic, network = row["bicubic_psnr_y"], row["psnr_y"]
    return name, f"{bicubic:.2f}", f"{network:.2f}", f"{network - bicubic:+.2f}"


def _found(demo: Demo, name: str, photo: Photo) -> Table:
    """What was done to a photo, and what a run that was told nothing has found."""
    (row,) = _metrics(demo, name)["images"]
    estimated, jpeg = row["estimated"], row.get("jpeg")
    done_jpeg = "no" if photo.quality is None else f"quality {photo.quality}"
    found_jpeg = f"quality ≈ {jpeg['quality']}, {jpeg['subsampling']}" if jpeg else "no"
    rows = [
        ("kernel", photo.kernel, f"{estimated['kernel']} (confidence {estimated['confidence']:.0%})"),
        ("noise level", f"{photo.noise_level:g}", f"{estimated['noise_level']:.1f}"),
        ("JPEG", done_jpeg, found_jpeg),
    ]
    return Table(("", "done to the photo", "found in it"), rows)


def _comparison(photo: Photo, pictures: dict[str, NDArray], left: str, right: str) -> Comparison:
    title = f"Part of the photo {photo.name}, enlarged"
    return Comparison(title, {label: picture[photo.part] for label, picture in pictures.items()}, left, right)


def _enlarged(lr: NDArray) -> NDArray:
    """LR enlarged by bicubic upscaling."""
    return to_rgb8(upsample(torch.from_numpy(lr / 255).permute(2, 0, 1)[None], SCALE)[0])


def _pixels(path: Path) -> NDArray[np.uint8]:
    return read_picture(path).pixels


def _metrics(demo: Demo, name: str) -> dict:
    return json.loads((demo.folder / name / "metrics.json").read_text(encoding="utf-8"))
