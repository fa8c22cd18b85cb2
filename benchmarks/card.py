"""Writes the score tables of README.md and weights/README.md from what the shipped networks say of themselves.

    python -m benchmarks.card

A network's file holds its training and its scores (benchmarks/ship.py). Beside them stand those of the networks that
the paper's authors published (published.csv).
"""

import json
from pathlib import Path

from safetensors import safe_open

from benchmarks.reproduce import published
from files import whole_file

ROOT = Path(__file__).parents[1]
SCALES = (1, 2, 3, 4)


def shipped() -> dict[str, dict]:
    """What each shipped network says of itself, by name."""
    found = {}
    for path in sorted((ROOT / "weights").glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            found[path.stem] = json.loads(file.metadata()["srmd"])
    return found


def theirs() -> dict[tuple, tuple[float, float]]:
    """PSNR and SSIM of the published networks and of bicubic upscaling by name, scale and what was scored."""
    found = {}
    for cell in published():
        s = cell.setting
        kernel = "delta" if s.kernel == "gaussian:0.2" else s.kernel  # no blur as the authors tell it; 1e-5 apart
        found[cell.network, s.scale, cell_name(s.data, kernel, s.noise_level)] = cell.theirs
    return found


def cell_name(data: str, kernel: str, noise_level: int) -> str:
    """What was scored, as a network's file names it."""
    return f"{data}, {kernel}, noise {noise_level}"


def decibels(psnr: float) -> str:
    """Two decimals; at x1, without blur and noise, nothing has happened to the picture."""
    return f"{psnr:.2f}" if psnr < 100 else "∞"


def summary(networks: dict[str, dict]) -> str:
    """A row for each degradation of Set5, ours before the published ones' in brackets, a column for each scale."""
    known, rows = theirs(), {}
    for name, network in networks.items():
        kind = name.split("_")[0].upper()
        for cell, scores in network.get("scores", {}).items():
            if cell.startswith("Set5"):
                published_psnr = known.get((kind, network["scale"], cell), (None,))[0]
                beside = f" ({published_psnr:.2f})" if published_psnr else ""
                rows.setdefault((cell.removeprefix("Set5, "), kind), {})[network["scale"]] = (
                    f"{scores['psnr_y']:.2f}{beside}"
                )
                rows.setdefault((cell.removeprefix("Set5, "), "bicubic"), {})[network["scale"]] = decibels(
                    scores["bicubic_psnr_y"]
                )
    lines = ["| kernel and noise level | network | x1 | x2 | x3 | x4 |", "|---|---|---|---|---|---|"]
    for (cell, kind), row in sorted(rows.items(), key=_order):
        columns = " | ".join(row.get(scale, "") for scale in SCALES)
        lines.append(f"| {cell} | {kind} | {columns} |")
    return "\n".join(lines)


def _order(row: tuple) -> tuple:
    cell, kind = row[0]
    kernel, noise = cell.split(", noise ")
    return int(noise), kernel, ["bicubic", "SRMDNF", "SRMD"].index(kind)


def card(name: str, network: dict) -> str:
    """A network's training and scores."""
    training, known, kind = network["training"], theirs(), name.split("_")[0].upper()
    size = f"{training['batch_size']} patches of {training['patch_size']}×{training['patch_size']} LR pixels"
    start = f"started from `{training['weights']}`" if training.get("weights") else "from scratch"
    lines = [f"### {name}", "", f"{training['steps']:,} steps of {size}, {start}:", ""]
    lines += ["```", network["command"], "```", ""]
    lines += ["| pictures, kernel, noise level | bicubic | this network | published |", "|---|---|---|---|"]
    for cell, s in network.get("scores", {}).items():
        beside = known.get((kind, network["scale"], cell))
        published_scores = f"{beside[0]:.2f} / {beside[1]:.4f}" if beside else ""
        bicubic, ours = (f"{decibels(s[f'{of}psnr_y'])} / {s[f'{of}ssim_y']:.4f}" for of in ("bicubic_", ""))
        lines.append(f"| {cell} | {bicubic} | {ours} | {published_scores} |")
    return "\n".join(lines)


def replace_part(path: Path, text: str) -> None:
    """Puts text between the two marks of a file."""
    before, _, rest = path.read_text().partition("<!-- scores -->\n")
    _, _, after = rest.partition("<!-- end -->\n")
    with whole_file(path) as temporary:
        temporary.write_text(f"{before}<!-- scores -->\n\n{text}\n\n<!-- end -->\n{after}")


if __name__ == "__main__":
    networks = shipped()
    tables, cards = summary(networks), "\n\n".join(card(*item) for item in networks.items())
    replace_part(ROOT / "README.md", tables)
    replace_part(ROOT / "weights" / "README.md", cards)
