"""SRMD: super-resolution of pictures whose blur kernel and noise level are given or estimated.

    import srmd

    restorer = srmd.load("srmd_x2")  # a network of the package, or any weights file
    sr = restorer.restore(lr)  # array, tensor or PIL picture, as lr is
    sr = restorer.restore(lr, kernel="gaussian:1.3", noise_level=5)  # with a known kernel and noise level
    found = srmd.estimate(lr, scale=2)  # found.kernel_spec, found.noise_level, found.confidence
    lr = srmd.degrade(hr, kernel=srmd.gaussian(2.6, 1.0, 30), noise_level=5, scale=2)

These names are imported when they are first used, because importing torch takes seconds. This file imports
nothing, because the command line imports it before Ctrl-C is handled.
"""

__version__ = "0.5.0"
__all__ = [
    "BlindEstimator",
    "Estimate",
    "InputError",
    "JpegTables",
    "Restorer",
    "degrade",
    "estimate",
    "gaussian",
    "load",
    "read_kernel",
]

_MODULES = {
    "BlindEstimator": ("srmd.restore.estimate", "BlindEstimator"),
    "Estimate": ("srmd.restore.estimate", "Estimate"),
    "InputError": ("srmd.base.errors", "InputError"),
    "JpegTables": ("srmd.jpeg.tables", "JpegTables"),
    "Restorer": ("srmd.restore.restorer", "Restorer"),
    "degrade": ("srmd.degradation", "degrade_picture"),
    "estimate": ("srmd.restore.estimate", "estimate"),
    "gaussian": ("srmd.kernel.specs", "checked_gaussian"),
    "load": ("srmd.restore.restorer", "load"),
    "read_kernel": ("srmd.kernel.specs", "read_kernel"),
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'srmd' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _MODULES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
