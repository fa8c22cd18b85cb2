"""Other people's networks: ncnn, KAIR and MatConvNet files as our configuration and tensors.

All three hold the same chain: 3×3 convolutions, ReLU behind each but the last, and a pixel shuffle. The configuration
is read off the shapes. What differs is where the numbers lie, and MatConvNet's order of sub-pixels. Batch norm is
merged, and a network for grey pictures, as one of the authors' for x1, becomes one for colour that sees only green.
"""

import itertools
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srmd.base.errors import InputError
from srmd.base.matlab import read_mat
from srmd.kernel.families import KERNEL_SIZE
from srmd.kernel.pca import PCA_DIM
from srmd.model import NetworkConfig
from srmd.weights.surgery import empty_network, grey_weights_to_rgb, merge_norm

NCNN_PARAM = b"7767517"  # how a .param starts
NCNN_FLOAT16 = 0x01306B47  # the tag in front of weights stored as float16
NCNN_FLOAT32 = 0
KAIR_KEY = re.compile(r"model\.(\d+)\.(weight|bias|running_mean|running_var|num_batches_tracked)")
KAIR_EPSILON = 1e-4  # of its batch norm
CONDITIONS_OF_FILES = (("kernel",), ("kernel", "noise"))  # SRMDNF and SRMD: others publish no more
MATCONVNET_CHAIN = re.compile(r"(concat )?(conv (bnorm )?relu )+conv( SubP)?( loss)?")


@dataclass(frozen=True)
class ForeignNetwork:
    """What a file holds, by our names."""

    config: NetworkConfig
    state: dict[str, Tensor]
    pca: Tensor | None = None


@dataclass
class Convolution:
    """A layer's numbers, in float64 until batch norm is merged."""

    weight: Tensor  # (out, in, 3, 3)
    bias: Tensor  # (out,)


def read_ncnn(path: Path) -> ForeignNetwork:
    """The network of a .param and the .bin beside it, float32 or float16, by either of the two; they carry no P."""
    is_param = path.read_bytes()[: len(NCNN_PARAM)] == NCNN_PARAM
    param, binary = (path, path.with_suffix(".bin")) if is_param else (path.with_suffix(".param"), path)
    for part in (param, binary):
        if not part.is_file():
            raise InputError(f"{part}: expected it, for ncnn's .param and .bin belong together, found no such file")
    layers = [line.split() for line in param.read_text(errors="replace").splitlines()[2:] if line.strip()]
    kinds = [layer[0] for layer in layers]
    if kinds != ["Input", *["Convolution"] * (len(kinds) - 2), "PixelShuffle"]:
        raise InputError(f"{param}: expected Input, Convolution ×12, PixelShuffle, found {', '.join(kinds) or 'none'}")
    numbers = [_ncnn_numbers(layer) for layer in layers[1:]]
    shapes = [_ncnn_shape(n, param, activation=int(n is not numbers[-2])) for n in numbers[:-1]]
    data, offset, convolutions = binary.read_bytes(), 0, []
    for shape in shapes:
        convolution, offset = _ncnn_convolution(data, offset, shape, binary)
        convolutions.append(convolution)
    if offset != len(data):
        raise InputError(f"{binary}: expected {offset} bytes from {param.name}, found {len(data)}")
    if numbers[-1].get(1, 0) != 0:
        raise InputError(f"{param}: expected a pixel shuffle in PyTorch's order, found mode {numbers[-1][1]}")
    return _chain(convolutions, numbers[-1].get(0, 1), None, param)


def _ncnn_numbers(layer: list[str]) -> dict[int, int]:
    """A layer's parameters: behind type, name, the counts of its inputs and outputs, and their names."""
    return {int(key): int(value) for key, value in re.findall(r" (\d+)=(-?\d+)(?= )", f" {' '.join(layer)} ")}


def _ncnn_shape(numbers: dict[int, int], path: Path, activation: int) -> tuple[int, int, int, int]:
    """The shape of a convolution's weights: 0 and 6 are its outputs and weights, 9 the activation (1: ReLU)."""
    plain = {1: 3, 2: 1, 3: 1, 4: 1, 5: 1, 9: activation}  # side, dilation, stride, padding, bias
    given = {1: 0, 2: 1, 3: 1, 4: 0, 5: 0, 9: 0} | numbers
    outputs, count = given.get(0, 0), given.get(6, 0)
    if any(given[key] != value for key, value in plain.items()) or outputs < 1 or count < 1 or count % (9 * outputs):
        raise InputError(
            f"{path}: expected plain 3×3 convolutions, ReLU behind all but the last, found one of {numbers}"
        )
    return outputs, count // (9 * outputs), 3, 3


