"""Giving freed memory back to the system."""

import os
import platform
from pathlib import Path

import pytest

from srmd.base.malloc import trim_heap


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_between_blocks_in_use_is_given_back():
    freed, kept = [], []
    for _ in range(500):
        freed.append(bytearray(100_000))
        kept.append(bytearray(1000))
    freed.clear()
    before = resident_bytes()
    trim_heap()
    assert resident_bytes() < before - 40e6
    assert len(kept) == 500


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return os.sysconf("SC_PAGE_SIZE") * pages
