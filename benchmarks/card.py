"""Writes the score tables and the list of trainings from the metadata of the shipped networks.

    python -m benchmarks.card

| written | where |
|---|---|
| scores on Set5, for three degradations | README.md |
| scores on Set5, for all degradations, and a table for each network | docs/results.md |
| trainings of each network | weights/README.md |
| scores and trainings of the estimators | docs/weights.md |
| an entry of each network for OpenModelDB | docs/models/ |

`benchmarks/ship.py` stores trainings and scores in a network's file. The scores of the networks that the paper's
authors published come from `benchmarks/published.csv`.
"""

import hashlib
import json
import textwrap
from pathlib import Path

from safetensors import safe_open

from benchmarks.commands import command_parser, one_line_errors
from benchmarks.pages import replace_part
from benchmarks.reproduce import reference_cells
from srmd.base.files import atomic_write
from srmd.weights.shipped import estimator_file, network_files

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "docs" / "models"
SCALES = (1, 2, 3, 4)
SUMMARY_DATA = "Set5"
SHORT_SUMMARY = ("delta, noise 0", "gaussian:1.3, noise 0", "gaussian:1.3, noise 15")  # the README's rows
WIDTH = 120  # characters of a line
CONDITION_TAGS = {"kernel": "deblur", "noise": "denoise", "jpeg": "jpeg"}  # tags of OpenModelDB
NO_PUBLISHED = "The paper's authors published no network that is told of JPEG."
DATASETS = {  # by the folder in the command of the training
    "data/train_pictures": "730 pictures, listed in weights/README.md",
    "data/both": "846 pictures, listed in weights/README.md",
}
MAX_PSNR = 100.0  # dB; above, the pictures are equal but for rounding

Scores = dict[str, float]


def shipped_metadata() -> dict[str, dict]:
    """Return the metadata of each shipped network, by its name."""
    metadata = {}
    for path in network_files():
        with safe_open(path, "pt") as file:
            metadata[path.stem] = json.loads(file.metadata()["srmd"])
    return metadata


def published_scores() -> dict[tuple[str, int, str], tuple[float, float]]:
    """Return PSNR and SSIM of the published networks and of bicubic upscaling, by network, scale and cell name."""
    scores = {}
    for cell in reference_cells():
        setting = cell.setting
        kernel = "delta" if setting.kernel == "gaussian:0.2" else setting.kernel  # the authors' name for no blur
        name = cell_name(setting.data, kernel, setting.noise_level)
        scores[cell.network, setting.scale, name] = cell.reference
    return scores


def cell_name(data: str, kernel: str, noise_level: int) -> str:
    """Return the name of a score in a network's metadata: pictures, kernel and noise level."""
    return f"{data}, {kernel}, noise {noise_level}"


def decibels(psnr: float | None) -> str:
    """Return a PSNR with two decimals; ∞ for equal pictures, as at x1 without blur and noise."""
    return "∞" if psnr is None or psnr > MAX_PSNR else f"{psnr:.2f}"


def kind_of(name: str) -> str:
    """Return SRMD, SRMDNF or SRMDJ, which is told of JPEG, for the name of a network, such as srmdnf_x2."""
    return name.split("_")[0].upper()


def summary(networks: dict[str, dict], cells: tuple[str, ...] | None = None) -> str:
    """Return the table of Set5: a row for each degradation and network, a column for each scale.

    `cells` limits the table to some degradations, named as in SHORT_SUMMARY, and to networks that are not told of JPEG.
    """
    if cells:
        networks = {name: network for name, network in networks.items() if kind_of(name) != "SRMDJ"}
    rows = _summary_rows(networks)
    lines = ["| kernel and noise level | network | x1 | x2 | x3 | x4 |", "|---|---|---|---|---|---|"]
    for cell, kind in sorted(rows, key=_order):
        if cells is None or cell in cells:
            columns = " | ".join(rows[cell, kind].get(scale, "") for scale in SCALES)
            lines.append(f"| {cell} | {kind} | {columns} |")
    return "\n".join(lines)


def _summary_rows(networks: dict[str, dict]) -> dict[tuple[str, str], dict[int, str]]:
    """Return the texts of the table by (degradation, kind of network), then by scale."""
    rows: dict[tuple[str, str], dict[int, str]] = {}
    for name, network in networks.items():
        kind, scale = kind_of(name), network["scale"]
        for cell, scores in network.get("scores", {}).items():
            data, degradation = cell.split(", ", 1)
            if data == SUMMARY_DATA:
                bicubic = decibels(scores["bicubic_psnr_y"])
                rows.setdefault((degradation, "bicubic"), {})[scale] = bicubic
                rows.setdefault((degradation, kind), {})[scale] = _beside_published(scores, kind, scale, cell)
    return rows