def _ncnn_convolution(data: bytes, offset: int, shape: tuple[int, ...], path: Path) -> tuple[Convolution, int]:
    """The convolution at `offset`, and the offset behind it; blobs are padded to 4 bytes."""
    try:
        (tag,) = struct.unpack_from("<I", data, offset)
        if tag not in (NCNN_FLOAT16, NCNN_FLOAT32):
            raise InputError(f"{path}: expected weights in float32 or float16, found the tag {tag:#010x}")
        kind = np.dtype("<f2" if tag == NCNN_FLOAT16 else "<f4")
        weight = np.frombuffer(data, kind, int(np.prod(shape)), offset + 4)
        offset += 4 + (weight.nbytes + 3) // 4 * 4
        bias = np.frombuffer(data, "<f4", shape[0], offset)
    except (ValueError, struct.error) as error:
        raise InputError(f"{path}: cut short after {len(data)} bytes") from error
    return Convolution(_tensor(weight).reshape(shape), _tensor(bias)), offset + bias.nbytes


def is_kair(state: Any) -> bool:
    """Whether what a PyTorch file holds is a state dict as KAIR saves one: bare, under model.N."""
    return (
        isinstance(state, dict)
        and len(state) > 0
        and all(isinstance(key, str) and KAIR_KEY.fullmatch(key) for key in state)
        and all(isinstance(value, Tensor) for value in state.values())
    )


