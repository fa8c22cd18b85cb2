"""`Soap`: the optimizer, Adam in the basis in which a convolution's gradients vary independently."""

from collections.abc import Iterable

import torch
from torch import Tensor

BETAS = (0.9, 0.99)
COVARIANCE_BETA = 0.95
TURN_EVERY = 10  # steps
EPS = 1e-8


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
                self._update(parameter, group["lr"])

    def _update(self, parameter: Tensor, lr: float) -> None:
        gradient, state = parameter.grad, self.state[parameter]
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
        state["step"] += 1
        if parameter.ndim == 4:
            _turn(state, gradient)
            gradient = _rotated(gradient, state)
        state["mean"].lerp_(gradient, 1 - BETAS[0])
        state["square"].lerp_(gradient.square(), 1 - BETAS[1])
        mean, square = (
            state[moment] / (1 - beta ** state["step"]) for moment, beta in zip(("mean", "square"), BETAS, strict=True)
        )
        update = mean / (square.sqrt() + EPS)
        parameter.sub_(_rotated_back(update, state) if parameter.ndim == 4 else update, alpha=lr)


def _turn(state: dict, gradient: Tensor) -> None:
    """Follows the covariances, and now and then turns the basis, and what is averaged in it, after them."""
    covariances = {
        "output": torch.einsum("oixy,pixy->op", gradient, gradient),
        "input": torch.einsum("oixy,ojxy->ij", gradient, gradient),
    }
    if state["step"] == 1:
        for side, covariance in covariances.items():
            state[f"{side}_covariance"] = covariance
            state[f"{side}_basis"] = torch.linalg.eigh(covariance).eigenvectors
        return
    for side, covariance in covariances.items():
        state[f"{side}_covariance"].lerp_(covariance, 1 - COVARIANCE_BETA)
    if state["step"] % TURN_EVERY == 0:
        mean = _rotated_back(state["mean"], state)
        for axis, side in enumerate(covariances):
            covariance, basis = state[f"{side}_covariance"], state[f"{side}_basis"]
            power = covariance @ basis
            order = (basis * power).sum(0).argsort(descending=True)  # QR keeps the strong directions best
            state[f"{side}_basis"] = torch.linalg.qr(power[:, order]).Q
            state["square"] = state["square"].index_select(axis, order)
        state["mean"] = _rotated(mean, state)


def _rotated(weight: Tensor, state: dict) -> Tensor:
    return torch.einsum("oixy,op,iq->pqxy", weight, state["output_basis"], state["input_basis"])


def _rotated_back(weight: Tensor, state: dict) -> Tensor:
    return torch.einsum("pqxy,op,iq->oixy", weight, state["output_basis"], state["input_basis"])
