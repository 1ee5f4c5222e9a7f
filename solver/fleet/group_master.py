"""Which hosts of a part of a fleet hold which contents: a program over those known, by HiGHS.

A kind of group has one row, in which a fragment counts by its share of the vCPUs: that is a
relaxation, in which splits are priced for nothing. Kinds that are *split* have a row per member.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import highspy
import numpy as np

from numaplace.models.units import HALVES
from numaplace.solver.deadline import Deadline, OutOfTimeError
from numaplace.solver.fleet.group_prices import Contents, Part, Prices, Pricing, spread
from numaplace.solver.fleet.options import AWAY
from numaplace.solver.milp.highs import quiet_highs, run_by

SHORT = 3.0
"""What is missing costs so many times what it is worth to begin with, and a vCPU each."""
GOOD = 1e-7


class GroupMaster:
    """The program of a part; `split` kinds of groups have a row per member."""

    def __init__(self, pricing: Pricing, part: Part, split: Iterable[int] = ()) -> None:
        self.pricing = pricing
        self.part = part
        self.columns: list[Contents] = []
        self._known: set[Contents] = set()
        self._host_row = {h: row for row, h in enumerate(part.hosts)}
        self._rows: dict[int, list[int]] = {}
        self._lp = quiet_highs()
        for count in part.hosts.values():
            self._lp.addRow(-highspy.kHighsInf, float(count), 0, [], [])
        split, rows = set(split), len(part.hosts)
        for k, count in part.groups.items():
            members = len(pricing.vcpus[k]) if k in split else 1
            self._rows[k] = list(range(rows, rows + members))
            rows += members
            for _ in range(members):
                most = float(count) if members > 1 else highspy.kHighsInf
                self._lp.addRow(float(count), most, 0, [], [])
        self._shorts = rows - len(part.hosts)
        for k, found in self._rows.items():
            worth = float(pricing.start[k].sum()) / HALVES + int(pricing.vcpus[k].sum())
            for row in found:
                cost = SHORT * worth / len(found)
                self._lp.addCol(cost, 0.0, highspy.kHighsInf, 1, [row], [1.0])
        # Whole numbers need what the relaxation does without.
        self.add(alone for k in split for h in part.hosts for alone in pricing.alone(h, k))

    def add(self, found: Iterable[Contents]) -> int:
        """Add contents that are not known yet; return how many those are."""
        new = [contents for contents in dict.fromkeys(found) if contents not in self._known]
        if not new:
            return 0
        self._known.update(new)
        self.columns += new
        starts: list[int] = []
        rows: list[int] = []
        amounts: list[float] = []
        for contents in new:
            starts.append(len(rows))
            rows.append(self._host_row[contents.host])
            amounts.append(1.0)
            for row, amount in self._amounts(contents).items():
                rows.append(row)
                amounts.append(amount)
        count = len(new)
        self._lp.addCols(
            count,
            np.array([contents.lost for contents in new]) / HALVES,
            np.zeros(count),
            np.full(count, highspy.kHighsInf),
            len(rows),
            np.array(starts, np.int32),
            np.array(rows, np.int32),
            np.array(amounts),
        )
        return count

    def _amounts(self, contents: Contents) -> dict[int, float]:
        """What contents count in the rows of groups."""
        found: dict[int, float] = {}
        for k, option in contents.parts:
            here = self.pricing.options[contents.host][k].ways[option] != AWAY
            rows, vcpus = self._rows[k], self.pricing.vcpus[k]
            shares = here if len(rows) > 1 else [int(here @ vcpus) / int(vcpus.sum())]
            for row, share in zip(rows, shares, strict=True):
                if share:
                    found[row] = found.get(row, 0.0) + float(share)
        return found

    def solve(self, until: Deadline) -> tuple[float, Prices]:
        """Solve the relaxation: twice its loss, and prices. `OutOfTimeError` if it is late."""
        run_by(self._lp, until)
        if self._lp.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise OutOfTimeError
        dual = np.array(self._lp.getSolution().row_dual) * HALVES
        prices = {}
        for k, rows in self._rows.items():
            if len(rows) > 1:
                prices[k] = np.rint(dual[rows]).astype(np.int64)
            else:
                prices[k] = spread(round(float(dual[rows[0]])), self.pricing.vcpus[k])
        return self._lp.getInfo().objective_function_value * HALVES, prices

    @property
    def short(self) -> float:
        """How much the relaxation lacks of all that must be placed."""
        return float(sum(self._lp.getSolution().col_value[: self._shorts]))

    def fragments(self) -> set[int]:
        """Kinds of groups that have one row, and of which the relaxation uses fragments."""
        used = np.array(self._lp.getSolution().col_value)[self._shorts :] > GOOD
        return self._broken([c for c, x in zip(self.columns, used, strict=True) if x])

    def _broken(self, columns: Sequence[Contents]) -> set[int]:
        return {
            k
            for contents in columns
            for k, option in contents.parts
            if len(self._rows[k]) == 1
            and len(self.pricing.vcpus[k]) > 1
            and (self.pricing.options[contents.host][k].ways[option] == AWAY).any()
        }

    def split_further(self, kinds: set[int]) -> GroupMaster:
        """Return the same program with a row per member for more kinds."""
        split = {k for k, rows in self._rows.items() if len(rows) > 1} | kinds
        made = GroupMaster(self.pricing, self.part, split)
        made.add(self.columns)
        return made

    def choose(
        self, until: Deadline, good: int, start: Mapping[Contents, int]
    ) -> list[tuple[Contents, int]] | None:
        """Choose whole numbers of contents, until what loses (twice) no more than `good` is found.

        `start` is a choice to begin with. None if there was no time to find one.
        """
        broken = self._broken(self.columns)
        if broken:
            return self.split_further(broken).choose(until, good, start)
        mip = quiet_highs()
        lp = self._lp.getLp()
        lp.integrality_ = [highspy.HighsVarType.kInteger] * lp.num_col_
        mip.passModel(lp)
        if start:
            number = {contents: k for k, contents in enumerate(self.columns, self._shorts)}
            values = np.zeros(lp.num_col_)
            for contents, times in start.items():
                values[number[contents]] = times
            solution = highspy.HighsSolution()
            solution.col_value = values.tolist()
            mip.setSolution(solution)
        target = good / HALVES + GOOD
        for name, value in {"mip_rel_gap": 1e-6, "objective_target": target}.items():
            mip.setOptionValue(name, value)
        run_by(mip, until)
        if mip.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            return None
        times = np.rint(np.array(mip.getSolution().col_value)[self._shorts :]).astype(int).tolist()
        return [(c, n) for c, n in zip(self.columns, times, strict=True) if n > 0]
