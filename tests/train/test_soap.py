"""The optimizer, against laws that it must keep."""

import copy
import functools

import torch

from srmd.train.soap import Soap


def correlated(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A convolution to find, and a square root of its inputs' covariance, whose condition is 10⁴."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q
    return torch.randn(16, 16, 3, 3, generator=generator), basis * torch.logspace(0, -2, 16)


def loss_after(steps: int, optimizer_class, lr: float) -> float:
    """How far a convolution is from the one to find, where its inputs are strongly correlated."""
    wanted, root = correlated(0)
    weight = torch.nn.Parameter(torch.zeros_like(wanted))
    optimizer = optimizer_class([weight], lr=lr)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        optimizer.zero_grad()
        loss = torch.einsum("oixy,ij->ojxy", weight - wanted, root).square().mean()
        loss.backward()
        optimizer.step()
    return loss.item()


def test_learns_from_correlated_inputs_faster_than_adam():
    adam = functools.partial(torch.optim.Adam, betas=(0.9, 0.99))
    assert loss_after(300, Soap, 0.03) < 0.6 * loss_after(300, adam, 0.03)


def test_the_bases_follow_the_gradients():
    generator = torch.Generator().manual_seed(2)
    roots = [torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q * torch.logspace(0, -2, 16) for _ in range(2)]
    weight = torch.nn.Parameter(torch.zeros(16, 16, 3, 3))
    optimizer = Soap([weight], lr=0.01)
    for step in range(200):
        root = roots[step > 0]  # what it begins with says nothing of what comes
        weight.grad = turned(root, torch.randn(16, 16, 3, 3, generator=generator), root)
        optimizer.step()
    covariance = roots[1] @ roots[1].mT
    for side in ("input", "output"):
        basis = optimizer.state[weight][f"{side}_basis"][0]
        seen = basis.mT @ covariance @ basis
        scale = seen.diagonal().sqrt()
        assert (seen / scale / scale[:, None] - torch.eye(16)).square().mean().sqrt() < 0.2


def test_turned_gradients_give_the_weight_turned():
    generator = torch.Generator().manual_seed(3)
    left, right = (torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q for _ in range(2))
    weights = [torch.nn.Parameter(torch.zeros(6, 6, 3, 3, dtype=torch.float64)) for _ in range(2)]
    optimizers = [Soap([weight], lr=0.01) for weight in weights]
    for _ in range(60):
        gradient = torch.randn(6, 6, 3, 3, generator=generator, dtype=torch.float64)
        weights[0].grad = gradient
        weights[1].grad = turned(left, gradient, right)
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(weights[1].detach(), turned(left, weights[0].detach(), right))


def turned(left: torch.Tensor, weight: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ab,bcxy,dc->adxy", left, weight, right)


def test_updates_weights_of_one_shape_as_each_by_itself():
    generator = torch.Generator().manual_seed(5)
    shapes = [(8, 6, 3, 3), (8,), (8, 6, 3, 3), (8,), (4, 6, 3, 3)]
    together, apart = ([torch.nn.Parameter(torch.zeros(shape)) for shape in shapes] for _ in range(2))
    optimizers = [Soap(together, lr=0.01), *(Soap([parameter], lr=0.01) for parameter in apart)]
    for _ in range(25):  # the bases turn twice
        for one, other in zip(together, apart, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other)


def test_treats_biases_as_adam_does():
    ours, adams = (torch.nn.Parameter(torch.linspace(-1, 1, 5)) for _ in range(2))
    optimizers = Soap([ours], lr=0.1), torch.optim.Adam([adams], lr=0.1, betas=(0.9, 0.99))
    for step in range(25):
        for parameter, optimizer in zip((ours, adams), optimizers, strict=True):
            parameter.grad = (parameter.detach() - 0.3) * (1 + step % 3)
            optimizer.step()
    torch.testing.assert_close(ours, adams)


def test_goes_on_from_its_state_to_the_bit():
    gradients = torch.randn(40, 8, 6, 3, 3, generator=torch.Generator().manual_seed(1))
    whole = torch.nn.Parameter(torch.zeros(8, 6, 3, 3))
    optimizer = Soap([whole], lr=0.01)
    for step, gradient in enumerate(gradients):
        if step == 17:  # between two turns of the basis
            half = torch.nn.Parameter(whole.detach().clone())
            resumed = Soap([half], lr=0.01)
            resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        if step >= 17:
            half.grad = gradient.clone()
            resumed.step()
        whole.grad = gradient.clone()
        optimizer.step()
    assert torch.equal(whole, half)


def test_what_no_gradient_reaches_any_more_leaves_no_denormal_numbers():
    generator = torch.Generator().manual_seed(4)
    weight = torch.nn.Parameter(torch.zeros(16, 16, 3, 3))
    optimizer = Soap([weight], lr=0.01)
    for step in range(2007):
        weight.grad = torch.randn(16, 16, 3, 3, generator=generator)
        if step >= 20:  # a ReLU that died
            weight.grad[:6] = 0
            weight.grad[:, :3] = 0
        optimizer.step()
    for name, value in optimizer.state[weight].items():
        if name != "step":
            assert not ((value != 0) & (value.abs() < torch.finfo(torch.float32).tiny)).any(), name


def test_a_gradient_that_is_not_finite_is_left_for_the_loss_to_report():
    weight = torch.nn.Parameter(torch.zeros(8, 8, 3, 3))
    weight.grad = torch.full_like(weight, torch.nan)
    optimizer = Soap([weight], lr=0.01)
    optimizer.step()
    assert optimizer.state[weight]["output_basis"].isfinite().all()
    assert weight.isnan().all()