def read_kair(state: dict[str, Tensor], path: Path) -> ForeignNetwork:
    """The network of KAIR's state dict (its network_srmd.py): model.N in the order of the layers; it carries no P."""
    modules: dict[int, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        number, name = KAIR_KEY.fullmatch(key).groups()
        modules.setdefault(int(number), {})[name] = tensor.double()
    convolutions: list[Convolution] = []
    for number, module in sorted(modules.items()):
        norm = {"running_mean", "running_var"}
        if module.keys() - {"num_batches_tracked"} not in ({"weight", "bias"}, {"weight", "bias"} | norm):
            raise InputError(
                f"{path}: expected a convolution or batch norm, found model.{number} of {', '.join(module)}"
            )
        if norm.isdisjoint(module):
            convolutions.append(Convolution(module["weight"], module["bias"]))
        else:
            deviation = (module["running_var"] + KAIR_EPSILON).sqrt()
            _merge(convolutions, [module["weight"], module["bias"], module["running_mean"], deviation], path)
    return _chain(convolutions, None, None, path)


def read_matconvnet(path: Path) -> ForeignNetwork:
    """The network of a MATLAB file, in `net.layers`, with P in `net.meta.P` where it has one.

    Filters are H×W×in×out and correlate; batch norm has gain, bias and [mean, standard deviation], which holds its
    epsilon already; SubP takes the s² channels of a colour column by column, where a pixel shuffle goes by rows.
    """
    variables = read_mat(path)
    net = variables.get("net")
    layers = net.get("layers") if isinstance(net, dict) else None
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        found = ", ".join(map(_described, variables.items())) or "nothing"
        raise InputError(f"{path}: expected MatConvNet's net.layers, found {found}")
    kinds = " ".join(str(layer.get("type")) for layer in layers)
    if not MATCONVNET_CHAIN.fullmatch(kinds):
        raise InputError(f"{path}: expected layers conv, relu, …, conv, SubP, found {kinds or 'none'}")
    convolutions, scale = [], 1
    for layer in layers:
        if layer["type"] == "conv":
            convolutions.append(_matconvnet_convolution(layer, path))
        elif layer["type"] == "bnorm":
            gain, bias, moments = _matconvnet_weights(layer, 3, path)
            _merge(convolutions, [*map(_tensor, (gain, bias, *moments.T))], path)
        elif layer["type"] == "relu" and np.any(layer.get("leak", 0)):
            raise InputError(f"{path}: expected ReLU, found a leaky one")
        elif layer["type"] == "SubP":
            scale = int(np.ravel(layer.get("scale", 0)).max(initial=0))
    network = _chain(convolutions, scale, _matconvnet_pca(net, path), path)
    order = torch.arange(3 * scale**2).reshape(3, scale, scale).mT.flatten()
    for key in ("head.weight", "head.bias"):
        network.state[key] = network.state[key][order]
    return network


def _matconvnet_convolution(layer: dict, path: Path) -> Convolution:
    if any(np.any(np.asarray(layer.get(key, 1)) != 1) for key in ("pad", "stride", "dilate")):
        raise InputError(f"{path}: expected convolutions of padding, stride and dilation 1, found others")
    weight, bias = _matconvnet_weights(layer, 2, path)
    if weight.ndim != 4:
        raise InputError(f"{path}: expected filters H×W×in×out, found an array of {weight.shape}")
    bias = bias if bias.size else np.zeros(weight.shape[3])
    return Convolution(_tensor(weight, flat=False).permute(3, 2, 0, 1), _tensor(bias))


def _matconvnet_weights(layer: dict, count: int, path: Path) -> list[np.ndarray]:
    arrays = layer.get("weights")
    if not isinstance(arrays, list) or len(arrays) != count or not all(_is_numeric(array) for array in arrays):
        raise InputError(f"{path}: expected {count} arrays in weights of each {layer['type']}, found another number")
    return arrays


def _matconvnet_pca(net: dict, path: Path) -> Tensor | None:
    meta = net.get("meta")
    pca = meta.get("P") if isinstance(meta, dict) else None
    if pca is None:
        return None
    if (
        not _is_numeric(pca)
        or pca.ndim != 2
        or pca.shape[1] % 2 == 0
        or round(pca.shape[1] ** 0.5) ** 2 != pca.shape[1]
    ):
        raise InputError(f"{path}: expected net.meta.P to be 15×225, found {_described(('P', pca))}")
    return _tensor(pca, flat=False).float().contiguous()


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iuf"


def _described(variable: tuple[str, Any]) -> str:
    name, value = variable
    return f"{name} {'×'.join(map(str, value.shape))}" if isinstance(value, np.ndarray) else name


def _tensor(array: np.ndarray, flat: bool = True) -> Tensor:
    array = np.array(array, np.float64)
    return torch.from_numpy(array.ravel() if flat else array)


def _merge(convolutions: list[Convolution], norm: list[Tensor], path: Path) -> None:
    """Merges gain, bias, mean and standard deviation into the last convolution."""
    if not convolutions or len(norm) != 4 or any(tensor.shape != convolutions[-1].bias.shape for tensor in norm):
        raise InputError(f"{path}: expected batch norm behind a convolution of as many channels, found another size")
    last = convolutions[-1]
    last.weight, last.bias = merge_norm(last.weight, last.bias, *norm)


def _chain(convolutions: list[Convolution], scale: int | None, pca: Tensor | None, path: Path) -> ForeignNetwork:
    """A network whose configuration is read off the shapes; `scale` is what the file says of it, where it does."""
    shapes = [tuple(c.weight.shape) for c in convolutions]
    fits = all(len(shape) == 4 and shape[2:] == (3, 3) for shape in shapes) and len(shapes) > 1
    if not fits or any(c.bias.shape != c.weight.shape[:1] for c in convolutions):
        raise InputError(f"{path}: expected 3×3 convolutions with their biases, found weights of {_shapes(shapes)}")
    inputs, outputs, features = shapes[0][1], shapes[-1][0], shapes[0][0]
    if any(a[0] != features or b[1] != features for a, b in itertools.pairwise(shapes)):
        raise InputError(f"{path}: expected as many channels in every inner layer, found weights of {_shapes(shapes)}")
    pca_dim, kernel_size = (PCA_DIM, KERNEL_SIZE) if pca is None else (len(pca), round(pca.shape[1] ** 0.5))
    told = {NetworkConfig(conditions=each, pca_dim=pca_dim).map_channels: each for each in CONDITIONS_OF_FILES}
    if inputs - 1 in told and outputs == (scale or round(outputs**0.5)) ** 2:
        first, last = convolutions[0], convolutions[-1]
        first.weight, last.weight, last.bias = grey_weights_to_rgb(first.weight, last.weight, last.bias)
        inputs, outputs = inputs + 2, 3 * outputs
    found_scale = round((outputs / 3) ** 0.5)
    if inputs - 3 not in told or outputs != 3 * found_scale**2 or scale not in (None, found_scale):
        shuffle = f", shuffled by {scale}" if scale else ""
        raise InputError(
            f"{path}: expected {3 + pca_dim} or {4 + pca_dim} channels in and 3·s² out, found {inputs} and "
            f"{outputs}{shuffle}; for grey pictures {1 + pca_dim} or {2 + pca_dim} and s²"
        )
    sizes = {"features": features, "layers": len(shapes), "kernel_size": kernel_size, "pca_dim": pca_dim}
    config = NetworkConfig(found_scale, conditions=told[inputs - 3], **sizes)
    state = {}
    for layer, convolution in zip(empty_network(config).chain(), convolutions, strict=True):
        state[f"{layer.name}.weight"] = convolution.weight.float().contiguous()
        state[f"{layer.name}.bias"] = convolution.bias.float()
    return ForeignNetwork(config, state, pca)


def _shapes(shapes: list[tuple]) -> str:
    return ", ".join("×".join(map(str, shape)) for shape in dict.fromkeys(shapes)) or "none"
