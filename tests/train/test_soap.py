"""The optimizer, by properties that it must have."""

import copy
import functools

import torch

from srmd.model import SRMD, NetworkConfig
from srmd.train.soap import Soap


def correlated_problem(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The weight of a convolution to find, and a square root of its inputs' covariance, with condition number 10⁴."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q
    return torch.randn(16, 16, 3, 3, generator=generator), basis * torch.logspace(0, -2, 16)


def loss_after(steps: int, optimizer_class, lr: float) -> float:
    """The loss of a convolution that is fitted to another one, with strongly correlated inputs."""
    wanted, root = correlated_problem(0)
    weight = torch.nn.Parameter(torch.zeros_like(wanted))
    optimizer = optimizer_class([weight], lr=lr)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        optimizer.zero_grad()
        loss = torch.einsum("oixy,ij->ojxy", weight - wanted, root).square().mean()
        loss.backward()
        optimizer.step()
    return loss.item()


def test_soap_is_faster_than_adam_with_correlated_inputs():
    adam = functools.partial(torch.optim.Adam, betas=(0.9, 0.99))
    assert loss_after(300, Soap, 0.03) < 0.6 * loss_after(300, adam, 0.03)


def test_the_bases_become_eigenbases_of_the_gradients_covariances():
    generator = torch.Generator().manual_seed(2)
    roots = [torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q * torch.logspace(0, -2, 16) for _ in range(2)]
    weight = torch.nn.Parameter(torch.zeros(16, 16, 3, 3))
    optimizer = Soap([weight], lr=0.01)
    for step in range(200):
        root = roots[0] if step == 0 else roots[1]  # the first gradient has another covariance than the others
        weight.grad = rotate(root, torch.randn(16, 16, 3, 3, generator=generator), root)
        optimizer.step()
    covariance = roots[1] @ roots[1].mT
    for side in ("input", "output"):
        basis = optimizer.state[weight][f"{side}_basis"][0]
        in_basis = basis.mT @ covariance @ basis
        deviations = in_basis.diagonal().sqrt()
        correlations = in_basis / deviations / deviations[:, None]
        assert (correlations - torch.eye(16)).square().mean().sqrt() < 0.2


def test_rotated_gradients_give_the_rotated_weight():
    generator = torch.Generator().manual_seed(3)
    left, right = (torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q for _ in range(2))
    weights = [torch.nn.Parameter(torch.zeros(6, 6, 3, 3, dtype=torch.float64)) for _ in range(2)]
    optimizers = [Soap([weight], lr=0.01) for weight in weights]
    for _ in range(60):
        gradient = torch.randn(6, 6, 3, 3, generator=generator, dtype=torch.float64)
        weights[0].grad = gradient
        weights[1].grad = rotate(left, gradient, right)
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(weights[1].detach(), rotate(left, weights[0].detach(), right))


def rotate(left: torch.Tensor, weight: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """left · W · rightᵀ for each filter tap W of a weight (output, input, 3, 3)."""
    return torch.einsum("ab,bcxy,dc->adxy", left, weight, right)


def test_a_stack_of_weights_is_updated_like_each_weight_alone():
    generator = torch.Generator().manual_seed(5)
    shapes = [(8, 6, 3, 3), (8,), (8, 6, 3, 3), (8,), (4, 6, 3, 3)]
    stacked, alone = ([torch.nn.Parameter(torch.zeros(shape)) for shape in shapes] for _ in range(2))
    optimizers = [Soap(stacked, lr=0.01), *(Soap([parameter], lr=0.01) for parameter in alone)]
    for _ in range(25):  # with two updates of the bases
        for one, other in zip(stacked, alone, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(stacked, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_networks_that_share_an_optimizer_are_updated_like_each_with_its_own():
    configs = [NetworkConfig(2, features=8, layers=4), NetworkConfig(3, conditions=("kernel",), features=8, layers=4)]
    networks = [SRMD(config) for config in configs]
    copies = copy.deepcopy(networks)
    shared = Soap([parameter for network in networks for parameter in network.parameters()], lr=0.01)
    optimizers = [Soap(network.parameters(), lr=0.01) for network in copies]
    generator = torch.Generator().manual_seed(6)
    for _ in range(25):  # with two updates of the bases
        for one, other in zip(parameters_of(networks), parameters_of(copies), strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        for optimizer in (shared, *optimizers):
            optimizer.step()
    for one, other in zip(parameters_of(networks), parameters_of(copies), strict=True):
        torch.testing.assert_close(one, other)


def parameters_of(networks: list[SRMD]) -> list[torch.nn.Parameter]:
    return [parameter for network in networks for parameter in network.parameters()]


def test_states_of_single_parameters_continue_a_training_also_in_other_stacks():
    generator = torch.Generator().manual_seed(7)
    shapes = [(8, 6, 3, 3), (8,), (8, 6, 3, 3), (4, 6, 3, 3), (8,)]
    parameters = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    optimizer = Soap(parameters, lr=0.01)

    def step(optimizer: Soap, parameters: list, gradients: list[torch.Tensor]) -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()

    gradients = [[torch.randn(shape, generator=generator) for shape in shapes] for _ in range(24)]
    for each in gradients[:12]:
        step(optimizer, parameters, each)
    states = optimizer.state_by_parameter()
    resumed = [torch.nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    optimizers = [(part, Soap(resumed[part], lr=0.01)) for part in (slice(0, 2), slice(2, 5))]
    for part, other in optimizers:
        other.load_state_by_parameter(copy.deepcopy(states[part]))
    for each in gradients[12:]:
        step(optimizer, parameters, each)
        for part, other in optimizers:
            step(other, resumed[part], each[part])
    for one, other in zip(parameters, resumed, strict=True):
        torch.testing.assert_close(one, other)


def test_biases_are_updated_as_by_adam():
    ours, adams = (torch.nn.Parameter(torch.linspace(-1, 1, 5)) for _ in range(2))
    optimizers = Soap([ours], lr=0.1), torch.optim.Adam([adams], lr=0.1, betas=(0.9, 0.99))
    for step in range(25):
        for parameter, optimizer in zip((ours, adams), optimizers, strict=True):
            parameter.grad = (parameter.detach() - 0.3) * (1 + step % 3)
            optimizer.step()
    torch.testing.assert_close(ours, adams)


def test_an_update_of_the_bases_leaves_the_state_where_it_is_in_memory():
    weight = torch.nn.Parameter(torch.zeros(8, 6, 3, 3))
    optimizer = Soap([weight], lr=0.01)
    places = []
    for step in range(11):  # the bases are updated in the tenth
        weight.grad = torch.randn(8, 6, 3, 3, generator=torch.Generator().manual_seed(step))
        optimizer.step()
        state = optimizer.state[weight]
        places.append({name: tensor.data_ptr() for name, tensor in state.items() if name != "step"})
    assert len(places[0]) == 6
    assert places[0] == places[-1]


def test_it_continues_from_its_state_dict_to_the_bit():
    gradients = torch.randn(40, 8, 6, 3, 3, generator=torch.Generator().manual_seed(1))
    weight = torch.nn.Parameter(torch.zeros(8, 6, 3, 3))
    optimizer = Soap([weight], lr=0.01)
    for step, gradient in enumerate(gradients):
        if step == 17:  # between two updates of the bases
            resumed_weight = torch.nn.Parameter(weight.detach().clone())
            resumed = Soap([resumed_weight], lr=0.01)
            resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        if step >= 17:
            resumed_weight.grad = gradient.clone()
            resumed.step()
        weight.grad = gradient.clone()
        optimizer.step()
    assert torch.equal(weight, resumed_weight)


def test_gradients_that_stay_zero_leave_no_denormal_numbers_in_the_state():
    generator = torch.Generator().manual_seed(4)
    weight = torch.nn.Parameter(torch.zeros(16, 16, 3, 3))
    optimizer = Soap([weight], lr=0.01)
    for step in range(2007):
        weight.grad = torch.randn(16, 16, 3, 3, generator=generator)
        if step >= 20:  # some features become dormant
            weight.grad[:6] = 0
            weight.grad[:, :3] = 0
        optimizer.step()
    for name, value in optimizer.state[weight].items():
        if name != "step":
            assert not ((value != 0) & (value.abs() < torch.finfo(torch.float32).tiny)).any(), name


def test_a_gradient_of_nan_raises_nothing_and_makes_the_weight_nan():
    weight = torch.nn.Parameter(torch.zeros(8, 8, 3, 3))
    weight.grad = torch.full_like(weight, torch.nan)
    optimizer = Soap([weight], lr=0.01)
    optimizer.step()
    assert optimizer.state[weight]["output_basis"].isfinite().all()
    assert weight.isnan().all()
