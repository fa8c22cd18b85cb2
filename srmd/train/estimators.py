"""Trains estimators of blur and noise: the loss, and the training step."""

import copy
import math

import torch
from torch import Tensor

from srmd.estimator import Estimator, Prediction
from srmd.train.estimator_patches import PatchPool

BATCH = 128  # patches
STRIDE = 16  # LR pixels from a window to the next in training; fewer windows of more patches teach more
LEARNING_RATE, WEIGHT_DECAY, BETAS = 1e-3, 1e-3, (0.9, 0.99)
WARM_UP = 200  # steps
MAX_SQUARE = 50.0  # squared error in predicted variances above which the loss grows linearly
MAX_GRADIENT = 2.0  # norm
MAX_EMA = 0.999
STEPS_PER_DRAW = 4  # training steps after each of which the pool grows
MIN_POOL = 2000  # patches before the first step


def negative_log_likelihood(prediction: Prediction, targets: Tensor) -> Tensor:
    """The mean of −log p(targets), (N, 4), but for a constant; large errors count linearly, as with Huber's loss."""
    errors = (targets - prediction.mean)[:, None] @ prediction.cholesky  # (N, 1, 4), in standard deviations
    squares = errors[:, 0].square()
    linear = 2 * (MAX_SQUARE * squares.clamp(min=1)).sqrt() - MAX_SQUARE
    squares = torch.where(squares > MAX_SQUARE, linear, squares)
    log_determinant = prediction.cholesky.diagonal(dim1=1, dim2=2).log().sum(1)
    return (squares.sum(1) / 2 - log_determinant).mean()


class EstimatorTraining:
    """The training of an estimator on a pool of patches, with AdamW and an EMA of the weights.

    Attributes:
        network: the network that is trained.
        ema: the network with the exponential moving average of its weights, which is the result.
        steps: the number of steps so far.
    """

    def __init__(self, network: Estimator, pool: PatchPool, device: torch.device):
        """`network` is trained in place."""
        self.network, self.pool, self.device, self.steps = network.to(device).train(), pool, device, 0
        while len(pool) < MIN_POOL:
            pool.grow()
        self.ema = copy.deepcopy(network).eval()
        self._optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, BETAS, weight_decay=WEIGHT_DECAY)

    @torch.no_grad()
    def standardise_features(self) -> None:
        """Sets the mean and deviation of the features to those of the pool; needed before training from scratch."""
        features = self._features(self.pool.batch(8 * BATCH).lr).flatten(0, 1)
        for network in (self.network, self.ema):
            network.mean.copy_(features.mean(0))
            network.deviation.copy_(features.std(0) + 1e-3)

    def step(self, progress: float) -> Tensor:
        """One training step; `progress`, 0 to 1, sets the learning rate by a cosine. Returns the loss."""
        if self.steps % STEPS_PER_DRAW == 0:
            self.pool.grow()
        self._set_learning_rate(progress)
        patches = self.pool.batch(BATCH)
        told = patches.scales.to(self.device), patches.jpeg.to(self.device)
        prediction = self.network(self._features(patches.lr), *told)
        loss = negative_log_likelihood(prediction, patches.targets().to(self.device))
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT)
        self._optimizer.step()
        self.steps += 1
        self._update_ema()
        return loss.detach()

    def _features(self, lr: Tensor) -> Tensor:
        return self.network.features(lr.to(self.device) / 255, STRIDE)

    def _set_learning_rate(self, progress: float) -> None:
        warm_up = min(1, (self.steps + 1) / WARM_UP)
        for group in self._optimizer.param_groups:
            group["lr"] = LEARNING_RATE * warm_up * (1 + math.cos(math.pi * progress)) / 2

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(MAX_EMA, (1 + self.steps) / (10 + self.steps))
        for mean, weights in zip(self.ema.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(weights, 1 - decay)
