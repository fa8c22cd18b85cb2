"""Ways to run a network: PyTorch, ncnn, OpenVINO."""
