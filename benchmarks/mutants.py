"""Plant faults one by one and see whether the tests notice; print Markdown for docs/benchmarks.md.

``python benchmarks/mutants.py [--only TEXT...] [--jobs 2]``: a mutant is one text of a file put in
the place of another, in a copy of the project, and the few tests that should notice are run there.
A text is found however its lines are broken, in its file or, where code has moved, in any other of
the same room; if that is not just once it is an error, so that no mutant goes by unseen, and so is
a test that fails without any mutant.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S, CLEAN_TIMEOUT_S = 600, 1800
LEFT_OUT = (".*", "__pycache__", "*.egg-info", "docs", "dist", "build")

MODELS = (
    "tests/models/test_cost.py",
    "tests/models/test_rates.py",
    "tests/models/test_rule_cases.py",
)
VERIFY = ("tests/models/test_verify.py", "tests/models/test_rule_cases.py")
ROWS = ("tests/solver/test_rules_in_formulations.py", "tests/solver/test_caches_in_formulations.py")
AGREE = (*ROWS, "tests/properties/test_agreement.py::test_random_instances[0]")
TREES = ("tests/solver/formulation/test_tree.py", "tests/solver/milp/test_agreement.py")
CREDIT = ("tests/solver/simulator/test_credit.py", "tests/solver/simulator/test_invariants.py")
SCORES = ("tests/solver/placing/test_scores.py",)
SLOTS = ("tests/solver/placing/test_trace_rules.py", "tests/solver/placing/test_replay.py")
DOCUMENT = (
    "tests/instances/formats/test_json_io.py",
    "tests/instances/formats/test_round_trips.py",
)
LIBVIRT = ("tests/instances/formats/test_libvirt_domain.py",)
XL = ("tests/instances/formats/test_xl_cfg.py", "tests/instances/formats/test_xl_text.py")
LSCPU = ("tests/instances/formats/test_lscpu.py",)
SYSFS = ("tests/instances/formats/test_sysfs.py",)
HWLOC = ("tests/instances/formats/test_hwloc_xml.py",)
TRACES = ("tests/instances/formats/test_trace_csv.py", "tests/instances/formats/test_trace_rows.py")
PROGRESS = ("tests/solver/simulator/test_progress.py",)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault: `new` stands in `file` where `old` stood, which `tests` should notice.

    `equivalent` says why none can: the fault is none.
    """

    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    equivalent: str = ""