def _beside_published(scores: Scores, kind: str, scale: int, cell: str) -> str:
    known = published_scores().get((kind, scale, cell))
    return f"{scores['psnr_y']:.2f}" + (f" ({known[0]:.2f})" if known else "")


def _order(row: tuple[str, str]) -> tuple[int, int, str, int]:
    """Return the sort key of a row: quality of JPEG, noise level, kernel, network."""
    cell, kind = row
    kernel, rest = cell.split(", noise ")
    noise, _, quality = rest.partition(", JPEG ")
    return int(quality or 0), int(noise), kernel, ["bicubic", "SRMDNF", "SRMD", "SRMDJ"].index(kind)


def score_card(name: str, network: dict) -> str:
    """Return the table of a network's scores, beside those of the published network if there are any."""
    known, kind, scale = published_scores(), kind_of(name), network["scale"]
    cells = {cell: (scores, known.get((kind, scale, cell))) for cell, scores in network.get("scores", {}).items()}
    gains = [round(scores["psnr_y"], 2) - round(published[0], 2) for scores, published in cells.values() if published]
    is_told_of_jpeg = "jpeg" in network.get("conditions", ())
    rows = [["pictures, kernel, noise level", "bicubic", "this network", "published"]]
    for cell, (scores, published) in cells.items():
        bicubic = f"{decibels(scores['bicubic_psnr_y'])} / {scores['bicubic_ssim_y']:.4f}"
        measured = f"{decibels(scores['psnr_y'])} / {scores['ssim_y']:.4f}"
        rows.append([cell, bicubic, measured, f"{published[0]:.2f} / {published[1]:.4f}" if published else ""])
    columns = 4 if gains else 3
    table = [f"| {' | '.join(row[:columns])} |" for row in rows]
    table.insert(1, "|---" * columns + "|")
    return "\n".join([f"### {name}", "", NO_PUBLISHED if is_told_of_jpeg else distance(gains), "", *table])


def training_card(name: str, network: dict) -> str:
    """Return a network's trainings, in the order in which they were done, and the commands of the last one.

    Averaging with other weights and correcting flat colours, if they came after that, are the last commands.
    """
    lines = [f"### {name}", "", "| started from | steps | patches per step, in LR pixels | learning rate |"]
    lines += ["|---|---|---|---|"]
    for run in [*network.get("history", []), network["training"]]:
        patches = f"{run['batch_size']} of {run['patch_size']}×{run['patch_size']}"
        start = f"`{run['weights']}`" if run.get("weights") else "scratch"
        lines.append(f"| {start} | {run['steps']:,} | {patches} | {run['lr']} |")
    if "trained_share" in network:
        before = "the network shipped before, with its kernel window enlarged"
        lines += ["", _shares(network["trained_share"], before)]
    if "average" in network:
        lines += ["", _shares(network["average"]["share"], network["average"]["source"])]
    later = [network[key]["command"] for key in ("average", "colours") if key in network]
    commands = [network["command"], *later]
    return "\n".join([*lines, "", "```bash", *commands, "```"])


def _shares(share: float, source: str) -> str:
    """Return a sentence on the weights of an average; `source` is a name or a file, or describes a network."""
    if source.endswith(".safetensors"):
        source = f"`{source}`, the network that it started from"
    elif " " not in source:
        source = f"`{source}`"
    text = f"Its weights are {share:g} of the last training's and {1 - share:g} of those of {source}."
    return textwrap.fill(text, WIDTH)


def distance(ahead: list[float]) -> str:
    """Return in words how far PSNR is from the published network's; `ahead` has a difference in dB for each row."""
    if not ahead:
        return "The published network was not scored."
    parts = []
    for word, them in (("below", [-by for by in ahead if by < 0]), ("above", [by for by in ahead if by >= 0])):
        if them:
            rows = "1 row" if len(them) == 1 else f"{len(them)} rows"
            by = " to ".join(dict.fromkeys(f"{each:.2f}" for each in (min(them), max(them))))
            parts.append(f"{word} in {rows}, by {by} dB")
    return textwrap.fill(f"Compared with the published network, PSNR is {', and '.join(parts)}.", WIDTH)


