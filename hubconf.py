"""The entry point of torch.hub, for a checkout of this repository:

    restorer = torch.hub.load("path/of/the/checkout", "srmd", scale=2, source="local")
    sr = restorer.restore(lr, kernel="gaussian:1.3", noise_level=5)

It downloads nothing: the networks are in the checkout.
"""

from typing import Any

from srmd import Restorer as _Restorer  # torch.hub lists each callable without an underscore as an entry point
from srmd import load as _load

# The libraries that restoring needs; torch.hub raises an error that names the missing ones.
dependencies = ["torch", "numpy", "scipy", "PIL", "h5py", "safetensors"]


def srmd(scale: int = 2, noise_free: bool = False, **options: Any) -> _Restorer:
    """Loads the shipped network for a scale, as `srmd.load("srmd_x2")` does.

    Args:
        scale: 1, 2, 3 or 4.
        noise_free: whether to load SRMDNF, which takes no noise level and is better without noise; not for scale 1.
        options: further arguments of `srmd.load`, such as `device="cpu"` or `precision="fp32"`.
    """
    return _load(f"{'srmdnf' if noise_free else 'srmd'}_x{scale}", **options)
