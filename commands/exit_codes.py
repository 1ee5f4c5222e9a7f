"""Exit codes of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numaplace.models.instance import Instance
    from numaplace.models.result import Result

OK = 0
BROKEN_RULES = 1
BAD_INPUT = 2
INFEASIBLE = 3
NO_PLAN = 4
NOT_WRITTEN = 5
ABORTED = 130


def exit_code(instance: Instance, result: Result) -> int:
    """Return the exit code of a solve.

    A plan without any VM is none: if that is proven to be the best, the instance is infeasible.
    """
    from numaplace.models.result import SolveStatus

    if result.plan is not None and (result.plan.placements or not instance.vms):
        return OK
    proven = result.status in (SolveStatus.INFEASIBLE, SolveStatus.OPTIMAL)
    return INFEASIBLE if proven else NO_PLAN
