"""Lets programs that use spandrel, such as ComfyUI and chaiNNer, load the .safetensors files of this package.

    from srmd.restore.spandrel import register

    register()  # before the program loads a file

Spandrel hands nothing but tensors on, so that configuration, P and what is built in are among the tensors of a file.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from srmd.degradation import Degradation, degradation_map
from srmd.model import SRMD, NetworkConfig
from srmd.restore.auto import estimated_kernel
from srmd.restore.estimate import BlindEstimator
from srmd.weights.files import CONFIG, DEGRADATION_MAP, PCA, read_config_tensor

if TYPE_CHECKING:
    from spandrel import Architecture, ArchRegistry, ImageModelDescriptor

SRMD_ID = "SRMD"


class OneInputSRMD(SRMD):
    """A network that takes nothing but LR: it is told what is built in, or else what is estimated from LR.

    Its buffers are the tensors of a file that are not the network's.
    """

    def __init__(self, config: NetworkConfig, state: dict[str, Tensor]):
        super().__init__(config)
        for name in (PCA, CONFIG, DEGRADATION_MAP):
            if name in state:
                self.register_buffer(name, torch.empty_like(state[name]))
        self._estimator = None if DEGRADATION_MAP in state else BlindEstimator(config.scale)

    def forward(self, lr: Tensor) -> Tensor:
        """LR (N, 3, h, w), 0 to 1, → SR (N, 3, s·h, s·w), not clipped."""
        if self._estimator is None:
            return super().forward(lr, self.degradation_map.to(lr).expand(len(lr), -1, -1, -1))
        return super().forward(lr, torch.cat([self._estimated_map(picture) for picture in lr]).to(lr))

    def _estimated_map(self, lr: Tensor) -> Tensor:
        """The degradation map (1, C, 1, 1) of what is estimated from LR (3, h, w)."""
        estimate = self._estimator.estimate(lr.permute(1, 2, 0).float().cpu().numpy())
        kernel = torch.from_numpy(estimated_kernel(estimate, self.config.kernel_size)).float()
        degradation = Degradation.uniform(kernel[None], torch.tensor([estimate.noise_level]))
        return degradation_map(degradation, self.pca.float().cpu(), self.config.conditions)


def register(registry: "ArchRegistry | None" = None) -> None:
    """Adds SRMD to a registry of spandrel, by default to that which all programs use; again, it has no effect."""
    from spandrel import MAIN_REGISTRY, ArchSupport

    registry = MAIN_REGISTRY if registry is None else registry
    registry.add(ArchSupport.from_architecture(_architecture()), ignore_duplicates=True)


def _architecture() -> "Architecture[OneInputSRMD]":
    """How spandrel detects and loads a file of this package. It is made here because spandrel is optional."""
    from spandrel import Architecture
    from spandrel.util import KeyCondition

    class SRMDArchitecture(Architecture[OneInputSRMD]):
        def __init__(self):
            detect = KeyCondition.has_all("convs.0.weight", "head.weight", PCA, CONFIG)
            super().__init__(id=SRMD_ID, name=SRMD_ID, detect=detect)

        def load(self, state_dict: dict[str, Tensor]) -> "ImageModelDescriptor[OneInputSRMD]":
            return _descriptor(self, state_dict)

    return SRMDArchitecture()


def _descriptor(
    architecture: "Architecture[OneInputSRMD]", state: dict[str, Tensor]
) -> "ImageModelDescriptor[OneInputSRMD]":
    """The network with what spandrel must know of it.

    Tiles are discouraged if the degradation is estimated, because each tile would get an estimate of its own.
    """
    from spandrel import ImageModelDescriptor, ModelTiling

    config, is_baked = read_config_tensor(state[CONFIG], Path(SRMD_ID)), DEGRADATION_MAP in state
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, but not from the program's random numbers
        network = OneInputSRMD(config, state)
    return ImageModelDescriptor(
        network,
        state,
        architecture=architecture,
        purpose="SR" if config.scale > 1 else "Restoration",
        tags=[config.kind, "fixed degradation" if is_baked else "blind"],
        supports_half=True,
        supports_bfloat16=False,
        scale=config.scale,
        input_channels=3,
        output_channels=3,
        tiling=ModelTiling.SUPPORTED if is_baked else ModelTiling.DISCOURAGED,
    )
