"""ncnn's files: writes a chain of 3×3 convolutions with a pixel shuffle at its end as .param and .bin."""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from numpy.typing import NDArray

NCNN_PARAM = b"7767517"  # the first line of a .param file
NCNN_FLOAT16 = 0x01306B47  # the tag before float16 weights in a .bin file
NCNN_FLOAT32 = 0  # the tag before float32 weights


class Convolution(NamedTuple):
    """A convolution of the chain."""

    weight: NDArray  # (out, in, 3, 3)
    bias: NDArray  # (out,)
    relu: bool  # whether a ReLU follows


def write_ncnn(
    convolutions: Iterable[Convolution], scale: int, data: str, output: str, float16: bool = False
) -> tuple[str, bytes]:
    """The contents of .param and .bin of a chain with the input blob `data` and the output blob `output`.

    Weights are float32 or float16, biases float32.
    """
    layers, binary, blob = [f"Input {data} 0 1 {data}"], [], data
    for number, (weight, bias, relu) in enumerate(convolutions):
        # Parameters: 0 output channels, 1 kernel size, 4 padding, 5 has a bias, 6 number of weights, 9 activation.
        parameters = f"0={len(bias)} 1=3 4=1 5=1 6={weight.size}"
        if relu:
            parameters += " 9=1"
        layers.append(f"Convolution conv{number} 1 1 {blob} y{number} {parameters}")
        blob = f"y{number}"
        binary += [_weight_bytes(weight, float16), bias.astype("<f4").tobytes()]
    layers.append(f"PixelShuffle shuffle 1 1 {blob} {output} 0={scale}")
    counts = f"{len(layers)} {len(layers)}"  # of layers and of blobs
    return "\n".join([NCNN_PARAM.decode(), counts, *layers, ""]), b"".join(binary)


def _weight_bytes(weight: NDArray, float16: bool) -> bytes:
    """The tag and the numbers of a weight, padded to a multiple of 4 bytes."""
    numbers = weight.astype("<f2" if float16 else "<f4").tobytes()
    return struct.pack("<I", NCNN_FLOAT16 if float16 else NCNN_FLOAT32) + numbers + bytes(-len(numbers) % 4)
