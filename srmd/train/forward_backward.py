"""`ForwardBackward`: the loss of a batch, and its gradients."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from srmd.backends.device import autocast
from srmd.model import SRMD
from srmd.train.batches import Batch
from srmd.winograd.convolution import conv

# The loss is multiplied by this in float16, whose range is 6e-8 to 65504: L1's gradients are about 1e-7 at pixels and
# at most 0.3 at weights.
FLOAT16_LOSS_SCALE = 2.0**13


class ForwardBackward:
    """A function of a batch that sets the gradients of the network's parameters, and returns the loss, a scalar.

    `loss` is l1 or l2, `precision` is fp32, bf16 or fp16. `winograd` says whether the convolutions are computed by
    Winograd's algorithm. `compute_loss` is the method `loss`, or the same compiled.
    """

    def __init__(self, network: SRMD, loss: str, device: torch.device, precision: str, winograd: bool = False):
        self.network, self.device, self.precision, self.winograd = network, device, precision, winograd
        self.distance = {"l1": F.l1_loss, "l2": F.mse_loss}[loss]
        self.compute_loss: Callable[[Tensor, Tensor, Tensor], Tensor] = self.loss

    def __call__(self, batch: Batch) -> Tensor:
        self.network.zero_grad()
        self.network.train()
        loss = self.compute_loss(batch.lr, batch.degradation_map, batch.hr)
        if self.precision == "fp16":
            loss.backward(torch.full_like(loss, FLOAT16_LOSS_SCALE))
            gradients = [parameter.grad for parameter in self.network.parameters()]
            torch._foreach_div_(gradients, FLOAT16_LOSS_SCALE)  # one kernel launch for all of them
            for gradient in gradients:
                gradient.nan_to_num_(0, 0, 0)  # gradients that overflow become 0
        else:
            loss.backward()
        return loss.detach()

    def loss(self, lr: Tensor, degradation_map: Tensor, hr: Tensor) -> Tensor:
        """Return the mean distance of SR from HR, for LR (N, 3, h, w) and degradation maps (N, C, 1, 1)."""
        with autocast(self.device, self.precision):
            sr = self.network(lr, degradation_map, conv if self.winograd else None)
        return self.distance(sr, hr)
