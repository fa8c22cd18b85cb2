"""The quantisation of a JPEG, and the three numbers that a network is told of it."""

import operator
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srmd.base.errors import InputError
from srmd.base.numbers import to_integer

# The tables of the standard at quality 50, row by row (ITU-T T.81, tables K.1 and K.2).
STANDARD_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
STANDARD_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *(99, 99, 99, 99, 99, 99, 99, 99),
    *(99, 99, 99, 99, 99, 99, 99, 99),
    *(99, 99, 99, 99, 99, 99, 99, 99),
    *(99, 99, 99, 99, 99, 99, 99, 99),
)
MAX_ENTRY = 255  # of a table of baseline JPEG; larger entries, of 16 bits, count as 255
# Subsampling of chroma → what the network is told
SUBSAMPLINGS = {"4:4:4": 0.0, "4:2:2": 0.5, "4:4:0": 0.5, "4:2:0": 1.0}
MAX_STEP = 65535  # a table has 8 or 16 bits; in damaged files steps may be 0
# Subsampling → pixels of luma per pixel of chroma, along rows and along columns
CHROMA_FACTORS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:4:0": (2, 1), "4:2:0": (2, 2)}


class JpegCondition(NamedTuple):
    """What a network is told of a JPEG; 0, 0, 0 says that the picture was not compressed.

    `luma` and `chroma` are the means over the 64 entries of a table, clamped to 1 to 255, of log2(entry) / 8.
    """

    luma: float
    chroma: float
    subsampling: float  # 0: 4:4:4; 0.5: 4:2:2 or 4:4:0; 1: 4:2:0


NO_JPEG = JpegCondition(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class JpegTables:
    """The quantisation of a JPEG: two tables of 64 steps, row by row, and the subsampling of chroma.

    Tables may be other sequences of whole numbers, such as Pillow's lists; they become tuples. Raises InputError, which
    names the argument, for other tables and for another subsampling.
    """

    luma: tuple[int, ...]
    chroma: tuple[int, ...]
    subsampling: str  # one of SUBSAMPLINGS; of a grey JPEG 4:4:4

    def __post_init__(self) -> None:
        for name, table in (("luma", self.luma), ("chroma", self.chroma)):
            object.__setattr__(self, name, _steps(table, name))
        if self.subsampling not in [*SUBSAMPLINGS]:  # a list: what is no text may have no hash
            raise InputError(f"expected one of {', '.join(SUBSAMPLINGS)}, found {self.subsampling!r}", "subsampling")

    @classmethod
    def of_quality(cls, quality: int, subsampling: str = "4:2:0") -> "JpegTables":
        """The tables that libjpeg makes of the standard's for a quality of 1 to 100; raises InputError for another."""
        number = to_integer(quality)
        if number is None or not 1 <= number <= 100:
            raise InputError(f"expected a whole number from 1 to 100, found {quality!r}", "quality")
        luma, chroma = standard_tables(number)
        return cls(tuple(luma.tolist()), tuple(chroma.tolist()), subsampling)

    def as_grey(self) -> "JpegTables":
        """These tables of a grey JPEG, in which one table serves both numbers."""
        return JpegTables(self.luma, self.luma, "4:4:4")

    @property
    def quality(self) -> int:
        """The quality whose luma table is nearest in what a network is told; cameras' tables are of no quality."""
        return int(np.abs(_luma_of_qualities() - mean_log(self.luma)).argmin()) + 1

    @property
    def condition(self) -> JpegCondition:
        """What a network is told of these tables. Those of quality 100 in 4:4:4 count as no JPEG."""
        luma, chroma = mean_log([self.luma, self.chroma]).tolist()
        return JpegCondition(luma, chroma, SUBSAMPLINGS[self.subsampling])


def checked_jpeg(jpeg: Any, others: str = "JpegTables or None") -> int | JpegTables | None:
    """A JPEG quality as int, tables, or None; raises InputError unless it is one of them, the quality from 1 to 100.

    `others` is what the message names as expected besides a quality.
    """
    if jpeg is None or isinstance(jpeg, JpegTables):
        return jpeg
    quality = to_integer(jpeg)
    if quality is None or not 1 <= quality <= 100:
        raise InputError(f"expected a quality from 1 to 100, {others}, found {reprlib.repr(jpeg)}", "jpeg")
    return quality


def _steps(table: Iterable[int], name: str) -> tuple[int, ...]:
    """A table as 64 integers; raises InputError, which names it, for another one."""
    try:
        steps = tuple(map(operator.index, table))
    except TypeError:
        raise InputError(f"expected 64 whole numbers, found {reprlib.repr(table)}", name) from None
    if len(steps) != 64:
        raise InputError(f"expected 64 steps, found {len(steps)}", name)
    if not 0 <= min(steps) <= max(steps) <= MAX_STEP:
        raise InputError(f"expected steps of 0 to {MAX_STEP}, found {reprlib.repr(table)}", name)
    return steps


def standard_tables(quality: ArrayLike) -> NDArray[np.int64]:
    """The luma and the chroma table of a quality of 1 to 100, (2, 64), row by row, as libjpeg computes them.

    For several qualities, (n,), the tables are (n, 2, 64).
    """
    quality = np.asarray(quality)[..., None, None]
    percent = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    tables = np.array([STANDARD_LUMA, STANDARD_CHROMA])
    return np.clip((tables * percent + 50) // 100, 1, MAX_ENTRY)


@cache
def _luma_of_qualities() -> NDArray[np.float64]:
    return mean_log(standard_tables(np.arange(1, 101))[..., 0, :])


def mean_log(tables: ArrayLike) -> NDArray[np.float64]:
    """What a network is told of tables, (…, 64): the mean of log2(entry) / 8, 0 to 1."""
    return np.log2(np.clip(tables, 1, MAX_ENTRY)).mean(-1) / 8
