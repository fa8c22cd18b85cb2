"""The optimizer `Soap`: Adam in the eigenbasis of the covariances of a convolution's gradients."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

# Decay per step of the moving averages: of the gradients, of their squares, and of their covariances.
MEAN_BETA = 0.9
SQUARE_BETA = 0.99
COVARIANCE_BETA = 0.95
# Steps between updates of the eigenbases (the paper's name). GPUs decompose small matrices slowly: on an H100, with an
# update in every tenth step and without stacking weights, a step of 128 patches of 48×48 took 5.5 ms in the optimizer
# and 7.1 ms in the network.
PRECONDITION_FREQUENCY = {"cpu": 10, "cuda": 50, "mps": 50}
# Smaller magnitudes in the state are set to 0. Where gradients are 0 for long, the averages would decay to denormal
# numbers, with which a step took seven times as long.
MIN_MAGNITUDE = 1e-30
EPS = 1e-8  # added to the root of the mean square before its bias correction, as in the authors' code


class Soap(torch.optim.Optimizer):
    """Adam in the eigenbasis of the gradients' covariances over output and over input channels.

    Features after a ReLU are strongly correlated, so that Adam's step sizes, one per weight, fit no direction well;
    step sizes in the eigenbasis do. Parameters without channels, such as biases, are updated by Adam. (Vyas et al.,
    "SOAP: Improving and Stabilizing Shampoo using Adam", 2024, algorithm 3; without weight decay, and without
    eigenbases for the axes of the 3×3 filter taps.)

    All parameters of one shape are stacked and updated together, which takes a third of the kernel launches. They may
    belong to several networks that are trained side by side. The state of a stack belongs to its first parameter.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters from their gradients."""
        for group in self.param_groups:
            for parameters in _stacks(group["params"]):
                compute_updates = self._soap_updates if parameters[0].ndim == 4 else self._adam_updates
                updates, factor = compute_updates(parameters)
                torch._foreach_sub_(parameters, updates.unbind(), alpha=factor * group["lr"])

    def state_by_parameter(self) -> list[dict]:
        """Return the state of each parameter, in the order of the parameters: its part of its stack's tensors.

        Unlike that of `state_dict`, its form does not depend on which parameters are updated together.
        """
        states: dict[Tensor, dict] = {}
        for parameters in self._all_stacks():
            stack = self.state[parameters[0]]
            for index, parameter in enumerate(parameters):
                states[parameter] = {name: value if name == "step" else value[index] for name, value in stack.items()}
        return [states[parameter] for parameter in self._parameters()]

    def load_state_by_parameter(self, states: list[dict]) -> None:
        """Continue from the states that `state_by_parameter` returned. A stack gets the highest of its steps."""
        of_parameter = dict(zip(self._parameters(), states, strict=True))
        for parameters in self._all_stacks():
            parts = [of_parameter[parameter] for parameter in parameters]
            device = parameters[0].device
            stack = {
                name: torch.stack([part[name] for part in parts]).to(device) for name in parts[0].keys() - {"step"}
            }
            self.state[parameters[0]] = stack | {"step": max(part["step"] for part in parts)}

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _all_stacks(self) -> list[list[Tensor]]:
        return [stack for group in self.param_groups for stack in _stacks(group["params"])]

    def _adam_updates(self, parameters: list[Tensor]) -> tuple[Tensor, float]:
        return _adam(self.state[parameters[0]], torch.stack([parameter.grad for parameter in parameters]))

    def _soap_updates(self, weights: list[Tensor]) -> tuple[Tensor, float]:
        state = self.state[weights[0]]
        # (N, output, row, column, input): the memory layout of channels-last weights
        stacked = torch.stack([weight.grad.movedim(1, 3) for weight in weights])
        gradient = stacked.flatten(2, 3)  # (N, output, taps, input)
        covariances = {"output": _covariance(gradient.flatten(2)), "input": _covariance(gradient.flatten(1, 2).mT)}
        if not state:
            for side, covariance in covariances.items():
                state[f"{side}_covariance"] = covariance
                state[f"{side}_basis"] = _eigenvectors(covariance)
        for side, covariance in covariances.items():
            state[f"{side}_covariance"].lerp_(covariance, 1 - COVARIANCE_BETA)
        updates, factor = _adam(state, _project(gradient, state))
        updates = _project_back(updates, state).view_as(stacked).movedim(4, 2)
        if state["step"] % PRECONDITION_FREQUENCY[gradient.device.type] == 0:
            _update_bases(state)
        return updates, factor


def _stacks(parameters: list[Tensor]) -> list[list[Tensor]]:
    """Return the parameters that are updated together: those of one shape."""
    by_shape: dict[torch.Size, list[Tensor]] = {}
    for parameter in parameters:
        by_shape.setdefault(parameter.shape, []).append(parameter)
    return list(by_shape.values())


def _adam(state: dict, gradient: Tensor) -> tuple[Tensor, float]:
    """Return Adam's update without bias correction, in the shape of the gradient, and the factor of that correction."""
    if "step" not in state:
        state |= {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - MEAN_BETA)
    state["square"].mul_(SQUARE_BETA).addcmul_(gradient, gradient, value=1 - SQUARE_BETA)
    factor = math.sqrt(1 - SQUARE_BETA ** state["step"]) / (1 - MEAN_BETA ** state["step"])
    return state["mean"] / state["square"].sqrt().add_(EPS), factor


