"""The entry point of torch.hub, here from a checkout:

    restorer = torch.hub.load("path/of/the/checkout", "srmd", scale=2, source="local")
    sr = restorer.restore(lr, kernel="gaussian:1.3", noise_level=5)

A checkout is all it needs, beside the libraries.
"""

from typing import Any

from srmd import Restorer as _Restorer  # torch.hub lists each callable without an underscore as an entry point
from srmd import load as _load

# What restoring imports; torch.hub says which of them are missing.
dependencies = ["torch", "numpy", "scipy", "PIL", "h5py", "safetensors"]


def srmd(scale: int = 2, noise_free: bool = False, **options: Any) -> _Restorer:
    """The shipped network for a scale, ready to restore: what `srmd.load("srmd_x2")` gives.

    Args:
        scale: 1, 2, 3 or 4.
        noise_free: SRMDNF, which is told no noise level and is better where there is no noise; not for scale 1.
        options: what `srmd.load` takes besides, such as `device="cpu"` or `precision="fp32"`.
    """
    return _load(f"{'srmdnf' if noise_free else 'srmd'}_x{scale}", **options)
