"""Corrects the colours of flat areas in the shipped networks, and changes natural pictures as little as possible.

    python -m benchmarks.fit_colours srmd_x2 --train_data=data/train_pictures --test_data Set5 Set14 B100

Photos contain few saturated colours, and networks trained on photos returned flat areas of such colours with errors of
up to 40 levels of 255. In a flat area all pixels are equal, and a convolution is a product with the sum of its taps:
the network becomes a small multilayer perceptron, whose training takes seconds. It is trained on flat colours here.

A penalty keeps natural pictures as they are: the squared change of their SR, relative to the squared error of SR. Its
Hessian is approximated as in K-FAC (Grosse and Martens, ICML 2016), by a Kronecker product for each layer: of the
second moments of its inputs and those of the gradients of its outputs, both measured on training crops. Of all weights
with given sums of taps, those with the least penalty are computed in closed form. Degradations that lose more than
others get a share of the penalty of their own (`--protected`).
"""

import argparse
import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.commands import add_test_data, add_train_data, command_parser, one_line_errors, positive
from benchmarks.ship import JPEG_QUALITIES, KERNELS, NOISE_LEVELS, ROOT, write_changed
from srmd.base.errors import InputError
from srmd.cli.values import number, output_path, whole
from srmd.config import TrainConfig
from srmd.degradation import Degradation, degradation_map
from srmd.jpeg.tables import NO_JPEG, JpegTables
from srmd.kernel.specs import parse_kernels
from srmd.model import SRMD, network_input
from srmd.packs.reader import PackedPictures
from srmd.packs.training_data import open_training_data
from srmd.train.batches import Batches, random_degradation
from srmd.train.colours import ColourShares, saturated_colours
from srmd.train.jpegs import random_jpegs
from srmd.train.kernels import TrainingKernels
from srmd.weights.files import Weights, read_weights
from srmd.winograd import compiled
from srmd.winograd.convolution import conv as winograd_conv

CROPS = 48  # natural crops on which the moments are measured
RECOLOURED_SHARE = 1 / 2  # of these crops: natural detail in all colours
MIN_SQUARED_ERROR = 5e-6  # of a crop's SR, 0 to 1: without it, nearly flat crops would count too much
PIXEL_STEP = 12  # every twelfth pixel's input is measured
DAMPING = 1e-2  # added to the moments, relative to their mean
# Factor of the penalty; the loss of flat colours is in squared levels of 255. It is halved up to HALVINGS times, until
# all combinations of 0, 128 and 255 are right.
PENALTY, HALVINGS = 800.0, 3
MAX_ERROR = 2.45  # levels of 255 by which these colours may be off: 2 after rounding
MARGIN = 1.2  # levels of 255 by which flat colours may be off without loss
STEPS, LEARNING_RATE = 250, 3e-5
FLATS = 400  # random flat colours per step, beside the checked ones; half are combinations of 0, 128 and 255
CHECKED_KERNELS, CHECKED_NOISE_LEVELS = (*KERNELS, "gaussian:0.7"), (0, 5, *NOISE_LEVELS[1:])
CHECKED_JPEGS = (NO_JPEG, *(JpegTables.of_quality(quality).condition for quality in JPEG_QUALITIES))
LEVELS = torch.tensor([0, 128, 255]) / 255

LayerSums = list[Tensor]  # for each layer, the sums of its taps and its bias, (C_out, C_in + 1)


class Moments(NamedTuple):
    """Second moments of a layer on natural crops, in float64."""

    inputs: Tensor  # (9·C_in + 1, 9·C_in + 1), of the 3×3 pixels that an output pixel sees, and 1 for the bias
    gradients: Tensor  # (C_out, C_out), summed over the pixels of a crop


class Protected(NamedTuple):
    """A degradation with a share of the penalty of its own."""

    kernel: str  # as `--kernel` takes it
    noise_level: float  # 0 to 255
    share: float  # 0 to 1; training's degradations have what is left


class Whitening(NamedTuple):
    """A layer's changes as products with a matrix Y, (C_out, C_in + 1), whose penalty is the sum of its squares."""

    outputs: Tensor  # (C_out, C_out)
    sums: Tensor  # (C_in + 1, C_in + 1): outputs · Y · sums is the change of the sums of taps and of the bias
    taps: Tensor  # (C_in + 1, 9·C_in + 1): outputs · Y · taps is the change of the weight and of the bias


