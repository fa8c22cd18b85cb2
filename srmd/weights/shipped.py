"""The weight files of the package, and which of them suits a scale and a noise level; this module imports no torch."""

import re
from pathlib import Path

from srmd.base.errors import InputError
from srmd.base.paths import shipped_folder
from srmd.config import CONDITIONS, network_kind

ESTIMATOR_PREFIX = "estimate_x"  # of the names of estimators, which do not restore pictures


def network_name(conditions: tuple[str, ...], scale: int) -> str:
    """The name of a network, such as srmdnf_x2; see `network_kind`."""
    return f"{network_kind(conditions).lower()}_x{scale}"


def network_files() -> list[Path]:
    """The files of all networks of the package that restore pictures, sorted by name."""
    files = sorted(shipped_folder("weights").glob("*.safetensors"))
    return [path for path in files if not path.name.startswith(ESTIMATOR_PREFIX)]


def estimator_file(scale: int) -> Path:
    """The file of the package's estimator for a scale; raises InputError if there is none."""
    path = shipped_folder("weights") / f"{ESTIMATOR_PREFIX}{scale}.safetensors"
    if not path.is_file():
        files = sorted(path.parent.glob(f"{ESTIMATOR_PREFIX}*.safetensors"))
        scales = ", ".join(file.stem.removeprefix(ESTIMATOR_PREFIX) for file in files)
        raise InputError(f"expected a scale that has an estimator ({scales or 'there is none'}), found {scale}")
    return path


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


def noise_free_counterpart(weights: Path) -> Path:
    """The file of the shipped network for pictures without noise, of the scale of another shipped network."""
    scale = next(scale for scale, path in shipped_networks(noisy=True).items() if path == weights)
    return shipped_networks(noisy=False)[scale]


def jpeg_counterpart(weights: Path) -> Path | None:
    """The file of the shipped network that is told of JPEG, of the same scale as `weights`; None if there is none."""
    scale = int(weights.stem.rpartition("_x")[2])
    path = weights.with_name(f"{network_name(CONDITIONS, scale)}.safetensors")
    return path if path.is_file() else None


def weights_for_enlargement(factor: float, noisy: bool) -> Path | None:
    """The file of the shipped network of the smallest scale that is at least `factor`, or else of the largest scale.

    None if the package contains no network.
    """
    networks = shipped_networks(noisy)
    large_enough = [path for scale, path in networks.items() if scale >= factor]
    return (large_enough or [*networks.values()][-1:] or [None])[0]
