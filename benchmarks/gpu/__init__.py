"""Trains several networks side by side on one GPU, in jobs of some minutes; gpu.md beside this folder says how."""