def natural_moments(network: SRMD, batches: Batches, count: int) -> list[Moments]:
    """The moments of each layer, in the order of `chain()`, on `count` batches."""
    layers = list(network.chain())
    inputs = [torch.zeros(9 * layer.conv.in_channels + 1, dtype=torch.float64) for layer in layers]
    inputs = [zeros.diag() for zeros in inputs]
    gradients = [torch.zeros(layer.conv.out_channels, layer.conv.out_channels).double() for layer in layers]
    generator = torch.Generator().manual_seed(0)
    for step in range(1, count + 1):
        batch = batches.draw(step)
        x, outputs = network_input(batch.lr, batch.degradation_map), []
        for layer, moment in zip(layers, inputs, strict=True):
            pixels = F.unfold(x.detach(), 3, padding=1).transpose(1, 2).flatten(0, 1)[step % PIXEL_STEP :: PIXEL_STEP]
            pixels = F.pad(pixels, (0, 1), value=1)
            moment += (pixels.T @ pixels).double() / len(pixels) / count
            x = _forward(layer.conv, x, layer.relu)
            x.retain_grad()
            outputs.append(x)
        _backward_random(F.pixel_shuffle(x, network.config.scale), batch.hr, generator)
        for layer, moment, output in zip(layers, gradients, outputs, strict=True):
            gradient = output.grad * (output > 0) if layer.relu else output.grad
            gradient = gradient.transpose(0, 1).flatten(1)  # (C_out, pixels)
            moment += (gradient @ gradient.T).double() / len(batch.lr) / count
    network.zero_grad()
    return [Moments(*moments) for moments in zip(inputs, gradients, strict=True)]


