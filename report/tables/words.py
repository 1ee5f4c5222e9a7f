"""Numbers as people read them, and the sentences that pictures and tables share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from numaplace.models.cost import Cost, Term
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement
from numaplace.models.result import Provenance, Result, SolveStatus, Stage
from numaplace.models.topology import Host
from numaplace.models.units import MICRO, MILLI
from numaplace.models.verify import Violation

GIB = 1024
TIB = GIB * 1024


def memory(mib: int) -> str:
    """Memory in the unit that reads best: ``768 MiB``, ``1.5 GiB``, ``2 TiB``."""
    for unit, size in (("TiB", TIB), ("GiB", GIB)):
        if mib >= size:
            return f"{_short(mib / size)} {unit}"
    return f"{mib} MiB"


def memory_of(used_mib: int, all_mib: int) -> str:
    """Memory used of all, in one unit: ``1.5/8 GiB``."""
    for unit, size in (("TiB", 4 * TIB), ("GiB", GIB)):
        if all_mib >= size:
            unit_mib = TIB if unit == "TiB" else GIB
            return f"{_short(used_mib / unit_mib)}/{_short(all_mib / unit_mib)} {unit}"
    return f"{used_mib}/{all_mib} MiB"


def _short(number: float) -> str:
    return f"{number:.{2 if number < 10 else 1}f}".rstrip("0").rstrip(".")


def loss(micro: int) -> str:
    """Loss in vCPUs with as many digits as tell plans apart: ``0.05``, ``0.123457``, ``12.3``."""
    vcpus = micro / MICRO
    digits = 6 if abs(vcpus) < 1 else 4 if abs(vcpus) < 100 else 2
    text = f"{vcpus:.{digits}f}"
    return text.rstrip("0").rstrip(".")


def lost_vcpus(vcpus: float) -> str:
    """Loss that is in vCPUs already."""
    return loss(round(vcpus * MICRO))


def value(milli: int) -> str:
    """Value without needless digits."""
    return f"{milli / MILLI:g}" if abs(milli) < 10**8 else f"{milli / MILLI:.0f}"


def gap(share: float | None) -> str:
    """Gap as a percentage, ``no bound`` if unknown; never rounded to zero."""
    if share is None:
        return "no bound"
    if share == 0:
        return "0 %"
    return "< 0.01 %" if share < 0.0001 else f"{100 * share:.3g} %"


def seconds(time_s: float) -> str:
    """Time in the unit that reads best."""
    if time_s < 0.001:
        return f"{1e6 * time_s:.0f} µs"
    if time_s < 1:
        return f"{1000 * time_s:.3g} ms"
    return f"{time_s:.2f} s" if time_s < 100 else f"{time_s:.0f} s"


def plural(count: int, word: str) -> str:
    """``1 host``, ``2 hosts``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def term_name(term: Term) -> str:
    """Name of a term in words."""
    return {Term.CPU_CONTENTION: "CPU contention"}.get(term, term.value.replace("_", " "))


def term_losses(cost: Cost) -> dict[str, int]:
    """Losses above zero in micro-vCPU by name of term, the largest first."""
    found = {term_name(term): micro for term, micro in cost.terms.items() if micro}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def host_words(host: Host) -> str:
    """What a host has: ``2 nodes, 16 pCPUs, 24 GiB``."""
    total_mib = sum(node.memory_mib for node in host.nodes)
    nodes, threads = plural(len(host.nodes), "node"), plural(host.threads, "pCPU")
    return f"{nodes}, {threads}, {memory(total_mib)}"


def instance_words(instance: Instance) -> str:
    """What an instance asks: hosts and VMs, with their sums."""
    hosts = plural(len(instance.hosts), "host")
    nodes = plural(len(instance.places), "node")
    threads = plural(sum(host.threads for host in instance.hosts), "pCPU")
    have_mib = sum(place.node.memory_mib for place in instance.places)
    vcpus = plural(sum(vm.vcpus for vm in instance.vms), "vCPU")
    want_mib = sum(vm.memory_mib for vm in instance.vms)
    vms = plural(len(instance.vms), "VM")
    have = f"{hosts} ({nodes}, {threads}, {memory(have_mib)})"
    return f"{have}; {vms} ({vcpus}, {memory(want_mib)})"


def cost_words(instance: Instance, cost: Cost, placed: int) -> list[str]:
    """What a plan reaches, in clauses."""
    return [
        f"{placed} of {plural(len(instance.vms), 'VM')} placed",
        f"value {value(cost.value_milli)}",
        f"loss {loss(cost.loss_micro)} vCPUs",
    ]


def broken_words(found: Sequence[Violation]) -> str:
    """How many rules are broken: ``breaks 2 rules``."""
    return f"breaks {plural(len({violation.rule for violation in found}), 'rule')}"


def told_words(told: Provenance, result: Result | None) -> str:
    """How a plan came about, and what of its proof holds."""
    made = f"made by {told.solver} (numaplace {told.version}, seed {told.seed}) at {told.made_at}"
    text = f"{made} in {seconds(told.runtime_s)}"
    return text if result is None else f"{text}: {proof_words(result)}"


def proof_words(result: Result) -> str:
    """How good the plan is known to be, and within what."""
    return _proof(result) + (f", where {result.within}" if result.within else "")


def _proof(result: Result) -> str:
    if result.status is SolveStatus.OPTIMAL:
        return "proven optimal"
    if result.cost is None:
        return str(result.status)
    open_stages = [stage for stage in result.stages if not stage.proven]
    gaps = [f"{stage.stage} gap {gap(stage.gap)}" for stage in open_stages]
    if all(stage.bound is None for stage in open_stages):
        proven = [f"{stage.stage} proven, " for stage in result.stages if stage.proven]
        whose = " of " + ", ".join(stage.stage for stage in open_stages) if proven else ""
        return f"valid, {''.join(proven)}no bound{whose}"
    return "valid, " + ", ".join(gaps)


def unplaced(instance: Instance, result: Result) -> Mapping[str, str]:
    """Why VMs are not placed, by name; all VMs the plan lacks."""
    plan = result.plan
    return {
        vm.name: result.unplaced.get(vm.name, "")
        for vm in instance.vms
        if plan is None or vm.name not in plan
    }


def short_address(address: str) -> str:
    """PCI address without the domain if it is the usual one."""
    return address.removeprefix("0000:")


def stage_value(stage: Stage, number: int) -> str:
    """Objective of a stage in the unit people read."""
    if stage is Stage.VALUE:
        return value(number)
    if stage is Stage.LOSS:
        return loss(number)
    return f"{number / 10:g} %" if stage is Stage.BALANCE else str(number)


def id_ranges(ids: Sequence[int]) -> str:
    """Ascending ids in short: ``0-3,8``."""
    runs: list[list[int]] = []
    for number in ids:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def where_words(placement: Placement) -> str:
    """Host, nodes of the vCPUs, and of the memory if that is elsewhere."""
    text = f"{placement.host}, node {id_ranges(tuple(sorted(placement.nodes)))}"
    held = tuple(sorted(node for node, mib in placement.memory_by_node().items() if mib))
    if held and frozenset(held) != placement.nodes:
        text += f" (memory on {id_ranges(held)})"
    return text
