"""The network and its configuration; the code is in srmd/model.py."""

from srmd.model import SRMD, Layer, NetworkConfig, network_input

__all__ = ["SRMD", "Layer", "NetworkConfig", "network_input"]
