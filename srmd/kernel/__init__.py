"""Blur kernels: Gaussian and motion kernels, kernel files, and kernel codes by PCA."""
