"""Solvers side by side: what each places, what it loses, how far from the best known bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, product

from numaplace.models.cost import Term
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.result import Result, SolveStatus, Stage, StageResult, gap_of, stages_of
from numaplace.solver.deadline import Deadline
from numaplace.solver.names import SOLVER_NAMES
from numaplace.solver.parallel import ONE_BY_ONE, JobEngine, run_parallel
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve


@dataclass(frozen=True, slots=True)
class Row:
    """One solver on one instance with one seed.

    Gaps are distances of each objective to the best bound that any solver of the comparison proved,
    as a share; None if nobody proved one. The gap of a stage is about plans that are as good in the
    stages before.
    """

    instance: str
    solver: str
    seed: int
    status: SolveStatus  # what the solver proved by itself
    vms: int  # of the instance
    vms_placed: int  # of the plan
    objectives: Mapping[Stage, int]  # in thousandths, hosts or micro-vCPU; empty without a plan
    gaps: Mapping[Stage, float | None]
    terms: Mapping[Term, int]  # loss in micro-vCPU
    runtime_s: float  # time to decide

    @property
    def loss_micro(self) -> int | None:
        """Loss, None without a plan."""
        return self.objectives.get(Stage.LOSS)

    @property
    def value_milli(self) -> int | None:
        """Value, None without a plan."""
        return self.objectives.get(Stage.VALUE)

    @property
    def gap(self) -> tuple[Stage, float | None] | None:
        """The first stage that is not proven and its gap, the loss if all are; None: no plan."""
        for stage, gap in self.gaps.items():
            if gap != 0:
                return stage, gap
        return (Stage.LOSS, 0.0) if self.gaps else None


def compare(
    instances: Iterable[tuple[str, Instance]],
    solvers: Sequence[str],
    params: SolveParams | None = None,
    seeds: Sequence[int] = (0,),
    *,
    engine: JobEngine = ONE_BY_ONE,
    on_done: Callable[[int, int, str], None] | None = None,
    on_failed: Callable[[str], None] | None = None,
) -> tuple[Row, ...]:
    """Run every solver of some names on every instance, given with its name, with every seed.

    Rows are in order of instances, solvers, seeds. Of `params` the seed is replaced, and reasons
    are not asked for. The time limit is for all solves together, each may take as much as those
    that follow; once the caller asks to stop, those that have not begun are left out. `on_done` is
    told the number of solves done, of all solves, and words for the last one; `on_failed` which
    solve ended its process, and how. Only solves in this process, one by one, report progress.
    """
    base = replace(params or SolveParams(), explain=False).begun()
    instances, runs = list(instances), list(product(solvers, seeds))
    jobs = [_Solve(*one, *run) for one in instances for run in runs]
    told = base.on_progress if engine == ONE_BY_ONE else None
    sent = replace(base, on_progress=told, should_stop=None, deadline=None)
    done = count(1)
    found = run_parallel(
        partial(_solve, sent),
        jobs,
        engine=engine,
        until=base.until,
        fair=True,
        on_result=lambda job, _: on_done and on_done(next(done), len(jobs), str(job)),
    )
    for index, why in found.failed.items():
        if on_failed is not None:
            on_failed(f"{jobs[index]}: {why}")
    results, rows = iter(found.results), list[Row]()
    for name, instance in instances:
        mine = [(seed, result) for (_, seed), result in zip(runs, results, strict=False) if result]
        rows += rows_of(name, instance, mine)
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class _Solve:
    name: str
    instance: Instance
    solver: str
    seed: int

    def __str__(self) -> str:
        return f"{self.solver} on {self.name}"


def _solve(params: SolveParams, job: _Solve, until: Deadline) -> Result:
    stop, left_s = until.should_stop, until.left_s
    mine = replace(params, seed=job.seed, deadline=until, should_stop=stop, time_limit_s=left_s)
    return solve(job.instance, job.solver, mine)


def solver_names(text: str) -> list[str]:
    """Return the names in a list with commas; `InputError` for one that is no solver."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in SOLVER_NAMES:
            reason = f"{name!r:.60} is unknown, choose among {', '.join(SOLVER_NAMES)}"
            raise InputError("solver", "", reason)
    return list(dict.fromkeys(names))


def rows_of(
    name: str, instance: Instance, results: Sequence[tuple[int, Result]]
) -> tuple[Row, ...]:
    """Compare results, given with their seeds, of one instance."""
    return tuple(_row(name, instance, entry, results) for entry in results)


def _row(
    name: str, instance: Instance, entry: tuple[int, Result], results: Sequence[tuple[int, Result]]
) -> Row:
    seed, result = entry
    stages = stages_of(instance) if result.stages else ()
    return Row(
        instance=name,
        solver=result.solver,
        seed=seed,
        status=result.status,
        vms=len(instance.vms),
        vms_placed=0 if result.plan is None else len(result.plan),
        objectives={stage.stage: stage.objective for stage in result.stages},
        gaps={s: _gap(s, stages, result, [other for _, other in results]) for s in stages},
        terms={} if result.cost is None else result.cost.terms,
        runtime_s=result.runtime_s,
    )


def _gap(
    stage: Stage, stages: Sequence[Stage], result: Result, others: Sequence[Result]
) -> float | None:
    """Gap of one stage to the tightest bound that holds for the plan of `result`.

    A bound holds for all plans that reach, in the stages before, the objectives of the plan it
    was proven with.
    """
    mine = result.stage(stage)
    if mine is None:
        return None
    before = stages[: stages.index(stage)]
    bounds = [
        found.bound
        for other in others
        if (found := other.stage(stage)) is not None
        and found.bound is not None
        and all(_reaches(result.stage(s), other.stage(s)) for s in before)
    ]
    if not bounds:
        return None
    tightest = min(bounds) if stage is Stage.VALUE else max(bounds)
    return gap_of(mine.objective, tightest)


def _reaches(mine: StageResult | None, other: StageResult | None) -> bool:
    """Tell whether one objective is at least as good as another."""
    if mine is None or other is None:
        return False
    if mine.stage is Stage.VALUE:
        return mine.objective >= other.objective
    return mine.objective <= other.objective
