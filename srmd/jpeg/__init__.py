"""JPEG: its quantisation tables, as a condition of the network, and its codec."""
