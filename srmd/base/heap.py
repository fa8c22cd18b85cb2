"""Returns freed memory to the operating system."""

import ctypes
import sys
from contextlib import suppress


def release_freed_memory() -> None:
    """Returns memory that was freed to the operating system, where the C library is glibc.

    glibc keeps freed memory that lies between blocks in use. Blocks of many sizes, such as those of a save, leave ever
    more of it: a training that saves often would grow.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library, such as musl
            ctypes.CDLL(None).malloc_trim(0)
