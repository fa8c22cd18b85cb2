"""The entry point of torch.hub, for a checkout of this repository:

    restorer = torch.hub.load("path/of/the/checkout", "srmd", scale=2, source="local")
    sr = restorer.restore(lr, kernel="gaussian:1.3", noise_level=5)
    restorer = torch.hub.load("path/of/the/checkout", "srmd", scale=2, jpeg=True, source="local")  # for JPEGs
    sr = restorer.restore(lr, jpeg=50)

It downloads nothing: the networks are in the checkout.
"""

from typing import Any

from srmd import InputError as _InputError  # torch.hub lists each callable without an underscore as an entry point
from srmd import Restorer as _Restorer
from srmd import load as _load

# The libraries that restoring needs; torch.hub raises an error that names the missing ones.
dependencies = ["torch", "numpy", "scipy", "PIL", "h5py", "safetensors"]


def srmd(scale: int = 2, noise_free: bool = False, jpeg: bool = False, **options: Any) -> _Restorer:
    """Loads the shipped network for a scale, as `srmd.load("srmd_x2")` does.

    Args:
        scale: 1, 2, 3 or 4.
        noise_free: whether to load SRMDNF, which takes no noise level and is better without noise; not for scale 1.
        jpeg: whether to load SRMDJ, which is also told the compression of a JPEG.
        options: further arguments of `srmd.load`, such as `device="cpu"` or `precision="fp32"`.

    Raises InputError if there is no such network.
    """
    if noise_free and jpeg:
        raise _InputError("expected one of noise_free and jpeg, found both", "jpeg")
    kind = "srmdnf" if noise_free else "srmdj" if jpeg else "srmd"
    return _load(f"{kind}_x{scale}", **options)
