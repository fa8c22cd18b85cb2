"""The whole picture, restored in the background tile by tile."""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.degradation import Degradation
from srmd.model import NetworkConfig
from srmd.panel.cancel import Cancelled
from srmd.panel.loaded import LoadedPicture
from srmd.panel.settings import Settings
from srmd.panel.turns import Turns
from srmd.pictures.picture import quantise
from srmd.restore.restorer import Restorer

MAX_RESULT_PIXELS = 2**28
# LR pixels; the result depends on it by the rounding of the computation only. A tile takes a second at most on two
# cores: so long may the crop of another person, or a click on "cancel", have to wait.
TILE = 258


def tile_side(config: NetworkConfig) -> int:
    """The side in LR pixels of the tiles; a network whose last features are as large as HR gets smaller ones."""
    return TILE // config.scale if config.head == "upsample" else TILE


@dataclass(frozen=True, eq=False)
class Result:
    """A restored picture: `pixels` (H, W, 3 or 1) and `alpha` (H, W) or None, in the dtypes of LR."""

    source: LoadedPicture
    settings: Settings
    pixels: NDArray
    alpha: NDArray | None

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        return self.pixels.nbytes + (0 if self.alpha is None else self.alpha.nbytes)


class WholeRun:
    """A thread that restores a whole picture.

    Attributes:
        done: the share that is finished, 0 to 1.
        result: the restored picture; None before the end, or if there is none.
        error: why there is no result; None if it was cancelled, and before the end.
        ended: is set at the end.
    """

    def __init__(self, source: LoadedPicture, settings: Settings, restorer: Restorer, assumed: Degradation):
        """Raises InputError if the result would be too large."""
        scale = restorer.config.scale
        pixels = source.size[0] * source.size[1] * scale**2
        if pixels > MAX_RESULT_PIXELS:
            expected = f"expected a result of at most {MAX_RESULT_PIXELS / 1e6:.0f} megapixels"
            raise InputError(f"{expected}, found {pixels / 1e6:.0f} at x{scale}: choose a smaller scale", "scale")
        self._source, self._settings, self._restorer, self._assumed = source, settings, restorer, assumed
        self._cancelled = threading.Event()
        self._pixels_done = 0
        self.result: Result | None = None
        self.error: Exception | None = None
        self.ended = threading.Event()

    @property
    def done(self) -> float:
        """The share that is finished, 0 to 1."""
        passes = 1 if self._source.picture.alpha is None else 2  # alpha is restored like colours
        return min(self._pixels_done / (passes * self._source.lr[..., 0].size), 1.0)

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ends the run after the tile that is being computed."""
        self._cancelled.set()

    def start(self, pictures: Turns, tiles: Turns) -> None:
        """Starts the thread; it waits for its turn among whole pictures, and for each tile among all that computes."""
        threading.Thread(target=self._run, args=(pictures, tiles), daemon=True).start()

    def _run(self, pictures: Turns, tiles: Turns) -> None:
        try:
            with pictures.turn(lambda: not self.is_cancelled):
                self.result = self._restore(tiles)
        except Cancelled:
            pass
        except Exception as error:  # such as too little memory: the page shows it
            self.error = error
        finally:
            self.ended.set()

    def _restore(self, tiles: Turns) -> Result:
        lr, alpha, scale = self._source.lr, self._source.picture.alpha, self._restorer.config.scale
        tile = tile_side(self._restorer.config)
        if alpha is not None:

            def advance(pixels: int) -> None:
                self._advance(pixels)
                tiles.give_way()

            with tiles.turn():
                alpha = self._restorer.restore_alpha(alpha, self._assumed, tile, progress=advance)
            self._pixels_done = lr[..., 0].size
        one_channel = self._source.has_one_channel
        sr = np.empty((scale * lr.shape[0], scale * lr.shape[1], 1 if one_channel else 3), lr.dtype)
        restored = self._restorer.restore_tiles(lr, self._assumed, tile)
        while True:
            with tiles.turn():
                finished = next(restored, None)
            if finished is None:
                return Result(self._source, self._settings, sr, alpha)
            rows, columns, sr_tile = finished
            sr[rows, columns] = quantise(sr_tile[0].permute(1, 2, 0).numpy(), sr.dtype, one_channel)
            self._advance(sr_tile[0, 0].numel() // scale**2)

    def _advance(self, pixels: int) -> None:
        self._pixels_done += pixels
        if self.is_cancelled:
            raise Cancelled
