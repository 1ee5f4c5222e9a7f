"""Names of solvers, which the command line knows without loading one."""

from enum import StrEnum

EXACT = ("cpsat", "milp")
ONLINE = ("greedy", "first_fit", "best_fit", "xen_4_2", "xen", "nova")
AUTO, PATTERNS = "auto", "patterns"
SOLVER_NAMES = (AUTO, *EXACT, PATTERNS, *ONLINE)


class MilpBackend(StrEnum):
    """MILP codes that PuLP drives."""

    HIGHS = "highs"
    CBC = "cbc"
