"""The commands `--list_weights` and `--clear_cache`, which take no pictures and need no torch."""

import json
from pathlib import Path

from srmd.base.files import clear_cache
from srmd.base.paths import shipped_folder
from srmd.cli.standard_output import print_text
from srmd.config import PackageRequest
from srmd.weights.shipped import network_files

SCORES = ("delta, noise 0", "gaussian:1.3, noise 0", "gaussian:1.3, noise 15")  # names of scores in the metadata
SCORED_DATA = "Set5"


def run_package_command(request: PackageRequest) -> None:
    """Prints the networks of the package, or empties the cache folder and prints what was removed."""
    if request.command == "list_weights":
        print_text("\n".join(weights_table()))
    else:
        removed = clear_cache()
        print_text("\n".join(f"removed {path}" for path in removed) or "the cache is empty")


def weights_table() -> list[str]:
    """The lines of a table of the package's networks: name, scale, what they are told, PSNR of Y on Set5."""
    folder = shipped_folder("weights")
    header = ["network", "scale", "told", *SCORES]
    metadata = {path: _metadata(path) for path in network_files()}
    rows = [_row(path.stem, values) for path, values in metadata.items() if values]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = ["  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    notes = [
        f"Scores: PSNR of the luma channel on {SCORED_DATA} in dB, for this kernel and noise level.",
        f"Files: {folder}",
        *(
            f"Left out: {path.name}, no network that srmd has written"
            for path, values in metadata.items()
            if not values
        ),
    ]
    return [*(line.rstrip() for line in lines), "", *notes]


def _metadata(path: Path) -> dict:
    """What srmd noted in a file of weights; empty for files of other programs and damaged ones."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            metadata = json.loads((file.metadata() or {}).get("srmd", "{}"))
    except (SafetensorError, OSError, ValueError):
        return {}
    return metadata if isinstance(metadata, dict) and "scale" in metadata else {}


def _row(name: str, metadata: dict) -> list[str]:
    scores = [metadata.get("scores", {}).get(f"{SCORED_DATA}, {score}", {}).get("psnr_y") for score in SCORES]
    old_conditions = ["kernel"] if metadata.get("noise_free") else ["kernel", "noise"]  # of version 0.4.0 and older
    told = ", ".join(metadata.get("conditions", old_conditions))
    cells = ["–" if score is None else f"{score:.2f}" for score in scores]
    return [name, f"x{metadata['scale']}", told, *cells]
