"""What PNG's chunks gAMA, cHRM, sRGB and cICP say of colours, as a colour profile for formats without these chunks."""

import struct

import numpy as np

from srmd.pictures.icc import Curve, grey_profile, rgb_profile

SRGB_GAMMA = (45455).to_bytes(4, "big")  # the chunks gAMA and cHRM of sRGB pictures (PNG specification, 11.3.2.5)
SRGB_PRIMARIES = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)  # white, R, G, B; · 100,000
# The chromaticities and the curves of cICP (ITU-T H.273, tables 2 and 3), as far as a profile can describe them.
D65 = (0.3127, 0.3290)
CHROMATICITIES = {
    1: (D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),  # BT.709, sRGB
    5: (D65, (0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),  # BT.601 with 625 lines
    6: (D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),  # BT.601 with 525 lines
    9: (D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # DCI-P3
    12: (D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
BT_709_CURVE = Curve(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 4.5 * 0.018)
SRGB_CURVE = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
CURVES = {1: BT_709_CURVE, 4: Curve(2.2), 5: Curve(2.8), 6: BT_709_CURVE, 8: Curve(1.0), 13: SRGB_CURVE}
CURVES |= {14: BT_709_CURVE, 15: BT_709_CURVE}
SRGB_CICP = (1, 13)
RGB_MATRIX, FULL_RANGE = 0, 1
MIN_GAMMA, MAX_GAMMA = 1_000, 10_000_000  # gAMA of other values is taken for damage


def describes_other_colours(chunks: dict[bytes, bytes]) -> bool:
    """Whether chunks of a PNG say that its colours are not sRGB, which is also assumed for pictures without chunks."""
    if b"cICP" in chunks:
        return tuple(chunks[b"cICP"][:2]) != SRGB_CICP
    if b"sRGB" in chunks:
        return False
    gamma, primaries = chunks.get(b"gAMA", SRGB_GAMMA), chunks.get(b"cHRM", SRGB_PRIMARIES)
    return (gamma, primaries) != (SRGB_GAMMA, SRGB_PRIMARIES)


def profile_of_chunks(chunks: dict[bytes, bytes], grey: bool) -> bytes | None:
    """A colour profile for RGB or grey that says what the chunks of a PNG say; None if there is none that does.

    Of the chunks, cICP comes before gAMA and cHRM (PNG specification, 4.3). gAMA alone has the primaries of sRGB. cHRM
    alone says nothing of the curve. The curves PQ and HLG of cICP are for brightness beyond white.
    """
    if b"cICP" in chunks:
        primaries, transfer, matrix, value_range = chunks[b"cICP"]
        chromaticities, curve = CHROMATICITIES.get(primaries), CURVES.get(transfer)
        if (matrix, value_range) != (RGB_MATRIX, FULL_RANGE) or chromaticities is None or curve is None:
            return None
    elif b"gAMA" in chunks:
        (gamma,) = struct.unpack(">I", chunks[b"gAMA"])
        if not MIN_GAMMA <= gamma <= MAX_GAMMA:
            return None
        curve = Curve(100_000 / gamma)
        numbers = struct.unpack(">8I", chunks.get(b"cHRM", SRGB_PRIMARIES))
        chromaticities = np.reshape(numbers, (4, 2)) / 100_000
    else:
        return None
    if grey:
        return grey_profile(curve)
    try:
        return rgb_profile(np.asarray(chromaticities), curve)
    except (np.linalg.LinAlgError, ValueError):  # a chunk cHRM that is damaged
        return None