def estimators() -> dict[int, dict]:
    """Return the metadata of each shipped estimator, by its scale."""
    metadata = {}
    for scale in SCALES:
        with safe_open(estimator_file(scale), "pt") as file:
            metadata[scale] = json.loads(file.metadata()["srmd"])
    return metadata


def estimator_card(metadata: dict[int, dict]) -> str:
    """Return the tables of the estimators' scores and trainings."""
    lines = ["| scale | blur and noise | PSNR lost, dB | error of the width | error of the noise level |"]
    lines += ["|---|---|---|---|---|"]
    for scale, estimator in metadata.items():
        for name, row in estimator["scores"].items():
            errors = f"{row['width_error']:+.2f} | {row['noise_error']:.1f}"
            lines.append(f"| x{scale} | {name} | {row['loss']:.2f} | {errors} |")
    lines += ["", "| estimators | trainings, one after the other: scales, steps, patches per step |", "|---|---|"]
    for scale, estimator in metadata.items():
        for name, key in (("", "trainings"), (", for JPEGs", "jpeg_trainings")):
            trainings = "; ".join(_training(training) for training in estimator[key])
            lines.append(f"| x{scale}{name} | {trainings} |")
    return "\n".join(lines)


def _training(training: dict) -> str:
    scales = ", ".join(f"x{scale}" for scale in training["scales"])
    return f"{scales}: {training['steps']:,} of {training['batch']}"


def database_id(name: str, network: dict) -> str:
    """Return the name in OpenModelDB of a network, such as 2x-SRMD of srmd_x2."""
    return f"{network['scale']}x-{kind_of(name)}"


def database_entry(path: Path, network: dict) -> dict:
    """Return the entry of a network's file in the format of OpenModelDB.

    The format is that of `Model` in src/lib/schema.ts of OpenModelDB/open-model-database. Whoever publishes the file
    puts its address in place of the path in `urls`.
    """
    training = network["training"]
    data = training.get("train_data") or "the built-in set"
    told = ", ".join(network["conditions"])
    description = (
        f"Super-resolution by {network['scale']} for pictures whose degradation is known or estimated (Zhang, Zuo and "
        f"Zhang, CVPR 2018, https://arxiv.org/abs/1712.06116). The network is told: {told}. It is loaded through "
        "spandrel with the adapter of the package srmd, or exported to ONNX or ncnn; see docs/export.md."
    )
    return {
        "name": f"{network['scale']}x {kind_of(path.stem)}",
        "author": "srmd",
        "license": network.get("license"),
        "tags": ["general-upscaler", "photo", *(CONDITION_TAGS[condition] for condition in network["conditions"])],
        "description": description,
        "date": network["date"],
        "architecture": "srmd",
        "size": [f"{network['features']}nf", f"{network['layers']}nc"],
        "scale": network["scale"],
        "inputChannels": 3,
        "outputChannels": 3,
        "resources": [_database_resource(path)],
        "trainingIterations": training["steps"],
        "trainingBatchSize": training["batch_size"],
        "trainingHRSize": training["patch_size"] * network["scale"],
        "trainingOTF": True,
        "dataset": DATASETS.get(data, data),
        "images": [],
    }


def _database_resource(path: Path) -> dict:
    """Return the file of an entry: its format, size, sum and path."""
    content = path.read_bytes()
    return {
        "platform": "pytorch",
        "type": "safetensors",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "urls": [path.relative_to(ROOT).as_posix()],
    }


def database_text(path: Path, network: dict) -> str:
    """Return the entry of a network's file as the text of its JSON file."""
    return json.dumps(database_entry(path, network), indent=4, ensure_ascii=False) + "\n"


def write_all() -> None:
    """Write all parts that this file generates."""
    networks = shipped_metadata()
    results = ROOT / "docs" / "results.md"
    replace_part(ROOT / "README.md", "scores", summary(networks, SHORT_SUMMARY))
    replace_part(results, "scores", summary(networks))
    replace_part(results, "networks", "\n\n".join(score_card(*item) for item in networks.items()))
    replace_part(ROOT / "docs" / "weights.md", "estimators", estimator_card(estimators()))
    trainings = "\n\n".join(training_card(*item) for item in networks.items())
    replace_part(ROOT / "weights" / "README.md", "trainings", trainings)
    for path in network_files():
        network = networks[path.stem]
        with atomic_write(MODELS / f"{database_id(path.stem, network)}.json") as temporary:
            temporary.write_text(database_text(path, network), encoding="utf-8")


if __name__ == "__main__":
    command_parser(__doc__).parse_args()
    with one_line_errors():
        write_all()
