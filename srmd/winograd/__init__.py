"""Convolution in fewer multiplications, for CPUs."""
