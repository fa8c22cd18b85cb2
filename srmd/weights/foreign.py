"""Converts SRMD networks of other projects (ncnn, KAIR, MatConvNet) to this project's configuration and tensors.

All three formats hold the same chain: 3×3 convolutions, each but the last followed by ReLU, and a pixel shuffle. The
shapes of the weights determine the configuration. Batch norm is merged into the convolutions, MatConvNet's sub-pixels
are reordered, and a network for grey pictures, such as the authors' for x1, is changed to take and return RGB.
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

from srmd.base.arithmetic import ceil_div
from srmd.base.errors import InputError
from srmd.base.files import check_is_file, check_size
from srmd.base.matlab import describe_variables, read_mat
from srmd.base.ncnn_format import NCNN_FLOAT16, NCNN_FLOAT32, NCNN_PARAM
from srmd.kernel.families import KERNEL_SIZE
from srmd.kernel.files import MAX_SIDE
from srmd.kernel.pca import PCA_DIM, is_odd_square
from srmd.model import MAX_SCALE, NetworkConfig
from srmd.weights.surgery import empty_network, grey_weights_to_rgb, merge_norm

NCNN_PARAMETER = re.compile(r" (\d{1,2})=(-?\d{1,10})(?= )")
MAX_BIN_BYTES = 2**31  # of ncnn's .bin, which is read whole
MAX_PARAM_BYTES = 2**20  # of a .param file, which is text
MAX_FOUND = 200  # characters of what was found that an error message repeats
KAIR_KEY = re.compile(r"model\.(\d{1,4})\.(weight|bias|running_mean|running_var|num_batches_tracked)")
KAIR_EPSILON = 1e-4  # epsilon of KAIR's batch norm
PUBLISHED_CONDITIONS = (("kernel",), ("kernel", "noise"))  # SRMDNF and SRMD, the networks of other projects
MATCONVNET_CHAIN = re.compile(r"(concat )?(conv (bnorm )?relu )+conv( SubP)?( loss)?")
Shape = tuple[int, int, int, int]  # of a weight: (out, in, 3, 3)


@dataclass(frozen=True)
class ForeignNetwork:
    """The content of a file as this project's configuration and state dict; `pca` is None if the file has no P."""

    config: NetworkConfig
    state: dict[str, Tensor]
    pca: Tensor | None = None


@dataclass
class Convolution:
    """Weight and bias of a layer, in float64 until batch norm is merged."""

    weight: Tensor  # (out, in, 3, 3)
    bias: Tensor  # (out,)


def read_ncnn(path: Path) -> ForeignNetwork:
    """The network in ncnn's .param and .bin, float32 or float16; `path` is either of the two files.

    Raises InputError if one of the files is missing, damaged or of another network.
    """
    with path.open("rb") as file:
        is_param = file.read(len(NCNN_PARAM)) == NCNN_PARAM
    param, binary = (path, path.with_suffix(".bin")) if is_param else (path.with_suffix(".param"), path)
    for file in (param, binary):
        check_is_file(file, "this file, because ncnn's .param and .bin belong together")
    check_size(binary, MAX_BIN_BYTES)
    shapes, scale = _ncnn_layers(param)
    data, offset, convolutions = binary.read_bytes(), 0, []
    for shape in shapes:
        convolution, offset = _ncnn_convolution(data, offset, shape, binary)
        convolutions.append(convolution)
    if offset != len(data):
        raise InputError(f"{binary}: expected {offset} bytes from {param.name}, found {len(data)}")
    return _to_network(convolutions, scale, None, param)


def _ncnn_layers(param: Path) -> tuple[list[Shape], int]:
    """The shapes of the convolutions' weights, and the scale of the pixel shuffle, from a .param."""
    check_size(param, MAX_PARAM_BYTES)
    layers = [line.split() for line in param.read_text(errors="replace").splitlines()[2:] if line.strip()]
    types = [layer[0] for layer in layers]
    if types != ["Input", *["Convolution"] * (len(types) - 2), "PixelShuffle"]:
        found = ", ".join(types)[:MAX_FOUND] or "none"
        raise InputError(f"{param}: expected Input, Convolution ×12, PixelShuffle, found {found}")
    *convolutions, shuffle = [_ncnn_parameters(layer) for layer in layers[1:]]
    if shuffle.get(1, 0) != 0:
        raise InputError(f"{param}: expected a pixel shuffle in PyTorch's order, found mode {shuffle[1]}")
    shapes = [_ncnn_shape(layer, param, has_relu=layer is not convolutions[-1]) for layer in convolutions]
    return shapes, shuffle.get(0, 1)


