"""`Solver`, which trains a network; the code is in srmd/solver.py."""

from srmd.solver import Solver

__all__ = ["Solver"]
