"""Helpers of tests: processes whose standard error is a terminal."""

import os


def read_to_end(primary: int) -> bytes:
    """What was written to a pseudo-terminal, until its other end is closed; closes `primary`, the end that is read."""
    output = b""
    try:
        while part := os.read(primary, 4096):
            output += part
    except OSError:  # on Linux, reading fails when the other end is closed
        pass
    os.close(primary)
    return output
