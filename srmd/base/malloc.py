"""Gives the memory that was freed back to the system, where the C library keeps it."""

import ctypes
import sys


def trim_heap() -> None:
    """Return the pages of freed memory to the system; without effect where the C library is not glibc.

    glibc keeps up to 64 MB at the end of its heap, and everything between blocks that are in use (mallopt(3),
    malloc_trim(3)). After something that takes much memory once, such as writing a checkpoint, these pages would stay.
    """
    if sys.platform == "linux" and (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # musl lacks it
        malloc_trim(0)