def _ncnn_parameters(layer: list[str]) -> dict[int, int]:
    """The parameters NUMBER=VALUE of a layer; in its line they follow its type, name, inputs and outputs."""
    return {int(key): int(value) for key, value in NCNN_PARAMETER.findall(f" {' '.join(layer)} ")}


def _ncnn_shape(parameters: dict[int, int], path: Path, has_relu: bool) -> Shape:
    """The shape of a convolution's weight: parameter 0 is the number of outputs, 6 the number of weights."""
    # Kernel size, dilation, stride, padding, bias, activation (1: ReLU).
    expected = {1: 3, 2: 1, 3: 1, 4: 1, 5: 1, 9: int(has_relu)}
    ncnn_defaults = {1: 0, 2: 1, 3: 1, 4: 0, 5: 0, 9: 0}
    values = ncnn_defaults | parameters
    outputs, count = values.get(0, 0), values.get(6, 0)
    is_plain = all(values[key] == value for key, value in expected.items())
    if not is_plain or outputs < 1 or count < 1 or count % (9 * outputs):
        raise InputError(
            f"{path}: expected plain 3×3 convolutions, ReLU after all but the last, "
            f"found the parameters {str(parameters)[:MAX_FOUND]}"
        )
    return outputs, count // (9 * outputs), 3, 3


def _ncnn_convolution(data: bytes, offset: int, shape: Shape, path: Path) -> tuple[Convolution, int]:
    """The convolution at `offset`, and the offset of the next one; weights are padded to a multiple of 4 bytes."""
    try:
        (tag,) = struct.unpack_from("<I", data, offset)
        if tag not in (NCNN_FLOAT16, NCNN_FLOAT32):
            raise InputError(f"{path}: expected weights in float32 or float16, found the tag {tag:#010x}")
        dtype = np.dtype("<f2" if tag == NCNN_FLOAT16 else "<f4")
        weight = np.frombuffer(data, dtype, int(np.prod(shape)), offset + 4)
        offset += 4 + 4 * ceil_div(weight.nbytes, 4)
        bias = np.frombuffer(data, "<f4", shape[0], offset)
    except (ValueError, struct.error) as error:
        raise InputError(f"{path}: cut short after {len(data)} bytes") from error
    return Convolution(_tensor(weight).reshape(shape), _tensor(bias)), offset + bias.nbytes


def is_kair(state: Any) -> bool:
    """Whether the content of a PyTorch file is a state dict of KAIR: tensors whose keys begin with model.N."""
    return (
        isinstance(state, dict)
        and len(state) > 0
        and all(isinstance(key, str) and KAIR_KEY.fullmatch(key) for key in state)
        and all(isinstance(value, Tensor) for value in state.values())
    )


