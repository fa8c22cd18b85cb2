"""The flags of sheets for choosing kernel and noise level by eye, and of maps of blur and noise; their checks."""

from srmd.base.errors import InputError
from srmd.cli.flag import ON, Flag
from srmd.cli.values import numbers
from srmd.config import AUTO

MAX_GRID_WIDTH = 20  # HR pixels
MAX_GRID_NUMBERS = 12  # more panels would not fit on a screen
GRID_SUFFIX = "_grid"  # of the names of sheets
NOT_WITH_GRIDS = ("save_kernel", "noise_map", "regions", "format", "quality", "suffix", "outscale", "size", "dry_run")
NOT_WITH_GRIDS += ("tile", "self_ensemble", "estimate_map")
NOT_WITH_MAPS = ("kernel", "noise_level", "noise_map", "regions", "save_kernel")

ESTIMATE_FLAGS = (
    Flag(
        "kernel_grid",
        ("test",),
        "write a labelled sheet of each picture, restored with isotropic Gaussians of these widths in HR pixels, at "
        "most 12 widths of 0 (no blur) to 20; with --noise_grid, with every combination; auto's choice is marked",
        {"type": numbers(0, MAX_GRID_WIDTH, MAX_GRID_NUMBERS), "metavar": "W,W,…"},
    ),
    Flag(
        "noise_grid",
        ("test",),
        "write a labelled sheet of each picture, restored with these noise levels, at most 12, 0 to 255",
        {"type": numbers(0, 255, MAX_GRID_NUMBERS), "metavar": "X,X,…"},
    ),
    Flag(
        "estimate_map",
        ("test",),
        "estimate blur and noise in overlapping windows and tell the network a smooth map of both, for pictures in "
        "which they differ from place to place",
        ON,
    ),
)
ESTIMATE_GROUPS = {"Choosing by eye, and maps": ESTIMATE_FLAGS}


def check_estimating(values: dict) -> None:
    """Adds the suffix of sheets to the values of flags; raises InputError for flags that contradict each other."""
    for name in ("kernel_grid", "noise_grid", "estimate_map"):
        if name in values and not values.get("input"):
            raise InputError("only for LR pictures, expected --input, found none", name)
    grids = [name for name in ("kernel_grid", "noise_grid") if name in values]
    if grids:
        _check_absent(values, NOT_WITH_GRIDS, grids[0])
        for grid, name in (("kernel_grid", "kernel"), ("noise_grid", "noise_level")):
            if grid in values and values.get(name, AUTO) not in (AUTO, [AUTO]):
                raise InputError(f"expected either --{grid} or --{name}, found both", grid)
        values["suffix"] = GRID_SUFFIX
    if "estimate_map" in values:
        _check_absent(values, NOT_WITH_MAPS, "estimate_map")


def _check_absent(values: dict, names: tuple[str, ...], flag: str) -> None:
    for name in names:
        if name in values and values[name] not in (AUTO, [AUTO]):
            raise InputError(f"not used with --{flag}", name)
