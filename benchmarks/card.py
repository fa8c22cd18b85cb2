"""Writes the score tables of README.md and weights/README.md from what the shipped networks say of themselves.

    python -m benchmarks.card

A network's file holds its training and its scores (benchmarks/ship.py). Beside them stand those of the networks that
the paper's authors published (published.csv).
"""

import json
from pathlib import Path

from safetensors import safe_open

from benchmarks.reproduce import published
from srmd.base.files import atomic_write

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


def decibels(psnr: float | None) -> str:
    """Two decimals; at x1, without blur and noise, nothing has happened to the picture."""
    return "∞" if psnr is None or psnr > 100 else f"{psnr:.2f}"  # rounding had left some 330 dB in older files


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
    """A network's trainings, how far it is from the published one, and its scores."""
    known, kind = theirs(), name.split("_")[0].upper()
    cells = {cell: (s, known.get((kind, network["scale"], cell))) for cell, s in network.get("scores", {}).items()}
    lines = [f"### {name}", "", *trainings(network), "", "The last by:", "", "```", network["command"], "```", ""]
    lines += [distance([round(s["psnr_y"], 2) - round(beside[0], 2) for s, beside in cells.values() if beside]), ""]
    lines += ["| pictures, kernel, noise level | bicubic | this network | published |", "|---|---|---|---|"]
    for cell, (s, beside) in cells.items():
        published_scores = f"{beside[0]:.2f} / {beside[1]:.4f}" if beside else ""
        bicubic, ours = (f"{decibels(s[f'{of}psnr_y'])} / {s[f'{of}ssim_y']:.4f}" for of in ("bicubic_", ""))
        lines.append(f"| {cell} | {bicubic} | {ours} | {published_scores} |")
    return "\n".join(lines)


def trainings(network: dict) -> list[str]:
    """A row for each training that is on record, in the order in which they followed one another."""
    lines = ["| started from | steps | patches a step, in LR pixels | learning rate |", "|---|---|---|---|"]
    for run in [*network.get("history", []), network["training"]]:
        patches = f"{run['batch_size']} of {run['patch_size']}×{run['patch_size']}"
        start = f"`{run['weights']}`" if run.get("weights") else "scratch"
        lines.append(f"| {start} | {run['steps']:,} | {patches} | {run['lr']} |")
    return lines


def distance(ahead: list[float]) -> str:
    """How far PSNR is from the published network's, told from the difference of each row that there is of both."""
    if not ahead:
        return "The published network was not scored."
    parts = []
    for word, them in (("below", [-by for by in ahead if by < 0]), ("above", [by for by in ahead if by >= 0])):
        if them:
            rows = "1 row" if len(them) == 1 else f"{len(them)} rows"
            by = " to ".join(dict.fromkeys(f"{each:.2f}" for each in (min(them), max(them))))
            parts.append(f"{word} in {rows}, by {by} dB")
    return f"Beside the published network's, PSNR is {', and '.join(parts)}."


def replace_part(path: Path, text: str) -> None:
    """Puts text between the two marks of a file."""
    before, _, rest = path.read_text(encoding="utf-8").partition("<!-- scores -->\n")
    _, _, after = rest.partition("<!-- end -->\n")
    with atomic_write(path) as temporary:
        temporary.write_text(f"{before}<!-- scores -->\n\n{text}\n\n<!-- end -->\n{after}", encoding="utf-8")


if __name__ == "__main__":
    networks = shipped()
    tables, cards = summary(networks), "\n\n".join(card(*item) for item in networks.items())
    replace_part(ROOT / "README.md", tables)
    replace_part(ROOT / "weights" / "README.md", cards)