def read_kair(state: dict[str, Tensor], path: Path) -> ForeignNetwork:
    """The network in a state dict of KAIR (its network_srmd.py), where model.N are the layers in order.

    Raises InputError for a layer that is neither a convolution nor batch norm.
    """
    modules: dict[int, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        number, name = KAIR_KEY.fullmatch(key).groups()
        modules.setdefault(int(number), {})[name] = tensor.double()
    convolutions: list[Convolution] = []
    for number, module in sorted(modules.items()):
        parameters, statistics = {"weight", "bias"}, {"running_mean", "running_var"}
        if module.keys() - {"num_batches_tracked"} not in (parameters, parameters | statistics):
            raise InputError(
                f"{path}: expected a convolution or batch norm, found model.{number} with {', '.join(module)}"
            )
        if statistics.isdisjoint(module):
            convolutions.append(Convolution(module["weight"], module["bias"]))
        else:
            deviation = (module["running_var"] + KAIR_EPSILON).sqrt()
            _merge_into_last(convolutions, [module["weight"], module["bias"], module["running_mean"], deviation], path)
    return _to_network(convolutions, None, None, path)


def read_matconvnet(path: Path) -> ForeignNetwork:
    """The network in a MATLAB file of MatConvNet: layers in `net.layers`, P in `net.meta.P` if there is one.

    Filters are H×W×in×out, in correlation orientation. Batch norm has gain, bias and an array [mean, standard
    deviation], (out, 2), whose deviation includes epsilon. The layer SubP arranges the s² channels of a colour by
    columns, PyTorch's pixel shuffle by rows. Raises InputError if the file does not hold such a network.
    """
    net, layers = _matconvnet_layers(path)
    convolutions, scale = [], 1
    for layer in layers:
        if layer["type"] == "conv":
            convolutions.append(_matconvnet_convolution(layer, path))
        elif layer["type"] == "bnorm":
            gain, bias, moments = _matconvnet_weights(layer, 3, path)
            _merge_into_last(convolutions, [_flat_tensor(array) for array in (gain, bias, *moments.T)], path)
        elif layer["type"] == "relu" and np.any(layer.get("leak", 0)):
            raise InputError(f"{path}: expected ReLU, found leaky ReLU")
        elif layer["type"] == "SubP":
            scale = _matconvnet_scale(layer, path)
    network = _to_network(convolutions, scale, _matconvnet_pca(net, path), path)
    row_order = torch.arange(3 * scale**2).reshape(3, scale, scale).mT.flatten()
    for key in ("head.weight", "head.bias"):
        network.state[key] = network.state[key][row_order]
    return network


def _matconvnet_layers(path: Path) -> tuple[dict, list[dict]]:
    """The variable `net` of a MATLAB file, and its layers.

    Raises InputError if the types of the layers do not match MATCONVNET_CHAIN.
    """
    variables = read_mat(path)
    net = variables.get("net")
    layers = net.get("layers") if isinstance(net, dict) else None
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise InputError(f"{path}: expected MatConvNet's net.layers, found {describe_variables(variables)}")
    types = " ".join(str(layer.get("type")) for layer in layers)
    if not MATCONVNET_CHAIN.fullmatch(types):
        raise InputError(f"{path}: expected layers conv, relu, …, conv, SubP, found {types[:MAX_FOUND] or 'none'}")
    return net, layers


def _matconvnet_scale(layer: dict, path: Path) -> int:
    scale = layer.get("scale")
    if not _is_numeric(scale) or scale.size != 1 or scale.item() not in range(1, MAX_SCALE + 1):
        raise InputError(f"{path}: expected SubP with a scale from 1 to {MAX_SCALE}, found {str(scale)[:MAX_FOUND]}")
    return int(scale.item())


def _matconvnet_convolution(layer: dict, path: Path) -> Convolution:
    values = [layer.get(key, np.ones(1)) for key in ("pad", "stride", "dilate")]
    if not all(_is_numeric(value) and (value == 1).all() for value in values):
        raise InputError(f"{path}: expected convolutions with padding, stride and dilation 1, found another value")
    weight, bias = _matconvnet_weights(layer, 2, path)
    if weight.ndim != 4:
        raise InputError(f"{path}: expected filters H×W×in×out, found an array of {weight.shape}")
    if not bias.size:
        bias = np.zeros(weight.shape[3])
    return Convolution(_tensor(weight).permute(3, 2, 0, 1), _flat_tensor(bias))


def _matconvnet_weights(layer: dict, count: int, path: Path) -> list[np.ndarray]:
    arrays = layer.get("weights")
    if not isinstance(arrays, list) or len(arrays) != count or not all(_is_numeric(array) for array in arrays):
        raise InputError(f"{path}: expected {count} arrays as weights of each {layer['type']}, found something else")
    return arrays


def _matconvnet_pca(net: dict, path: Path) -> Tensor | None:
    meta = net.get("meta")
    pca = meta.get("P") if isinstance(meta, dict) else None
    if pca is None:
        return None
    if not _is_numeric(pca) or pca.ndim != 2 or not is_odd_square(pca.shape[1]) or pca.shape[1] > MAX_SIDE**2:
        raise InputError(f"{path}: expected net.meta.P to be 15×225, found {describe_variables({'P': pca})}")
    return _tensor(pca).float().contiguous()


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iuf"


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, np.float64))