def _update_bases(state: dict) -> None:
    """Update the eigenbases by one step of power iteration with QR, and project the mean to them (algorithm 4).

    The tensors of the state keep their memory. New ones, megabytes each, would lie elsewhere in the heap each time, and
    leave gaps behind in which the next ones do not fit: the memory of a long training on a CPU would grow.
    """
    for name in ("mean", "output_covariance", "input_covariance"):
        torch.hardshrink(state[name], MIN_MAGNITUDE, out=state[name])
    mean = _project_back(state["mean"], state)
    for axis, side in ((1, "output"), (3, "input")):
        basis = state[f"{side}_basis"]
        product = state[f"{side}_covariance"] @ basis
        eigenvalues = (basis * product).sum(1)  # estimates
        order = eigenvalues.argsort(descending=True)  # QR keeps the directions of the first columns best
        product = product.take_along_dim(order[:, None], 2)
        basis.copy_(torch.linalg.qr(_to_decomposing_device(product)).Q)
        indices = order[:, :, None, None] if axis == 1 else order[:, None, None]
        state["square"].copy_(state["square"].take_along_dim(indices, axis))
    state["mean"].copy_(_project(mean, state))


def _eigenvectors(covariance: Tensor) -> Tensor:
    """Return the eigenvectors of covariances (N, n, n), as columns, computed in float64: float32 may not converge.

    NaN is replaced by 0, which `eigh` accepts; the loss is then NaN, and the training run reports it.
    """
    exact = _to_decomposing_device(covariance).double().nan_to_num()
    return torch.linalg.eigh(exact).eigenvectors.to(covariance)


def _to_decomposing_device(matrices: Tensor) -> Tensor:
    """Return matrices on a device on which PyTorch can decompose them: the CPU for matrices on Apple's GPUs."""
    return matrices.cpu() if matrices.device.type == "mps" else matrices


def _covariance(rows: Tensor) -> Tensor:
    """Return the products of all pairs of rows: (N, n, m) → (N, n, n)."""
    return rows @ rows.mT


def _project(weights: Tensor, state: dict) -> Tensor:
    """Return weights (N, output, taps, input) projected to the eigenbases."""
    return _multiply_both_sides(state["output_basis"].mT, weights, state["input_basis"])


def _project_back(weights: Tensor, state: dict) -> Tensor:
    """Undo `_project`."""
    return _multiply_both_sides(state["output_basis"], weights, state["input_basis"].mT)


def _multiply_both_sides(left: Tensor, weights: Tensor, right: Tensor) -> Tensor:
    """Return left · weights · right for each tap of weights (N, output, taps, input)."""
    projected = (weights.flatten(1, 2) @ right).view_as(weights)
    return (left @ projected.flatten(2)).view_as(weights)
