"""Terms that are a coefficient times a decision: the same lines in CP-SAT and MILP."""

from __future__ import annotations

from typing import Any

from numaplace.models import rates
from numaplace.solver.formulation.extract import DecisionVariables
from numaplace.solver.formulation.option_rates import affinity_rate, sharing_rate
from numaplace.solver.formulation.prepare import Prepared


class LinearTerms:
    """The linear terms of an objective, in micro-vCPU, without zeros.

    Parameters
    ----------
    prepared
        Choices of the instance.
    variables
        Variables of the formulation.
    """

    def __init__(self, prepared: Prepared, variables: DecisionVariables) -> None:
        self._prepared = prepared
        self._variables = variables

    def page_sharing(self) -> list[Any]:
        """Reads of copies on other nodes."""
        reads = self._variables.read.items()
        priced = [(sharing_rate(self._prepared, *choice), read) for choice, read in reads]
        return [rate * read for rate, read in priced if rate]

    def node_affinity(self) -> list[Any]:
        """Cells outside the soft set."""
        cells = self._variables.cell.items()
        priced = [(affinity_rate(self._prepared, option), cell) for option, cell in cells]
        return [rate * cell for rate, cell in priced if rate]

    def device(self) -> list[Any]:
        """Functions at their distance from the cell that serves them."""
        return [o.rate * functions for o, functions in self._variables.device.items() if o.rate]

    def ballooning(self) -> list[Any]:
        """Blocks taken away."""
        instance = self._prepared.instance
        taken = [(option.vm, blocks) for option, blocks in self._variables.balloon.items()]
        taken += self._variables.taken.items()
        priced = [
            (rates.balloon_rate(instance, instance.vm(name)), blocks) for name, blocks in taken
        ]
        return [rate * blocks for rate, blocks in priced if rate]
