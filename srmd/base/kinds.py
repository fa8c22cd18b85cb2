"""What a file holds, told from its first bytes: for messages about a file of the wrong kind."""

import re
from pathlib import Path

from srmd.base.files import describe_path

READ_BYTES = 2**16  # of the beginning of a file
PACK, MATLAB, PICTURE = "a pack of training pictures (.h5)", "a MATLAB file (.mat)", "a picture"
# The beginning of a file → what it holds; the first pattern that matches counts. JSON inside of JSON has \" for ".
KINDS = {
    rb"\x89HDF\r\n\x1a\n.*srmd pictures": PACK,
    rb'.{5}\0{3}\{.*\\"kind\\": \\"estimator\\"': "an estimator of blur and noise (.safetensors)",
    rb'.{5}\0{3}\{"__metadata__":\{.*"srmd":"\{': "a network (.safetensors)",
    rb"PK\x03\x04.*data\.pkl": "a checkpoint or another PyTorch file",
    rb"7767517\s": "a network for ncnn (.param)",
    rb"Gk0\x01": "the weights of a network for ncnn (.bin)",
    rb"\x08.\x12.": "an ONNX model",
    rb"\x93NUMPY": "an array (.npy)",
    rb"MATLAB": MATLAB,
    rb"\x89PNG|\xff\xd8\xff|GIF8|BM|II\*\0|MM\0\*|RIFF.{4}WEBP": PICTURE,
    rb"\s*[\[{]": "JSON",
}


def describe_content(path: Path) -> str | None:
    """What a file holds, in words; None if it is no file, or none of KINDS."""
    if describe_path(path) != "a file":
        return None
    try:
        with path.open("rb") as file:
            start = file.read(READ_BYTES)
    except OSError:
        return None
    return next((kind for pattern, kind in KINDS.items() if re.match(pattern, start, re.DOTALL)), None)
