"""`Soap`: the optimizer, Adam in the basis in which a convolution's gradients vary independently."""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN_BETA, SQUARE_BETA, COVARIANCE_BETA = 0.9, 0.99, 0.95
# Steps. A GPU is slow at decomposing small matrices: of an H100's step of 128 patches of 48×48 the optimizer took
# 5.5 ms when every tenth turned the bases, the network 7.1 ms; before weights were updated in stacks.
PRECONDITION_FREQUENCY = {"cpu": 10, "cuda": 50, "mps": 50}
# What no gradient reaches decays towards denormal numbers, with which this took seven times as long.
NOTHING = 1e-30
EPS = 1e-8  # beside the average before its correction, as in the paper's code


class Soap(torch.optim.Optimizer):
    """Adam in the eigenbasis of the gradients' covariances over output and over input channels.

    Features behind a ReLU are strongly correlated, so Adam's step sizes, one per weight, fit no direction well; turned
    into that basis they do. Weights without channels, as biases, are Adam's. (Vyas et al., "SOAP: Improving and
    Stabilizing Shampoo using Adam", 2024, algorithm 3; without its weight decay, and with the kernel's taps left as
    they are.)

    All weights of one shape are updated at once, in a stack whose state the first of them has: that is a third of the
    operations, each of which a GPU must be told.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        """Updates all parameters from their gradients."""
        for group in self.param_groups:
            of_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                of_shape.setdefault(parameter.shape, []).append(parameter)
            for parameters in of_shape.values():
                updated = self._convolutions if parameters[0].ndim == 4 else self._without_channels
                updates, scale = updated(parameters)
                torch._foreach_sub_(parameters, updates.unbind(), alpha=scale * group["lr"])

    def _without_channels(self, parameters: list[Tensor]) -> tuple[Tensor, float]:
        return _adam(self.state[parameters[0]], torch.stack([parameter.grad for parameter in parameters]))

    def _convolutions(self, weights: list[Tensor]) -> tuple[Tensor, float]:
        state = self.state[weights[0]]
        by_taps = torch.stack([weight.grad.movedim(1, 3) for weight in weights])  # as they lie in memory
        gradient = by_taps.flatten(2, 3)  # (N, output, taps, input)
        covariances = {"output": _covariance(gradient.flatten(2)), "input": _covariance(gradient.flatten(1, 2).mT)}
        if not state:
            for side, covariance in covariances.items():
                state[f"{side}_covariance"] = covariance
                # float32 may not converge; a NaN is for the loss to report.
                exact = _decomposable(covariance).double().nan_to_num()
                state[f"{side}_basis"] = torch.linalg.eigh(exact).eigenvectors.to(covariance)
        for side, covariance in covariances.items():
            state[f"{side}_covariance"].lerp_(covariance, 1 - COVARIANCE_BETA)
        updates, scale = _adam(state, _rotated(gradient, state))
        updates = _rotated_back(updates, state).view_as(by_taps).movedim(4, 2)
        if state["step"] % PRECONDITION_FREQUENCY[gradient.device.type] == 0:
            _turn(state)
        return updates, scale


def _adam(state: dict, gradient: Tensor) -> tuple[Tensor, float]:
    """Adam's update, and what is to multiply it."""
    if "step" not in state:
        state |= {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - MEAN_BETA)
    state["square"].mul_(SQUARE_BETA).addcmul_(gradient, gradient, value=1 - SQUARE_BETA)
    scale = math.sqrt(1 - SQUARE_BETA ** state["step"]) / (1 - MEAN_BETA ** state["step"])
    return state["mean"] / state["square"].sqrt().add_(EPS), scale


def _turn(state: dict) -> None:
    """Turns the bases, and the averages in them, after the covariances: one step of the power method."""
    for name in ("mean", "output_covariance", "input_covariance"):
        state[name] = F.hardshrink(state[name], NOTHING)
    mean = _rotated_back(state["mean"], state)
    for axis, side in ((1, "output"), (3, "input")):
        basis = state[f"{side}_basis"]
        power = state[f"{side}_covariance"] @ basis
        order = (basis * power).sum(1).argsort(descending=True)  # QR keeps the strong directions best
        state[f"{side}_basis"] = torch.linalg.qr(_decomposable(power.take_along_dim(order[:, None], 2))).Q.to(power)
        places = order[:, :, None, None] if axis == 1 else order[:, None, None]
        state["square"] = state["square"].take_along_dim(places, axis)
    state["mean"] = _rotated(mean, state)


def _decomposable(matrices: Tensor) -> Tensor:
    """The matrices where PyTorch decomposes them: those of Apple's GPUs on the CPU."""
    return matrices.cpu() if matrices.device.type == "mps" else matrices


def _covariance(rows: Tensor) -> Tensor:
    return rows @ rows.mT


def _rotated(weights: Tensor, state: dict) -> Tensor:
    """Weights (N, output, taps, input) in the bases."""
    return _multiplied(state["output_basis"].mT, weights, state["input_basis"])


def _rotated_back(weights: Tensor, state: dict) -> Tensor:
    return _multiplied(state["output_basis"], weights, state["input_basis"].mT)


def _multiplied(left: Tensor, weights: Tensor, right: Tensor) -> Tensor:
    by_input = (weights.flatten(1, 2) @ right).view_as(weights)
    return (left @ by_input.flatten(2)).view_as(weights)
