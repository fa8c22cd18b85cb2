"""Small networks, written in the formats of other projects."""

import struct
from pathlib import Path

import numpy as np
import scipy.io
import torch
from torch import nn

from srmd.model import SRMD, NetworkConfig

SMALL = NetworkConfig(scale=3, features=8, layers=4)


def small_network(config: NetworkConfig = SMALL) -> SRMD:
    torch.manual_seed(0)
    return SRMD(config).eval()


def conditions_of(noise_free: bool) -> tuple[str, ...]:
    return ("kernel",) if noise_free else ("kernel", "noise")


@torch.no_grad()
def output(network: nn.Module, config: NetworkConfig) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    degradation_map = torch.rand(1, config.map_channels, 1, 1, generator=rng)
    return network.eval()(torch.rand(1, 3, 9, 7, generator=rng), degradation_map)


def ncnn_files(folder: Path, network: SRMD, float16: bool = False) -> Path:
    """Writes net.param and net.bin in ncnn's format; the path of net.param."""
    convs = [*network.convs, network.head]
    lines = ["7767517", f"{len(convs) + 2} {len(convs) + 2}", "Input input 0 1 b0"]
    data = b""
    for i, conv in enumerate(convs):
        weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
        relu = " 9=1" if i < len(convs) - 1 else ""
        lines.append(f"Convolution c{i} 1 1 b{i} b{i + 1} 0={len(bias)} 1=3 4=1 5=1 6={weight.size}{relu}")
        stored = weight.astype("<f2" if float16 else "<f4").tobytes()
        data += struct.pack("<I", 0x01306B47 if float16 else 0) + stored + b"\0" * (-len(stored) % 4)
        data += bias.astype("<f4").tobytes()
    lines.append(f"PixelShuffle output 1 1 b{len(convs)} output 0={network.config.scale}")
    (folder / "net.param").write_text("\n".join(lines) + "\n")
    (folder / "net.bin").write_bytes(data)
    return folder / "net.param"


def write_matlab_5(path: Path, **variables: object) -> None:
    """Writes a MATLAB 5 file with SciPy, as MATLAB's `save` does."""

    def value(item: object) -> object:
        if isinstance(item, dict):
            return {key: value(member) for key, member in item.items()}
        if isinstance(item, list):
            cell = np.empty((1, len(item)), object)
            cell[0, :] = [value(member) for member in item]
            return cell
        return item

    with path.open("wb") as file:  # SciPy would add .mat to a path
        scipy.io.savemat(file, value(variables), do_compression=True)
