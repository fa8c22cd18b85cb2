"""SRMD: super-resolves pictures whose blur kernel and noise level it is told.

    import srmd

    restorer = srmd.load("srmd_x2")  # a shipped network, or any weights file
    hr = restorer.restore(lr, kernel="gaussian:1.3", noise_level=5)  # array, tensor or PIL picture: the same kind out
    lr = srmd.degrade(hr, kernel=srmd.gaussian(2.6, 1.0, 30), noise_level=5, scale=2)

What is here is imported when it is first used, for torch takes seconds.
"""

from importlib import import_module
from typing import Any

__version__ = "0.5.0"
__all__ = ["InputError", "Restorer", "degrade", "gaussian", "load", "read_kernel"]

_PLACES = {
    "InputError": ("srmd.base.errors", "InputError"),
    "Restorer": ("srmd.restore.restorer", "Restorer"),
    "degrade": ("srmd.degradation", "degrade_picture"),
    "gaussian": ("srmd.kernel.specs", "checked_gaussian"),
    "load": ("srmd.restore.restorer", "load"),
    "read_kernel": ("srmd.kernel.specs", "read_kernel"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'srmd' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
