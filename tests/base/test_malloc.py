"""Giving freed memory back to the system."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In a process of its own: in a heap with gaps the blocks would not lie side by side, and free() might give them back.
PROGRAM = """
import os
from pathlib import Path
from srmd.base.malloc import trim_heap

def resident_bytes():
    return os.sysconf("SC_PAGE_SIZE") * int(Path("/proc/self/statm").read_text().split()[1])

freed, kept = [], []
for _ in range(500):
    freed.append(bytearray(100_000))
    kept.append(bytearray(1000))
freed.clear()
before = resident_bytes()
trim_heap()
print(before - resident_bytes())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_between_blocks_in_use_is_given_back():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 40e6
