"""Backends, the ways to run a network: PyTorch, ncnn and OpenVINO, with their precisions and devices."""
