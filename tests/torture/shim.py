"""Compiles shim.c, which is preloaded into processes: it fills the disk at a write, and moves the clock of the day."""

import os
import subprocess
from pathlib import Path


def shim_environment(**variables: str) -> dict[str, str]:
    """The environment of a process with the shim; the library is compiled into the current folder. Needs a C compiler.

    Set TORTURE_FOLDER or TORTURE_CLOCK, see shim.c.
    """
    library = Path("shim.so").resolve()
    if not library.exists():
        source = Path(__file__).with_name("shim.c")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return os.environ | variables | {"LD_PRELOAD": str(library)}
