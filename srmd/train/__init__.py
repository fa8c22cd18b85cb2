"""The parts of training: batches, kernels, optimizer, CUDA step, resets of dormant features, and the run folder."""