def mixed_moments(
    weights: Weights, pictures: PackedPictures, crops: int, protected: list[Protected] = ()
) -> list[Moments]:
    """The moments of each layer on `crops` crops with training's degradations, and half as many with each protected."""
    batches = training_batches(weights, pictures)
    training_share = 1 - sum(each.share for each in protected)
    parts = [(training_share, natural_moments(weights.network, batches, crops // 2))]
    for kernel, noise_level, share in protected:
        kernels = torch.from_numpy(parse_kernels(kernel)[0]).float().expand(batches.config.batch_size, -1, -1)
        degradation = Degradation.uniform(kernels, torch.full((len(kernels),), noise_level))
        degradation = degradation.in_window(weights.network.config.kernel_size)
        with patch("srmd.train.batches.random_degradation", lambda *_, fixed=degradation: fixed):
            parts.append((share, natural_moments(weights.network, batches, crops // 4)))
    shares, moments = zip(*parts, strict=True)
    return [Moments(*map(partial(_weighted_sum, shares), *layer)) for layer in zip(*moments, strict=True)]


def _weighted_sum(shares: tuple[float, ...], *matrices: Tensor) -> Tensor:
    return sum(share * matrix for share, matrix in zip(shares, matrices, strict=True))


def _forward(conv: torch.nn.Conv2d, x: Tensor, relu: bool) -> Tensor:
    if compiled.load() is not None:
        return winograd_conv(x, conv.weight, conv.bias, relu)
    return conv(x).relu() if relu else conv(x)


def _backward_random(sr: Tensor, hr: Tensor, generator: torch.Generator) -> None:
    """Backpropagate random numbers, so that squares of gradients are changes of SR relative to its squared error."""
    squared_error = (sr.detach() - hr).square().mean((1, 2, 3), keepdim=True).clamp_min(MIN_SQUARED_ERROR)
    (sr * torch.randn(sr.shape, generator=generator) / (squared_error * sr[0].numel()).sqrt()).sum().backward()


def whitening(moments: Moments) -> Whitening:
    """The whitening of a layer: least penalty for given sums of taps."""
    values, vectors = torch.linalg.eigh(moments.gradients)
    outputs = (vectors * (values + DAMPING * values.mean()).rsqrt()) @ vectors.T
    inputs = moments.inputs + DAMPING * moments.inputs.diagonal().mean() * torch.eye(len(moments.inputs)).double()
    channels = (len(inputs) - 1) // 9
    summation = torch.block_diag(torch.eye(channels).repeat_interleave(9, 0), torch.ones(1, 1)).double()
    solved = torch.linalg.solve(inputs, summation)  # (9·C_in + 1, C_in + 1)
    sums = torch.linalg.cholesky(summation.T @ solved).T
    return Whitening(outputs, sums, torch.linalg.solve(sums.T, solved.T))


def layer_sums(network: SRMD) -> LayerSums:
    """The sums of taps and the bias of each layer."""
    layers = [layer.conv for layer in network.chain()]
    return [torch.cat([conv.weight.sum((2, 3)), conv.bias[:, None]], 1).detach() for conv in layers]


def restore_flats(sums: LayerSums, inputs: Tensor) -> Tensor:
    """SR of flat pictures: inputs (N, 3 + C) → the s² pixels that each LR pixel becomes, (N, 3, s²)."""
    x = inputs
    for depth, layer in enumerate(sums, start=1):
        x = F.linear(x, layer[:, :-1], layer[:, -1])
        if depth < len(sums):
            x = x.relu()
    return x.view(len(x), 3, -1)


def flat_errors(sums: LayerSums, colours: Tensor, maps: Tensor) -> Tensor:
    """Errors in levels of 255, (N, 3, s²), of flat colours (N, 3) restored with degradation maps (N, C).

    Values below 0 and above 1 are no errors where 0 and 1 are right, because pictures are clipped.
    """
    sr, right = restore_flats(sums, torch.cat([colours, maps], 1)), colours[:, :, None]
    clipped_right = ((right == 0) & (sr < 0)) | ((right == 1) & (sr > 1))
    return (255 * (sr - right).abs()).masked_fill(clipped_right, 0)


def random_flats(rng: np.random.Generator, weights: Weights, count: int) -> tuple[Tensor, Tensor]:
    """Random flat colours (count, 3) and degradation maps (count, C)."""
    config = weights.network.config
    degradation = random_degradation(rng, count, config.scale, config.conditions, TrainingKernels(config.kernel_size))
    if "jpeg" in config.conditions:
        degradation = replace(degradation, jpeg=random_jpegs(rng, count).conditions)
    extremes = LEVELS[torch.from_numpy(rng.integers(0, 3, (count, 3)))]
    others = torch.from_numpy(saturated_colours(rng, (count,))).float()
    colours = torch.where(torch.from_numpy(rng.random((count, 1)) < 0.5), extremes, others)
    return colours, degradation_map(degradation, weights.pca, config.conditions).flatten(1)


def combinations(weights: Weights) -> tuple[Tensor, Tensor]:
    """All combinations of 0, 128 and 255 as colours (N, 3), with the maps (N, C) of each checked degradation."""
    config, conditions = weights.network.config, weights.network.config.conditions
    noise_levels = CHECKED_NOISE_LEVELS if "noise" in conditions else (0,)
    jpegs = CHECKED_JPEGS if "jpeg" in conditions else (NO_JPEG,)
    specs, levels, told_jpegs = zip(*itertools.product(CHECKED_KERNELS, noise_levels, jpegs), strict=True)
    kernels = torch.from_numpy(np.stack([parse_kernels(spec)[0] for spec in specs]))
    degradation = Degradation.uniform(kernels, torch.tensor(levels).float(), torch.tensor(told_jpegs))
    degradation = degradation.in_window(config.kernel_size)
    maps = degradation_map(degradation, weights.pca, conditions).flatten(1)
    colours = torch.cartesian_prod(LEVELS, LEVELS, LEVELS)
    return colours.repeat(len(maps), 1), maps.repeat_interleave(len(colours), 0)


def corrected(
    weights: Weights,
    moments: list[Moments],
    penalty: float = PENALTY,
    margin: float = MARGIN,
    learning_rate: float = LEARNING_RATE,
    log: Callable[[str], object] = print,
) -> SRMD:
    """A copy of the network whose flat colours are right, with the largest penalty that allows it."""
    layers, checked = [whitening(layer) for layer in moments], combinations(weights)
    error = flat_errors(layer_sums(weights.network), *checked).max().item()
    log(f"maximum error of the combinations of 0, 128 and 255 as they are: {error:.1f} levels")
    for factor in (penalty / 2**halvings for halvings in range(HALVINGS + 1)):
        network = _fitted(weights, layers, checked, factor, margin, learning_rate, log)
        error = flat_errors(layer_sums(network), *checked).max().item()
        log(f"penalty {factor:g}: maximum error of the combinations of 0, 128 and 255 {error:.1f} levels")
        if error <= MAX_ERROR:
            return network
    raise RuntimeError(f"with the lowest penalty, colours are off by {error:.1f} levels, expected {MAX_ERROR} at most")


def _fitted(
    weights: Weights,
    layers: list[Whitening],
    checked: tuple[Tensor, Tensor],
    factor: float,
    margin: float,
    learning_rate: float,
    log: Callable[[str], object],
) -> SRMD:
    """A copy of the network, trained on flat colours, random and checked ones, with one factor of the penalty."""
    network = copy.deepcopy(weights.network)
    sums = layer_sums(network)
    changes = [torch.zeros(len(layer.outputs), len(layer.sums), requires_grad=True) for layer in layers]
    optimizer = torch.optim.Adam(changes, learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / STEPS)) / 2)
    rng = np.random.default_rng(0)
    for step in range(1, STEPS + 1):
        new_sums = [
            old + layer.outputs.float() @ change @ layer.sums.float()
            for old, layer, change in zip(sums, layers, changes, strict=True)
        ]
        flats = zip(checked, random_flats(rng, weights, FLATS), strict=True)
        errors = flat_errors(new_sums, *(torch.cat(each) for each in flats))
        loss = 3 * (errors - margin).relu().square().mean()
        penalty = sum(change.square().sum() for change in changes)
        optimizer.zero_grad()
        (loss + factor * penalty).backward()
        optimizer.step()
        schedule.step()
        if step % 125 == 0:
            decibels = 10 * math.log10(1 + penalty.item())
            log(f"step {step}: maximum error {errors.max():.1f} levels, change of natural crops {decibels:.4f} dB")
    _add(network, [layer.outputs @ change.double() @ layer.taps for layer, change in zip(layers, changes, strict=True)])
    return network


@torch.no_grad()
def _add(network: SRMD, changes: list[Tensor]) -> None:
    """Add changes of weight and bias, (C_out, 9·C_in + 1), to the layers."""
    for layer, change in zip(network.chain(), changes, strict=True):
        layer.conv.weight += change[:, :-1].float().view_as(layer.conv.weight)
        layer.conv.bias += change[:, -1].float()


def training_batches(weights: Weights, pictures: PackedPictures) -> Batches:
    """Batches of two natural crops, a share of them recoloured, with the network's own degradations."""
    config = weights.network.config
    request = TrainConfig(config.scale, conditions=config.conditions, batch_size=2, patch_size=48)
    kernels, colours = TrainingKernels(config.kernel_size), ColourShares(RECOLOURED_SHARE, 0)
    return Batches(pictures, request, weights.pca, torch.device("cpu"), kernels, colours)


def parse_protected(kernel: str, noise_level: str, share: str) -> Protected:
    """The degradation in a value of --protected; raises InputError if a number in it is wrong."""
    try:
        return Protected(kernel, number(0, 255)(noise_level), number(0, 1)(share))
    except argparse.ArgumentTypeError as error:
        raise InputError(str(error), "--protected") from error


def parse_all_protected(values: list[list[str]]) -> list[Protected]:
    """The degradations in all values of --protected; raises InputError if one is wrong, or their sum of shares."""
    protected = [parse_protected(*words) for words in values]
    share = sum(each.share for each in protected)
    if share > 1:
        raise InputError(f"expected shares whose sum is at most 1, found {share:g}", "--protected")
    return protected


def fit(options: argparse.Namespace) -> None:
    """Writes the corrected network, with new scores if there are pictures to score."""
    protected = parse_all_protected(options.protected)
    shipped = ROOT / "weights" / f"{options.name}.safetensors"
    weights, output = read_weights(shipped), options.output or shipped
    pictures, _ = open_training_data(options.train_data).split()
    moments = mixed_moments(weights, pictures, options.crops, protected)
    network = corrected(weights, moments, options.penalty, options.margin, options.learning_rate)
    flags = {key: getattr(options, key) for key in ("train_data", "crops", "penalty", "margin", "learning_rate")}
    command = f"python -m benchmarks.fit_colours {options.name} "
    command += " ".join(f"--{flag}={value}" for flag, value in flags.items() if value is not None)
    command += "".join(f" --protected {' '.join(each)}" for each in options.protected)
    changed = replace(weights, network=network)
    write_changed(output, changed, {"colours": {"command": command}}, options.test_data)


if __name__ == "__main__":
    parser = command_parser(__doc__)
    parser.add_argument("name", help="name of a shipped network, such as srmd_x2")
    parser.add_argument("--output", type=output_path, help="file to write (default: the shipped network is replaced)")
    add_train_data(parser)
    add_test_data(parser)
    parser.add_argument("--crops", type=whole(4), default=CROPS, help="natural crops that must change little")
    parser.add_argument("--penalty", type=positive, default=PENALTY, help="factor of the penalty, halved until it fits")
    parser.add_argument("--margin", type=number(0), default=MARGIN, help="levels of 255 that are no error in training")
    parser.add_argument("--learning_rate", type=positive, default=LEARNING_RATE, help="a lower one if the fit diverges")
    parser.add_argument(
        "--protected",
        nargs=3,
        action="append",
        default=[],
        metavar=("KERNEL", "NOISE", "SHARE"),
        help="a degradation that gets this share of the penalty, 0 to 1; can be repeated",
    )
    with one_line_errors():
        fit(parser.parse_args())
