"""What people look at: what was asked and what came of it, in words, tables and pictures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from config import VERSION, NamedDegradation, NamedKernel, NamedMap, TestConfig
from degradation import upsample
from engine import Engine
from files import whole_file
from kernel import code_error, fit_kernel, lost_share, off_centre, stack_kernels
from kernel_files import write_kernels
from metrics import finite
from model import NetworkConfig
from weights import Weights

LABEL_HEIGHT = 28
MAP_SIDE = 512  # pixels at most, of a map's picture
PICTURE_SIDE = 240  # pixels at least, of a kernel's picture
MOST_LOST = 1e-5  # of a kernel's mass outside of the window, before one is warned
MOST_OFF_CENTRE = 0.25  # HR pixels, before one is warned
MOST_LEFT_OUT = 0.05  # of a kernel by its code, before one is warned


def to_rgb8(picture: Tensor) -> np.ndarray:
    """(3, H, W) in 0 to 1 → (H, W, 3) uint8, clipped."""
    return (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def sample_grid(lr: Tensor, sr: Tensor, hr: Tensor, scale: int) -> np.ndarray:
    """LR | bicubic | SR | HR, a sample a row; batches (N, 3, …) → (H, W, 3) uint8."""
    from torchvision.utils import make_grid

    enlarged = torch.nn.functional.interpolate(lr, scale_factor=scale, mode="nearest")
    columns = torch.stack([enlarged, upsample(lr, scale), sr, hr], 1).flatten(0, 1)
    return to_rgb8(make_grid(columns.clamp(0, 1).cpu(), nrow=4))


def kernel_picture(kernels: np.ndarray, zoom: int = 8) -> np.ndarray:
    """Kernels (N, k, k) side by side, (zoom·k, N·zoom·k, 3) uint8: zero black, each peak white, negative values red."""
    levels = kernels / kernels.max((1, 2), keepdims=True) * 255
    colours = np.stack([np.abs(levels), levels, levels], -1).clip(0, 255).round().astype(np.uint8)
    return np.hstack(list(colours)).repeat(zoom, 0).repeat(zoom, 1)


def save_kernels(kernels: list[np.ndarray], path: Path) -> None:
    """Kernels (k, k) as an enlarged picture, side by side, or as a .mat that `--kernel` takes again.

    One is there under the key `kernel`, several are the cells of `kernels`.
    """
    with whole_file(path) as temporary:
        if path.suffix.lower() == ".mat":
            write_kernels(temporary, kernels)
        else:
            stack = stack_kernels(kernels)
            picture = kernel_picture(stack, -(-PICTURE_SIDE // stack.shape[-1]))
            Image.fromarray(picture).save(temporary, "PNG")


def map_picture(values: np.ndarray, white: float) -> np.ndarray:
    """Numbers (H, W) from 0 to `white` as a grey picture (H, W, 3) uint8, of large ones every few pixels one."""
    step = max(values.shape) // MAP_SIDE + 1
    values = values[::step, ::step]
    return np.rint(values / white * 255).astype(np.uint8)[..., None].repeat(3, 2)


def degradation_pictures(config: TestConfig) -> dict[str, tuple[np.ndarray, str]]:
    """Kernels, regions and noise map that a test was given, by window: a picture, and its caption."""
    kernels = stack_kernels([kernel.array for kernel in config.kernel])
    specs = ", ".join(kernel.spec for kernel in config.kernel)
    pictures = {"kernel": (kernel_picture(kernels), f"kernel: {specs}")}
    if config.regions:
        labels = map_picture(config.regions.values, len(kernels) - 1)
        pictures["regions"] = labels, f"regions: {config.regions.path}, black for the first kernel"
    if config.noise_map:
        pictures["noise map"] = map_picture(config.noise_map.values, 255), f"noise map: {config.noise_map.path}"
    return pictures


def comparison(panels: dict[str, np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) uint8 of one size side by side, each under its label."""
    height, width, _ = next(iter(panels.values())).shape
    sheet = Image.new("RGB", (len(panels) * (width + 4) - 4, height + LABEL_HEIGHT), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (label, picture) in enumerate(panels.items()):
        left = i * (width + 4)
        font = ImageFont.load_default(18)
        while font.size > 8 and draw.textlength(label, font) > width:
            font = ImageFont.load_default(font.size - 1)
        draw.text((left + width / 2, LABEL_HEIGHT / 2), label, "black", font, anchor="mm")
        sheet.paste(Image.fromarray(picture), (left, LABEL_HEIGHT))
    return np.asarray(sheet)


def draw_loss(rows: list[dict], path: Path) -> None:
    """The loss over the steps, raw and smoothed, and the validation's PSNR beside bicubic's, as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    left = figure.subplots()
    steps, loss = [row["step"] for row in rows], [row["loss"] for row in rows]
    window = max(len(loss) // 50, 1)
    smooth = [np.mean(loss[max(i - window, 0) : i + 1]) for i in range(len(loss))]
    left.plot(steps, loss, color="tab:blue", alpha=0.25)
    left.plot(steps, smooth, color="tab:blue")
    left.set(xlabel="step", yscale="log")
    left.set_ylabel("loss", color="tab:blue")
    scored = [row for row in rows if None not in (row.get("psnr_y"), row.get("bicubic_psnr_y"))]
    if scored:
        right = left.twinx()
        at = [row["step"] for row in scored]
        right.plot(at, [row["psnr_y"] for row in scored], color="tab:orange", label="SRMD, validation")
        right.plot(at, [row["bicubic_psnr_y"] for row in scored], color="tab:grey", ls="--", label="bicubic")
        right.set_ylabel("PSNR of Y [dB]", color="tab:orange")
        figure.legend(loc="outside upper right", ncols=2)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=100)


def announcement(config: TestConfig, weights: Weights, engine: Engine) -> str:
    """What runs, and which kernels and noise were applied and are assumed; with what a user should be warned of."""
    network_config, pca = weights.network.config, weights.pca.numpy()
    applied, assumed = config.applied, config.assumed
    kind, told = ("SRMDNF", "no noise") if network_config.noise_free else ("SRMD", _noise_words(assumed.noise))
    inner = [fit_kernel(kernel.array, network_config.kernel_size, normalise=False) for kernel in assumed.kernels]
    left_out = [code_error(kernel, pca) for kernel in inner]
    specs = [kernel.spec for kernel in applied.kernels]
    told_specs = [
        f"{kernel.spec} (its code leaves out {share:.1%})"
        for kernel, share in zip(assumed.kernels, left_out, strict=True)
    ]
    lines = [
        f"{kind} x{network_config.scale} from {config.weights} ({engine.way})",
        f"applied: {_kernel_words(specs, config)}, {_noise_words(applied.noise)}, downsampler {config.downsampler}",
        f"assumed: {_kernel_words(told_specs, config)}, {told}",
    ]
    if config.input:
        del lines[1]
    elif network_config.noise_free and (applied.noisy or assumed.noisy):
        lines.append("warning: a noise-free network is told of no noise, whatever is applied or assumed")
    for kernel, share in zip(assumed.kernels, left_out, strict=True):
        lines += kernel_warnings(kernel, network_config.kernel_size, share)
    if (config.downsampler, weights.downsampler) == ("bicubic", "direct"):
        lines.append("warning: this network was trained for the direct downsampler, not for bicubic")
    if config.save_lr:
        lines.append(f"LR pictures in {config.output / 'lr'} are clipped and rounded to 8 bits; those tested are not")
    return "\n".join(lines)


def _kernel_words(specs: list[str], config: TestConfig) -> str:
    if len(specs) == 1:
        return f"kernel {specs[0]}"
    softened = f" (softened by {config.region_blend:g} LR pixels)" if config.region_blend else ""
    return f"kernels {', '.join(specs)} by {config.regions.path}{softened}"


def _noise_words(noise: float | NamedMap) -> str:
    if isinstance(noise, NamedMap):
        return f"noise {noise.values.min():g} to {noise.values.max():g} by {noise.path}"
    return f"noise {noise:g}"


def kernel_warnings(kernel: NamedKernel, window: int, left_out: float) -> list[str]:
    """What a user should know of a kernel that a network is told in a window of window×window."""
    warnings = []
    lost = lost_share(kernel.array, window)
    if lost > MOST_LOST:
        size = "×".join(map(str, kernel.array.shape))
        told = f"the network is told its inner {window}×{window}, without {100 * lost:.2g}% of its mass"
        warnings.append(f"warning: {kernel.spec} is {size}; {told}")
    if left_out > MOST_LEFT_OUT:
        warnings.append(f"warning: the network's kernel code describes {kernel.spec} badly; the result may be poor")
    down, right = off_centre(kernel.array)
    if np.hypot(down, right) > MOST_OFF_CENTRE and not kernel.shifts:
        found = f"its centre of mass lies {down:+.1f} rows and {right:+.1f} columns off its middle"
        warnings.append(f"warning: {kernel.spec} shifts pictures: {found}; --recentre_kernel moves it there")
    return warnings


def mean_row(rows: list[dict]) -> dict:
    """The mean of every number, under the name `mean`."""
    return {"name": "mean"} | {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "name"}


def table(rows: list[dict]) -> str:
    """The scores of a test as text, a picture a line and the mean; without HR pictures, the seconds alone."""
    rows = [*rows, mean_row(rows)]
    width = max(len(row["name"]) for row in rows)
    if "psnr_y" not in rows[0]:
        return "\n".join(f"{row['name']:{width}}  {row['seconds']:7.2f} s" for row in rows)
    header = f"{'':{width}}  bicubic PSNR / SSIM   SRMD PSNR / SSIM   gain [dB]"
    return "\n".join([header, *(_table_row(row, width) for row in rows)])


def _table_row(row: dict, width: int) -> str:
    bicubic = f"{row['bicubic_psnr_y']:12.2f} / {row['bicubic_ssim_y']:.4f}"
    srmd = f"{row['psnr_y']:10.2f} / {row['ssim_y']:.4f}"
    gain = row["psnr_y"] - row["bicubic_psnr_y"]
    return f"{row['name']:{width}}  {bicubic}{srmd}{'–' if np.isnan(gain) else f'{gain:.2f}':>12}"  # both are infinite


def write_metrics(config: TestConfig, network_config: NetworkConfig, engine: Engine, rows: list[dict]) -> None:
    """metrics.json: what was asked, and the scores of every picture; an infinite PSNR is null."""
    mean = {key: value for key, value in mean_row(rows).items() if key != "name"}
    assumed = config.assumed
    if network_config.noise_free:
        assumed = replace(assumed, noise=0.0)
    metrics = {
        "version": VERSION,
        "command": config.command,
        "scale": network_config.scale,
        "weights": str(config.weights),
        "engine": engine.way.engine,
        "precision": engine.way.precision,
        "degradation": None if config.input else _stated(config.applied, config) | {"downsampler": config.downsampler},
        "assumed": _stated(assumed, config),
        "images": [finite(row) for row in rows],
        "mean": finite(mean),
    }
    with whole_file(config.output / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def _stated(degradation: NamedDegradation, config: TestConfig) -> dict:
    """A degradation for metrics.json: of several kernels a list, with regions; of a noise map the path."""
    specs, noise = [kernel.spec for kernel in degradation.kernels], degradation.noise
    stated = {"kernel": specs[0], "noise_level": noise}
    if len(specs) > 1:
        stated |= {"kernel": specs, "regions": str(config.regions.path), "region_blend": config.region_blend}
    if isinstance(noise, NamedMap):
        stated |= {"noise_level": None, "noise_map": str(noise.path)}
    return stated