MUTANTS = (
    # prices
    Mutant("models/rates.py", "return extra / (1.0 + extra)", "return extra", MODELS),
    Mutant("models/rates.py", "per_mib = (1.0 - vm.locality) /", "per_mib = 1.0 /", MODELS),
    Mutant(
        "models/rates.py",
        "one_way(b[0], a[1], at_b, at_a)",
        "one_way(b[0], a[1], at_a, at_b)",
        MODELS,
    ),
    Mutant(
        "models/rates.py",
        "(instance.r(at[0], at[1]) + instance.r(at[1], at[0])) / 2",
        "instance.r(at[0], at[1])",
        MODELS,
    ),
    Mutant("models/rates.py", "near = min(instance.r", "near = max(instance.r", MODELS),
    Mutant(
        "models/rates.py",
        "return min(price, (price * self.cores + crowding * extra) // self.threads, MILLI)",
        "return min(price, (price * self.cores + crowding * extra) // self.threads)",
        MODELS,
    ),
    Mutant(
        "models/rates.py",
        "(MILLI * self.threads - s * extra) // self.cores",
        "(MILLI * self.threads) // self.cores",
        MODELS,
    ),
    Mutant(
        "models/rates.py",
        "return vcpus * (utilisation + FLUCTUATION * utilisation * (1.0 - utilisation))",
        "return vcpus * utilisation",
        MODELS,
    ),
    Mutant(
        "models/rates.py",
        "return ceil_div(nano, NANO_PER_MICRO)",
        "return nano // NANO_PER_MICRO",
        MODELS,
    ),
    Mutant(
        "models/rates.py",
        "to_milli(vm.bandwidth_mbps * form.block_mib / form.memory_mib)",
        "to_milli(vm.bandwidth_mbps * form.block_mib / form.own_mib)",
        MODELS,
    ),
    # cost
    Mutant("models/cost.py", "for h in able or homes]", "for h in homes]", MODELS),
    Mutant("models/cost.py", "min(rates.sharing_rate(", "max(rates.sharing_rate(", MODELS),
    Mutant("models/cost.py", " and a[0].overlaps(b[0]):", ":", MODELS),
    Mutant(
        "models/cost.py",
        "(rate * mib + block_mib // 2) // block_mib",
        "rate * mib // block_mib",
        MODELS,
    ),
    Mutant("models/cost.py", "local if old.host == placement.host else network", "local", MODELS),
    Mutant("models/cost.py", "ceil_div(milli, threads[h])", "milli // threads[h]", MODELS),
    # rules
    Mutant("models/verify.py", "if not alive.isdisjoint(group.vms):", "if group.vms:", VERIFY),
    Mutant(
        "models/verify.py",
        "vcpus * MILLI > ratio * free",
        "vcpus * MILLI > ratio * place.node.threads",
        VERIFY,
    ),
    Mutant(
        "models/verify.py",
        "if a in plan and b in plan and instance.vm(a).overlaps(instance.vm(b)):",
        "if a in plan and b in plan:",
        VERIFY,
    ),
    Mutant("models/verify.py", "if functions > has:", "if functions > has + 1:", VERIFY),
    Mutant("models/verify.py", "if held != wanted:", "if held.keys() != wanted.keys():", VERIFY),
    Mutant(
        "models/verify_cpu.py",
        "if use.setdefault((host, core), whole) != whole:",
        "if use.setdefault((host, core), whole) < whole:",
        VERIFY,
    ),
    Mutant(
        "models/verify_cpu.py",
        "for vm, host, cell, node in _dedicated(instance, plan, everyone):\n        whole",
        "for vm, host, cell, node in _dedicated(instance, plan, frozenset()):\n        whole",
        VERIFY,
    ),
    Mutant(
        "models/verify_cpu.py",
        "used[core] < threads[core] for core in used) > 1",
        "used[core] < threads[core] for core in used) > 2",
        VERIFY,
    ),
    Mutant(
        "models/result.py",
        "largest = max(abs(objective), abs(bound))",
        "largest = min(abs(objective), abs(bound))",
        ("tests/solver/test_stages.py", "tests/report/test_usage.py"),
    ),
    Mutant(
        "models/plan.py",
        "return min(gave, got)",
        "return gave",
        ("tests/models/test_cost.py", "tests/models/test_moves.py"),
    ),
    # formulation
    Mutant(
        "solver/formulation/rules.py",
        "mib = [(copy, members[name].shared_mib)]",
        "mib = [(copy, 1)]",
        ROWS,
    ),
    Mutant(
        "solver/formulation/rules.py",
        "ratio * (group.threads_per_core if whole else 1)",
        "ratio",
        ROWS,
    ),
    Mutant(
        "solver/formulation/rules.py",
        "if whole and single and len(self.instance.instants) > 1:",
        "if whole and single and not self.instance.instants:",
        ROWS,
    ),
    Mutant(
        "solver/formulation/rules.py", "filter(alive.__contains__, group.vms)", "group.vms", ROWS
    ),
    Mutant(
        "solver/formulation/rules.py",
        "self.program.at_most([(read, 1), *self._copied(group, at)], 0)",
        "self.program.at_most([(read, 1)], 1)",
        ROWS,
    ),
    Mutant(
        "solver/formulation/rules.py",
        "*scaled(self.vars.at[name][home], -count)], 0)",
        "], count)",
        AGREE,
    ),
    Mutant(
        "solver/formulation/rules.py",
        "more = None if self._requires(option) else 0",
        "more = None",
        AGREE,
        "cores beyond what a cell needs are never taken for nothing: they cost room only",
    ),
    Mutant(
        "solver/formulation/products.py",
        "others = kind.count - (option.type_index == t)",
        "others = kind.count",
        AGREE,
    ),
    Mutant(
        "solver/formulation/products.py",
        "bounds = ([a] if several[1] else []) + ([b] if several[0] else [])",
        "bounds: list[Option] = []",
        (*AGREE, "tests/solver/milp/test_agreement.py"),
        "its own bound and the rows of both sides hold a whole product",
    ),
    Mutant(
        "solver/formulation/products.py",
        "self.program.at_most([*excuses, (self.vars.placed[pair.second], 1)], 1)",
        "self.program.at_most(excuses, 1)",
        (*ROWS, *TREES),
    ),
    Mutant(
        "solver/formulation/products.py",
        "self.program.at_most([(cores, 1), (uses, -self.program.upper[cores])], 0)",
        "self.program.at_most([(cores, 1)], self.program.upper[cores])",
        ROWS,
    ),
    Mutant(
        "solver/formulation/objective.py",
        "if curve.loss(rates.by_crowding(here.values())):",
        "if here:",
        ROWS,
        "where nothing is lost every line is 0 or below",
    ),
    Mutant(
        "solver/formulation/objective.py",
        "here = {o: crowds[o] for o in options if o.vm in alive}",
        "here = dict(crowds)",
        AGREE,
    ),
    Mutant(
        "solver/formulation/objective.py",
        "loss = self.program.variable(worst, Kind.ROUNDED)",
        "loss = self.program.part(worst, unit=MICRO)",
        ("tests/solver/milp/test_agreement.py",),
    ),
    Mutant(
        "solver/formulation/tree.py",
        "exact = exact and (longest <= 1.0 or parted_here)",
        "exact = True",
        TREES,
    ),
    Mutant(
        "solver/formulation/tree.py",
        "longest = max(distance(i, j), distance(j, i))",
        "longest = length",
        TREES,
    ),
    Mutant(
        "solver/formulation/pin.py",
        "if free <= _start(request)]",
        "if free < _start(request)]",
        ("tests/solver/formulation/test_pin.py",),
    ),
    Mutant(
        "solver/formulation/extract.py",
        "return [core[0] for core in units][:vcpus]",
        "return [pcpu for core in units for pcpu in core][:vcpus]",
        AGREE,
    ),
    # placing
    Mutant(
        "solver/placing/cell_offer.py",
        "(self.ledger.values[self.rows] + more).max(axis=(0, 1))",
        "self.ledger.values[self.rows].max(axis=(0, 1))",
        SCORES,
    ),
    Mutant(
        "solver/placing/cell_offer.py",
        "group.shared_mib if group is not None and group.across_nodes else 0",
        "0",
        SCORES,
    ),
    Mutant(
        "solver/placing/cell_offer.py",
        "rates.competition_price(rival) // cells",
        "rates.competition_price(rival)",
        SCORES,
    ),
    Mutant(
        "solver/placing/cell_offer.py",
        "talk.weight * share, arrays.mean_r",
        "talk.weight, arrays.mean_r",
        SCORES,
    ),
    Mutant(
        "solver/placing/slot_offer.py",
        "ContentionLines.loss(after) - ContentionLines.loss(before)",
        "ContentionLines.loss(after)",
        SLOTS,
    ),
    Mutant("solver/placing/slot_offer.py", "reversed(self.mib)", "self.mib", SLOTS),
    Mutant(
        "solver/placing/placer.py",
        "if not places_for(self.state, vm)[0][place_index]:",
        "if False:",
        ("tests/solver/placing/test_improve.py",),
    ),
    Mutant(
        "solver/compare/policies.py",
        "gap_of(reached[g], found.bound)",
        "gap_of(reached[g], found.objective)",
        ("tests/solver/compare/test_policies.py",),
    ),
    # readers
    Mutant(
        "instances/formats/document/plain.py",
        'package = {"socket": socket} if socket else {}',
        "package = {}",
        DOCUMENT,
    ),
    Mutant(
        "instances/present.py",
        "all(users[p] == 1 for p in said.own)",
        "True",
        ("tests/instances/test_present.py",),
    ),
    Mutant(
        "instances/formats/libvirt/numa.py",
        "sizes.get(home, 0) + cell.memory + extra.get(cell.id, 0)",
        "sizes.get(home, 0) + cell.memory",
        LIBVIRT,
    ),
    Mutant(
        "instances/formats/libvirt/numa.py",
        "return None if common is None else pinned | common",
        "return common",
        LIBVIRT,
    ),
    Mutant(
        "instances/formats/xen/xl_cpus.py",
        "ids.difference_update(named(term))",
        "ids.update(named(term))",
        XL,
    ),
    Mutant(
        "instances/formats/xen/xl_cpus.py",
        "for term in affinity[last_all + 1 :])",
        "for term in affinity)",
        XL,
    ),
    Mutant(
        "instances/formats/linux/lscpu_text.py",
        "(pairs[-1][0], pairs[-1][1] + content.strip())",
        "(pairs[-1][0], pairs[-1][1])",
        LSCPU,
    ),
    Mutant(
        "instances/formats/linux/lscpu_text.py",
        "least = min(caches, default=len(columns))",
        "least = len(columns)",
        LSCPU,
    ),
    Mutant(
        "instances/formats/linux/sysfs.py",
        "if cpu in offline or (online is not None and cpu not in online):",
        "if cpu in offline:",
        SYSFS,
    ),
    Mutant(
        "instances/formats/linux/sysfs.py",
        'groups = tuple(tree.text(f"{folder}/{name}_id") for name in ("die", "cluster"))',
        "groups = ()",
        SYSFS,
    ),
    Mutant("instances/formats/tables/trace_fields.py", "if life_s <= 0:", "if life_s < 0:", TRACES),
    Mutant(
        "instances/formats/tables/trace_rows.py",
        "if start_s < before_s:",
        "if start_s <= before_s:",
        TRACES,
    ),
    Mutant(
        "instances/formats/hwloc/values.py",
        "round(base * real_attribute(",
        "round(real_attribute(",
        HWLOC,
    ),
    Mutant(
        "instances/formats/hwloc/values.py",
        'initiators |= -1 << 32 * cpuset.count(",")',
        "pass",
        HWLOC,
    ),
    # simulator
    Mutant(
        "solver/simulator/credit.py",
        "vcpu.credit = max(vcpu.credit, -self.slice_credit)",
        "pass",
        CREDIT,
    ),
    Mutant(
        "solver/simulator/credit.py",
        "self._domains.insert(0, domain)",
        "self._domains.append(domain)",
        CREDIT,
    ),
    Mutant(
        "solver/simulator/credit.py",
        "credit_total += ceil_div((fair - peak) * weight_total, weight_left)",
        "pass",
        CREDIT,
    ),
    Mutant("solver/simulator/progress.py", "mu * (wait - 1.0)", "mu * wait", PROGRESS),
    Mutant("solver/simulator/progress.py", "left -= demand", "pass", PROGRESS),
    Mutant(
        "solver/simulator/progress.py", "(share - low) / (high - low)", "(share - low)", PROGRESS
    ),
    Mutant(
        "solver/simulator/balance.py",
        "* factor < there.bit_count():",
        "* factor <= there.bit_count():",
        CREDIT,
    ),
    Mutant(
        "solver/simulator/balance.py",
        "if vcpu.priority <= priority:",
        "if vcpu.priority < priority:",
        CREDIT,
    ),
)


