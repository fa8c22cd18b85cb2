"""Blur kernels: families, files, codes."""
