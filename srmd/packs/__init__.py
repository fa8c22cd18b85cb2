"""Packs: training pictures in one HDF5 file."""