def copied(to: Path) -> Path:
    """Copy the project to where it can be imported from."""
    return Path(shutil.copytree(ROOT, to / "numaplace", ignore=shutil.ignore_patterns(*LEFT_OUT)))


def passes(project: Path, tests: tuple[str, ...], timeout_s: float = TIMEOUT_S) -> bool | None:
    """Tell whether tests of a copy pass; None if they come to no end."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    env = {**os.environ, "PYTHONPATH": str(project.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ran = subprocess.run(
            command, cwd=project, env=env, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    if ran.returncode in (4, 5):  # no such test, or none that runs
        raise SystemExit(ran.stdout.decode() + ran.stderr.decode())
    return ran.returncode == 0


def located(project: Path, mutant: Mutant) -> tuple[Path, int, int]:
    """Return the file a mutant is in now, where its text begins there and where it ends."""
    words = re.split(r"\s+", mutant.old.strip())
    pattern = re.compile(r"\s+".join(map(re.escape, words)))
    room = mutant.file.split("/")[0]
    others = sorted(path for path in (project / room).rglob("*.py"))
    for paths in ([project / mutant.file], others):
        found = [
            (path, match.start(), match.end())
            for path in paths
            if path.exists()
            for match in pattern.finditer(path.read_text(encoding="utf-8"))
        ]
        if len(found) == 1:
            return found[0]
    raise SystemExit(f"{mutant.file}: {len(found)} x {mutant.old!r} in {room}/, must be once")


@contextmanager
def planted(project: Path, mutant: Mutant) -> Iterator[None]:
    """Plant a fault in a copy, and take it out again."""
    path, start, end = located(project, mutant)
    text = path.read_text(encoding="utf-8")
    changed = text[:start] + mutant.new + text[end:]
    compile(changed, mutant.file, "exec")  # a fault that any test would notice is none
    path.write_text(changed, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def run(mutants: list[Mutant], jobs: int) -> list[tuple[Mutant, str]]:
    """Try every mutant, in as many copies as jobs."""
    with tempfile.TemporaryDirectory() as folder:
        copies = [copied(Path(folder) / str(job)) for job in range(jobs)]
        every = tuple(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
        for mutant in mutants:
            with planted(copies[0], mutant):
                pass
        if not passes(copies[0], every, CLEAN_TIMEOUT_S):
            raise SystemExit("the tests fail without any mutant")

        def work(job: int) -> list[tuple[Mutant, str]]:
            found = []
            for mutant in mutants[job::jobs]:
                with planted(copies[job], mutant):
                    alive = passes(copies[job], mutant.tests)
                word = ("equivalent" if mutant.equivalent else "SURVIVED") if alive else "caught"
                word = "no end" if alive is None else word
                print(f"{word:10} {mutant.file}: {mutant.old!r:.60}", file=sys.stderr, flush=True)
                found.append((mutant, word))
            return found

        with ThreadPoolExecutor(jobs) as pool:
            outcomes = [pair for found in pool.map(work, range(jobs)) for pair in found]
    return sorted(outcomes, key=lambda pair: mutants.index(pair[0]))


def main() -> None:
    """Run the mutants whose file or text holds what `--only` says; exit code 1 for survivors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    chosen = [m for m in MUTANTS if any(text in m.file or text in m.old for text in args.only)]
    outcomes = run(chosen, args.jobs)
    print("| file | instead of | stands | outcome |\n|---|---|---|---|")
    for mutant, word in outcomes:
        old, new = (" ".join(text.split()).replace("|", "\\|") for text in (mutant.old, mutant.new))
        why = f": {mutant.equivalent}" if word == "equivalent" else ""
        print(f"| {mutant.file} | `{old}` | {f'`{new}`' if new else 'nothing'} | {word}{why} |")
    words = [word for _, word in outcomes]
    print("\n" + ", ".join(f"{words.count(word)} {word}" for word in sorted(set(words))))
    sys.exit("SURVIVED" in words)


if __name__ == "__main__":
    main()
