"""Errors, atomic file writes, MATLAB files, signals and background threads: used by every other folder."""
