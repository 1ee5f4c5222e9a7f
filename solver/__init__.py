"""How plans are found. `solve` is the way in; back ends are imported when they are asked for."""

from numaplace.solver.registry import solve

__all__ = ["solve"]
