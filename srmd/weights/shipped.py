"""Which network of the package suits a scale and a noise level; this module imports no torch."""

import re
from pathlib import Path

from srmd.base.paths import shipped_folder


def shipped_weights(scale: int, noisy: bool) -> Path | None:
    """The file of the shipped network for a scale, None if there is none.

    SRMDNF, which takes no noise level, is better without noise; where it is missing, and with noise, it is SRMD.
    """
    return shipped_networks(noisy).get(scale)


def shipped_networks(noisy: bool) -> dict[int, Path]:
    """The files of the networks that `shipped_weights` chooses from, by their scale."""
    kinds = ["srmd"] if noisy else ["srmd", "srmdnf"]
    networks = {}
    for kind in kinds:  # a later one replaces an earlier one
        for path in shipped_folder("weights").glob(f"{kind}_x*.safetensors"):
            if match := re.fullmatch(rf"{kind}_x(\d+)", path.stem):
                networks[int(match[1])] = path
    return dict(sorted(networks.items()))


def weights_for_enlargement(factor: float, noisy: bool) -> Path | None:
    """The file of the shipped network of the smallest scale that is at least `factor`, or else of the largest scale.

    None if the package contains no network.
    """
    networks = shipped_networks(noisy)
    large_enough = [path for scale, path in networks.items() if scale >= factor]
    return (large_enough or [*networks.values()][-1:] or [None])[0]
