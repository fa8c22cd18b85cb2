"""`Soap`: the optimizer, Adam in the basis in which a convolution's gradients vary independently."""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN_BETA, SQUARE_BETA, COVARIANCE_BETA = 0.9, 0.99, 0.95
# Steps. It is done one small matrix after the other, which a GPU is slow at: of an H100's step of 128 patches of 48×48
# the optimizer took 5.5 ms when every tenth turned the bases, the network 7.1 ms.
TURN_EVERY = {"cpu": 10, "cuda": 50}
# What no gradient reaches decays towards denormal numbers, with which this took seven times as long.
NOTHING = 1e-30
EPS = 1e-8  # beside the average before its correction, as in the paper's code


class Soap(torch.optim.Optimizer):
    """Adam in the eigenbasis of the gradients' covariances over output and over input channels.

    Features behind a ReLU are strongly correlated, so Adam's step sizes, one per weight, fit no direction well; turned
    into that basis they do. Weights without channels, as biases, are Adam's. (Vyas et al., "SOAP: Improving and
    Stabilizing Shampoo using Adam", 2024, algorithm 3; without its weight decay, and with the kernel's taps left as
    they are.)
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        """Updates all parameters from their gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim == 4:
                    self._update_convolution(parameter, group["lr"])
                else:
                    update, scale = _adam(self.state[parameter], parameter.grad)
                    parameter.sub_(update, alpha=scale * group["lr"])

    def _update_convolution(self, weight: Tensor, lr: float) -> None:
        state = self.state[weight]
        by_taps = weight.grad.movedim(1, 3)  # as it lies in memory: the products below copy nothing
        gradient = by_taps.flatten(1, 2)
        covariances = {"output": _covariance(gradient.flatten(1)), "input": _covariance(gradient.flatten(0, 1).mT)}
        if not state:
            for side, covariance in covariances.items():
                state[f"{side}_covariance"] = covariance
                exact = covariance.double().nan_to_num()  # float32 may not converge; a NaN is for the loss to report
                state[f"{side}_basis"] = torch.linalg.eigh(exact).eigenvectors.to(covariance)
        for side, covariance in covariances.items():
            state[f"{side}_covariance"].lerp_(covariance, 1 - COVARIANCE_BETA)
        update, scale = _adam(state, _rotated(gradient, state))
        weight.sub_(_rotated_back(update, state).view_as(by_taps).movedim(3, 1), alpha=scale * lr)
        if state["step"] % TURN_EVERY[weight.device.type] == 0:
            _turn(state)


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
    for axis, side in ((0, "output"), (2, "input")):
        basis = state[f"{side}_basis"]
        power = state[f"{side}_covariance"] @ basis
        order = (basis * power).sum(0).argsort(descending=True)  # QR keeps the strong directions best
        state[f"{side}_basis"] = torch.linalg.qr(power[:, order]).Q
        state["square"] = state["square"].index_select(axis, order)
    state["mean"] = _rotated(mean, state)


def _covariance(rows: Tensor) -> Tensor:
    return rows @ rows.mT


def _rotated(weight: Tensor, state: dict) -> Tensor:
    """A weight (output, taps, input) in the bases."""
    return (state["output_basis"].mT @ (weight @ state["input_basis"]).flatten(1)).view_as(weight)


def _rotated_back(weight: Tensor, state: dict) -> Tensor:
    return (state["output_basis"] @ (weight @ state["input_basis"].mT).flatten(1)).view_as(weight)
