"""Colour profiles (ICC.1:2010, profile version 4.3) that describe RGB or grey by chromaticities and one curve."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ of the white that profiles refer to
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
MAX_NUMBER = 2**15
HEADER_SIZE = 128
TAG_SIZE = 12  # bytes of an entry in the list of tags
GAMMA, LINEAR_NEAR_BLACK = 0, 3  # function types of a parametric curve


@dataclass(frozen=True)
class Curve:
    """The function from a value x of the file to light, both 0 to 1: (a·x + b)^gamma, and c·x below d."""

    gamma: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0


def rgb_profile(chromaticities: NDArray, curve: Curve) -> bytes:
    """A profile of RGB whose `chromaticities`, (4, 2), are x and y of white, red, green and blue.

    Raises LinAlgError or ValueError if these are not the chromaticities of an RGB space.
    """
    if (chromaticities[:, 1] <= 0).any():
        raise ValueError("expected chromaticities y above 0")
    white, *primaries = [np.array([x / y, 1, (1 - x - y) / y]) for x, y in chromaticities]
    scales = np.linalg.solve(np.transpose(primaries), white)
    adaptation = _adaptation(white)
    columns = [adaptation @ (scale * primary) for scale, primary in zip(scales, primaries, strict=True)]
    if not np.abs([*columns, *adaptation]).max() < MAX_NUMBER:  # also refuses NaN
        raise ValueError("expected the chromaticities of white, red, green and blue")
    tags = {f"{name}XYZ": b"XYZ " + _numbers(0, *xyz) for name, xyz in zip("rgb", columns, strict=True)}
    tags |= {f"{name}TRC": _parametric(curve) for name in "rgb"}
    tags["chad"] = b"sf32" + _numbers(0, *adaptation.ravel())
    return _profile(b"RGB ", tags)


def grey_profile(curve: Curve) -> bytes:
    """A profile of grey."""
    return _profile(b"GRAY", {"kTRC": _parametric(curve)})


def _adaptation(white: NDArray) -> NDArray:
    """The matrix, (3, 3), that adapts XYZ from a white to D50 by the Bradford method (ICC.1:2010, annex E)."""
    response, response_to_d50 = BRADFORD @ white, BRADFORD @ D50
    return np.linalg.inv(BRADFORD) @ np.diag(response_to_d50 / response) @ BRADFORD


def _numbers(*values: float) -> bytes:
    """Signed numbers with 16 bits behind the binary point."""
    return struct.pack(f">{len(values)}i", *(round(65536 * value) for value in values))


def _parametric(curve: Curve) -> bytes:
    start = b"para" + bytes(4)
    if curve.d == 0:
        return start + struct.pack(">HH", GAMMA, 0) + _numbers(curve.gamma)
    parameters = curve.gamma, curve.a, curve.b, curve.c, curve.d
    return start + struct.pack(">HH", LINEAR_NEAR_BLACK, 0) + _numbers(*parameters)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(encoded), 28) + encoded


def _profile(space: bytes, tags: dict[str, bytes]) -> bytes:
    """A profile of a display for the colour space RGB or GRAY."""
    tags = {"desc": _text("Colours of a PNG file"), "cprt": _text("CC0"), "wtpt": b"XYZ " + _numbers(0, *D50)} | tags
    position = HEADER_SIZE + 4 + TAG_SIZE * len(tags)
    entries, data = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        entries += struct.pack(">4sII", name.encode(), position + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    start = struct.pack(">I4sI4s4s4s", position + len(data), bytes(4), 0x04300000, b"mntr", space, b"XYZ ")
    date = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # the same for all, so that equal files have equal results
    header = start + date + b"acsp" + bytes(28) + _numbers(*D50)
    return header.ljust(HEADER_SIZE, b"\0") + entries + data
