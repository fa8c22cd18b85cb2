"""SRMD: super-resolves pictures whose blur kernel and noise level it is told."""

__version__ = "0.5.0"
