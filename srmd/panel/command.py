"""The command line that repeats what the page does, and its flags."""

import re
import shlex
from pathlib import Path

from srmd.config import AUTO, PanelRequest
from srmd.model import NetworkConfig
from srmd.panel.download import FileChoice
from srmd.panel.session import Told
from srmd.panel.settings import Settings
from srmd.panel.whole import tile_side
from srmd.pictures.formats import DEFAULT_QUALITY, QUALITY_FORMATS, format_of

SPEED_FLAGS = ("device", "engine", "precision")  # they change the rounding of results


def command_line(
    request: PanelRequest, name: str, settings: Settings, told: Told, takes_noise_level: bool, further_flags: list[str]
) -> str:
    """The command that restores the picture `name` as the page does; `further_flags` choose its tiles and its file.

    Where blur or noise level is set by hand, both are stated, because one would be estimated differently if the other
    is known.
    """
    flags = [f"--{flag}={value}" for flag in ("weights", "pca") if (value := getattr(request, flag)) is not None]
    if request.weights is None:
        flags.append(f"--scale_factor={settings.scale}")
    if not settings.is_auto:
        flags.append(f"--kernel={told.kernel_spec}")
        flags += [f"--noise_level={told.noise_level:g}"] if takes_noise_level else []
    if settings.jpeg != AUTO:
        flags.append(f"--jpeg={settings.jpeg}")
    flags += [f"--{flag}={getattr(request, flag)}" for flag in SPEED_FLAGS if getattr(request, flag) != AUTO]
    name = f"./{name}" if name.startswith("-") else name
    return shlex.join(["srmd", name, *flags, *further_flags])


def tile_flags(size: tuple[int, int], config: NetworkConfig) -> list[str]:
    """The flag of the tiles of a picture of a height and width, whose rounding the result depends on; none for one."""
    side = tile_side(config)
    return [f"--tile={side}"] if max(size) > side else []


def format_flags(choice: FileChoice, name: str, scale: int) -> list[str]:
    """The flags that choose the file of the result of the picture `name`."""
    has_quality = format_of(Path(choice.file_name(name, scale))) in QUALITY_FORMATS
    flags = [] if choice.format == "png" else [f"--format={choice.format}"]
    flags += [f"--quality={choice.quality:g}"] if has_quality and choice.quality != DEFAULT_QUALITY else []
    return [*flags, f"--suffix=_x{scale}"]


def name_flags(message: str) -> str:
    """A message of the library, with flags in place of its arguments in backticks: `engine=torch` is --engine=torch."""
    return re.sub(r"`(\w+)(=[^`]*)?`", r"--\1\2", message)
