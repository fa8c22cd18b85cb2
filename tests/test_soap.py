"""The optimizer, against laws that it must keep."""

import copy

import torch

from soap import Soap


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
    assert loss_after(300, Soap, 0.03) < 0.5 * loss_after(300, torch.optim.Adam, 0.03)


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