def _flat_tensor(array: np.ndarray) -> Tensor:
    return _tensor(array).flatten()


def _merge_into_last(convolutions: list[Convolution], norm: list[Tensor], path: Path) -> None:
    """Merges batch norm, [gain, bias, mean, standard deviation], into the last convolution."""
    if not convolutions or len(norm) != 4 or any(tensor.shape != convolutions[-1].bias.shape for tensor in norm):
        raise InputError(f"{path}: expected batch norm after a convolution with equally many channels, found another")
    last = convolutions[-1]
    last.weight, last.bias = merge_norm(last.weight, last.bias, *norm)


def _to_network(convolutions: list[Convolution], scale: int | None, pca: Tensor | None, path: Path) -> ForeignNetwork:
    """The network of a chain of convolutions; `scale` is the scale in the file, or None if the file has no scale."""
    _check_shapes(convolutions, path)
    first, last = convolutions[0], convolutions[-1]
    features, inputs, outputs = first.weight.shape[0], first.weight.shape[1], last.weight.shape[0]
    pca_dim, kernel_size = (PCA_DIM, KERNEL_SIZE) if pca is None else (len(pca), round(pca.shape[1] ** 0.5))
    conditions_by_channels = {
        NetworkConfig(conditions=conditions, pca_dim=pca_dim).map_channels: conditions
        for conditions in PUBLISHED_CONDITIONS
    }
    # The first layer takes the channels of the degradation map, and 1 (grey) or 3 (RGB) channels of the picture.
    is_grey = inputs - 1 in conditions_by_channels and outputs == (scale or round(outputs**0.5)) ** 2
    if is_grey:
        first.weight, last.weight, last.bias = grey_weights_to_rgb(first.weight, last.weight, last.bias)
        inputs, outputs = inputs + 2, 3 * outputs
    head_scale = round((outputs / 3) ** 0.5)
    if inputs - 3 not in conditions_by_channels or outputs != 3 * head_scale**2 or scale not in (None, head_scale):
        shuffle = f", shuffled by {scale}" if scale else ""
        raise InputError(
            f"{path}: expected {3 + pca_dim} or {4 + pca_dim} channels in and 3·s² out, found {inputs} and "
            f"{outputs}{shuffle}; for grey pictures {1 + pca_dim} or {2 + pca_dim} and s²"
        )
    sizes = {"features": features, "layers": len(convolutions), "kernel_size": kernel_size, "pca_dim": pca_dim}
    config = NetworkConfig(head_scale, conditions=conditions_by_channels[inputs - 3], **sizes)
    return ForeignNetwork(config, _state_dict(config, convolutions), pca)


def _check_shapes(convolutions: list[Convolution], path: Path) -> None:
    """Raises InputError unless these are 3×3 convolutions, with equally many channels in all inner layers."""
    shapes = [tuple(each.weight.shape) for each in convolutions]
    found = ", ".join("×".join(map(str, shape)) for shape in dict.fromkeys(shapes))[:MAX_FOUND] or "none"
    are_3_by_3 = all(len(shape) == 4 and shape[2:] == (3, 3) for shape in shapes) and len(shapes) > 1
    if not are_3_by_3 or any(each.bias.shape != each.weight.shape[:1] for each in convolutions):
        raise InputError(f"{path}: expected 3×3 convolutions with their biases, found weights of {found}")
    features = shapes[0][0]
    if any(a[0] != features or b[1] != features for a, b in itertools.pairwise(shapes)):
        raise InputError(f"{path}: expected equally many channels in all inner layers, found weights of {found}")


def _state_dict(config: NetworkConfig, convolutions: list[Convolution]) -> dict[str, Tensor]:
    state = {}
    for layer, convolution in zip(empty_network(config).chain(), convolutions, strict=True):
        state[f"{layer.name}.weight"] = convolution.weight.float().contiguous()
        state[f"{layer.name}.bias"] = convolution.bias.float()
    return state
