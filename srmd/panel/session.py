"""`Session`: what one tab of the browser works on: a picture, what was found in it, and its restored versions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.config import AUTO, OFF
from srmd.degradation import Degradation
from srmd.kernel.specs import to_kernel
from srmd.kernel.window import fit_kernel
from srmd.panel.cancel import Cancellable
from srmd.panel.candidates import CANDIDATE_SIDE, Candidate, candidate_settings
from srmd.panel.download import FileChoice, ResultFile, result_file
from srmd.panel.loaded import LoadedPicture
from srmd.panel.networks import PanelNetworks
from srmd.panel.settings import Settings, chosen_kernel, chosen_noise_level
from srmd.panel.turns import Turns
from srmd.panel.whole import Result, WholeRun
from srmd.pictures.files import over_white
from srmd.pictures.picture import quantise
from srmd.restore.estimate import Estimate
from srmd.restore.jpeg import ToldJpeg, told_jpeg
from srmd.restore.part import Part, restore_part, with_halo
from srmd.restore.restorer import Restorer

NO_PICTURE = "Choose a picture first."
OTHER_PICTURE = "Another picture was chosen meanwhile."


@dataclass(frozen=True)
class Found:
    """What was found in a picture: its blur and noise, and its compression; None: no JPEG."""

    estimate: Estimate
    jpeg: ToldJpeg | None


@dataclass(frozen=True, eq=False)
class Told:
    """What a network is told of a picture."""

    kernel_spec: str
    kernel: NDArray  # (k, k), in the network's window
    noise_level: float
    jpeg: ToldJpeg | None
    weights: Path

    @property
    def degradation(self) -> Degradation:
        """The degradation of the whole picture."""
        assumed = Degradation.uniform(torch.from_numpy(self.kernel)[None], torch.tensor([self.noise_level]))
        return assumed if self.jpeg is None else assumed.with_jpeg(self.jpeg.tables)


class Compute:
    """What all sessions share: the networks, and the turns at computing: at whole pictures, and at each of all steps.

    Attributes:
        networks: the networks.
        steps: the turns at computing: a tile, a crop, an estimate.
        pictures: the turns at whole pictures, which are restored one after the other.
    """

    def __init__(self, networks: PanelNetworks):
        self.networks, self.steps, self.pictures = networks, Turns(), Turns()


class Session:
    """The picture of one tab, with the place of its crop; methods may be called in several threads.

    Attributes:
        picture: None before one was loaded.
        centre: row and column of the middle of the crop, relative to the picture's sides, 0 to 1.
        run: the whole picture that is, or was, restored.
        file: the file of the result.
    """

    def __init__(self, compute: Compute):
        self._compute, self._networks = compute, compute.networks
        self._found: dict[tuple[int, object], Found] = {}
        self._newest_preview = 0
        self._candidates: list[Candidate] = []
        self.picture: LoadedPicture | None = None
        self.centre = (0.5, 0.5)
        self.run: WholeRun | None = None
        self.file: ResultFile | None = None

    def load(self, path: Path, name: str) -> None:
        """Reads a picture, which replaces an earlier one; raises InputError, and then the earlier one stays."""
        with self._compute.steps.turn():
            picture = LoadedPicture.read(path, name, self._networks.request.max_pixels)
        self.close()
        self.picture = picture

    def close(self) -> None:
        """Stops what runs and forgets the picture."""
        self.cancel()
        self.picture, self._found, self._candidates, self.centre = None, {}, [], (0.5, 0.5)
        self.begin_preview()

    @property
    def loaded(self) -> LoadedPicture:
        """The picture; raises InputError if there is none."""
        if self.picture is None:
            raise InputError(NO_PICTURE)
        return self.picture

    @property
    def result(self) -> Result | None:
        """The last restored picture; None if there is none."""
        return self.run and self.run.result

    @property
    def bytes(self) -> int:
        """The memory of the picture, its result and its file."""
        return sum(part.bytes for part in (self.picture, self.result, self.file) if part)

    def found(self, settings: Settings, is_wanted: Callable[[], bool] = lambda: True) -> Found:
        """What was found in the picture at the scale of the settings; computed once for each scale and JPEG setting.

        Raises Cancelled if `is_wanted` becomes false before it is computed.
        """
        key = settings.scale, settings.jpeg
        # In this order: if another picture is loaded meanwhile, the estimate goes into a dictionary that is dropped.
        known, picture = self._found, self.loaded
        if key not in known:
            with self._compute.steps.turn(is_wanted):
                if key not in known:
                    known[key] = self._find(picture, settings)
        return known[key]

    def _find(self, picture: LoadedPicture, settings: Settings) -> Found:
        jpeg = self._told_jpeg(picture, settings)
        estimator = self._networks.estimator(settings.scale)
        return Found(estimator.estimate(picture.lr, jpeg=jpeg and jpeg.tables), jpeg)

    def _told_jpeg(self, picture: LoadedPicture, settings: Settings) -> ToldJpeg | None:
        if not self._networks.takes_jpeg(settings.scale):
            if settings.jpeg not in (AUTO, OFF):
                raise InputError(f"no network for x{settings.scale} is told of JPEG, expected auto or off", "quality")
            return None
        return told_jpeg(None if settings.jpeg == OFF else settings.jpeg, picture.lr, picture.picture.jpeg)

    def told(self, settings: Settings) -> Told:
        """What a network is told by the settings, completed by what was found."""
        found = self.found(settings)
        spec, noise_level = chosen_kernel(settings, found.estimate), chosen_noise_level(settings, found.estimate)
        if not self._networks.takes_noise_level():
            noise_level = 0.0
        jpeg = found.jpeg
        weights = self._networks.weights(settings.scale, noise_level, jpeg and jpeg.tables)
        size = self._networks.config(weights).kernel_size
        return Told(spec, fit_kernel(to_kernel(spec, size), size), noise_level, jpeg, weights)

    def preview(self, settings: Settings, number: int | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The crop, enlarged by bicubic interpolation and restored; raises Cancelled if a newer preview begins.

        `number` is that of `begin_preview`; None: the preview begins now.
        """
        number = self.begin_preview() if number is None else number
        picture, told, centre = self.loaded, self.told(settings), self.centre
        part = picture.crop(centre, settings.scale)

        def is_wanted() -> bool:
            return self.is_newest(number)

        with self._compute.steps.turn(is_wanted):
            restorer = self._networks.restorer(told.weights)  # the choice of its engine must not be interrupted
            with Cancellable(is_wanted):
                sr = self._restored_part(restorer, picture, part, told)
        return picture.enlarged(part, settings.scale), sr

    def begin_preview(self) -> int:
        """The number of a new preview; older ones, which wait or are computed, end."""
        self._newest_preview = number = self._newest_preview + 1
        self._compute.steps.check()
        return number

    def is_newest(self, number: int) -> bool:
        """Whether no newer preview was asked for than the one with this number."""
        return number == self._newest_preview

    @staticmethod
    def _restored_part(restorer: Restorer, picture: LoadedPicture, part: Part, told: Told) -> NDArray[np.uint8]:
        """A part of SR with 8 bits; transparency is over white."""
        sr, alpha = restore_part(restorer, picture.lr, part, told.degradation), picture.picture.alpha
        if picture.has_one_channel:
            sr = np.repeat(sr.mean(2, keepdims=True), 3, axis=2)
        if alpha is not None:
            area, inner = with_halo(part, picture.size, restorer.config.layers, restorer.config.scale)
            sr = over_white(sr, restorer.restore_alpha(alpha[area], told.degradation)[inner])
        return quantise(sr, np.dtype(np.uint8))

    def candidates(self, settings: Settings) -> list[tuple[Candidate, NDArray[np.uint8]]]:
        """The middle of the crop, restored with several widths and noise levels around those of the settings."""
        picture = self.loaded
        told, takes_noise = self.told(settings), self._networks.takes_noise_level()
        part = picture.crop(self.centre, settings.scale, CANDIDATE_SIDE // settings.scale)
        shown = []
        for candidate in candidate_settings(settings, told.kernel_spec, told.noise_level, takes_noise):
            candidate_told = self.told(candidate.settings)
            with self._compute.steps.turn():
                restorer = self._networks.restorer(candidate_told.weights)
                shown.append((candidate, self._restored_part(restorer, picture, part, candidate_told)))
        if picture is not self.picture:
            raise InputError(OTHER_PICTURE)
        self._candidates = [candidate for candidate, _ in shown]
        return shown

    def candidate(self, index: int) -> Candidate:
        """One of the candidates that are shown, counted from 0."""
        if index not in range(len(self._candidates)):
            raise InputError(f"expected one of {len(self._candidates)} candidates, found {index!r}")
        return self._candidates[index]

    def start(self, settings: Settings) -> WholeRun:
        """Starts to restore the whole picture in the background; an earlier run of this session is cancelled."""
        picture, told = self.loaded, self.told(settings)
        with self._compute.steps.turn():
            restorer = self._networks.restorer(told.weights)
        run = WholeRun(picture, settings, restorer, told.degradation)
        if picture is not self.picture:
            raise InputError(OTHER_PICTURE)
        self.cancel()
        self.run = run
        run.start(self._compute.pictures, self._compute.steps)
        return run

    def cancel(self) -> None:
        """Cancels the run of the whole picture, if there is one, and forgets its result."""
        if self.run:
            self.run.cancel()
            self._compute.pictures.check()
        self.run = self.file = None

    def encode(self, choice: FileChoice) -> ResultFile | None:
        """The file of the result in a format, which is kept in `file`; None if there is no result."""
        result = self.result
        if result is None:
            return None
        with self._compute.steps.turn():
            file = result_file(result, choice)
        if result is self.result:
            self.file = file
        return self.file
