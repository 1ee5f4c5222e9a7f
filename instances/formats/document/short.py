"""Where documents say something in another way than models, for those who write by hand.

A node may tell the number of its ``cores`` in place of a list of pCPUs, and ``count`` makes several
equal hosts or VMs of one entry. A cell tells its memory by node, and CPUs as ``0-3,8``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Annotated, Any

from numaplace.instances.formats.document.json_text import Path
from numaplace.instances.ranges import format_ids, parse_ids
from numaplace.models.errors import InputError, check_int, check_unique
from numaplace.models.fields import Bound, Like, Only, Size, Value, fields_of, thing_of, value_of
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Plan
from numaplace.models.relations import Apart, Together
from numaplace.models.result import Provenance, StageResult
from numaplace.models.topology import HOSTS_MAX, PCPUS_MAX, Host, Mib, NumaNode, PCpu
from numaplace.models.vm import VCPUS_MAX, VMS_MAX, Vm, Weight

INSTANCE_FORMAT = "numaplace-instance/1"
PLAN_FORMAT = "numaplace-plan/1"
_MOST = {"hosts": HOSTS_MAX, "vms": VMS_MAX}

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cores:
    """Cores of a node by number; they, and their pCPUs, are numbered along the host's nodes."""

    cores: Annotated[
        int | None,
        Bound(1, PCPUS_MAX),
        "Physical cores, in place of `pcpus`. pCPUs and cores are numbered from 0 in the order of "
        "the host's nodes, the threads of a core one after the other.",
    ] = None
    threads_per_core: Annotated[int, Bound(1, 8), "Goes with `cores`."] = 1
    cores_per_llc: Annotated[
        int | None,
        Bound(1, PCPUS_MAX),
        "Goes with `cores`: cores that share a last-level cache; left out: unknown.",
    ] = None

    def pcpus(self, socket: int, first_pcpu: int, first_core: int) -> tuple[PCpu, ...]:
        """Return the pCPUs; caches are numbered by their first core: unique on the host."""
        threads, shared = self.threads_per_core, self.cores_per_llc
        return tuple(
            PCpu(
                id=first_pcpu + core * threads + thread,
                core=first_core + core,
                socket=socket,
                llc=first_core + core - core % shared if shared else None,
            )
            for core in range(self.cores or 0)
            for thread in range(threads)
        )


@dataclass(frozen=True, slots=True)
class _Counted:
    """A node whose pCPUs get their numbers on its host, or a host or VM that stands for several."""

    item: Any
    count: int = 1
    cores: Cores = Cores()
    socket: int = 0


def raw_thing(model: Any, values: Values) -> str:
    """Return what errors call a model that is not made yet."""
    return str(model.THING.format(SimpleNamespace(**values)))


def make(model: Any, values: Values) -> Any:
    """Make a model of its values as a document tells them, lists not yet sets."""
    for name, value in fields_of(model).items():
        given = values.get(name)
        if given is not None and value.kind is frozenset:
            check_unique(raw_thing(model, values), name, given)
            values[name] = frozenset(given)
        elif given is not None and (model, name) in TOLD:
            values[name] = TOLD[model, name].read(given)
    return _MAKE[model](values) if model in _MAKE else model(**values)


def _node(values: Values) -> NumaNode | _Counted:
    told = {name: values.pop(name, None) for name in fields_of(Cores)}
    given = {name: each for name, each in told.items() if each is not None}
    if "cores" not in given:
        for name in given:
            raise InputError(raw_thing(NumaNode, values), name, "goes only with cores")
        return NumaNode(**values)
    if values.get("pcpus"):
        reason = "goes not with a list of pcpus: give one of both"
        raise InputError(raw_thing(NumaNode, values), "cores", reason)
    socket = values.pop("socket", None) or 0
    return _Counted(NumaNode(**values), cores=Cores(**given), socket=socket)


def _host(values: Values) -> Any:
    nodes = list(values["nodes"])
    listed = [pcpu for node in nodes if isinstance(node, NumaNode) for pcpu in node.pcpus]
    first_pcpu = max((pcpu.id for pcpu in listed), default=-1) + 1
    first_core = max((pcpu.core for pcpu in listed), default=-1) + 1
    total = len(listed)
    for index, node in enumerate(nodes):
        if isinstance(node, _Counted):
            cores = node.cores.cores or 0
            threads = cores * node.cores.threads_per_core
            total += threads
            check_int(raw_thing(Host, values), "number of pCPUs", total, 0, PCPUS_MAX)
            pcpus = node.cores.pcpus(node.socket, first_pcpu, first_core)
            nodes[index] = replace(node.item, pcpus=pcpus)
            first_pcpu, first_core = first_pcpu + threads, first_core + cores
    return _several(Host, values | {"nodes": tuple(nodes)})


def _several(model: Any, values: Values) -> Any:
    count = values.pop("count", None)
    item = model(**values)
    if count is None:
        return item
    replace(item, name=f"{item.name}{count}")  # the longest name is refused here, with its line
    return _Counted(item, count)


def _group(model: Any, values: Values) -> Any:
    weight = values.pop("weight", None)
    group = model(**values)
    return group if weight is None else group.softened(weight)


def _plan(values: Values) -> Plan:
    return Plan(**{name: values[name] for name in fields_of(Plan) if name in values})


def _stage(values: Values) -> StageResult:
    return StageResult(values["stage"], values["objective"], values.get("bound"))


def _instance(values: Values) -> Instance:
    for key, most in _MOST.items():
        counts = [item.count for item in values.get(key, ()) if isinstance(item, _Counted)]
        total = len(values.get(key, ())) + sum(counts) - len(counts)
        check_int("instance", f"number of {key}", total, 0, most)
    made = {key: tuple(item for _, item in _one_by_one(values.get(key, ()))) for key in _MOST}
    for key, pairs in (("togethers", "cooperations"), ("aparts", "competitions")):
        groups = values.get(key, ())
        wishes = (pair for group in groups if isinstance(group, tuple) for pair in group)
        made[pairs] = (*values.get(pairs, ()), *wishes)
        made[key] = tuple(group for group in groups if not isinstance(group, tuple))
    instance = Instance(**(values | made))
    instance.check_scopes()
    return instance


def _one_by_one(items: tuple[Any, ...]) -> Iterator[tuple[int, Any]]:
    """Yield each host, VM or relation with the index of its entry."""
    for index, item in enumerate(items):
        if isinstance(item, tuple):  # pairs of a group with a weight
            yield from ((index, pair) for pair in item)
        elif isinstance(item, _Counted):
            for number in range(1, item.count + 1):
                yield index, replace(item.item, name=f"{item.item.name}{number}")
        else:
            yield index, item


def place_of(values: Values, error: InputError) -> Path:
    """Return the path of the element of an instance that a fault is about."""
    if error.thing == "instance":
        key = error.field.removeprefix("number of ")
        seen = set[str]()
        for number, (index, item) in enumerate(_one_by_one(values[key] if key in _MOST else ())):
            if item.name in seen or number == _MOST[key]:
                return (key, index)
            seen.add(item.name)
        return (key,) if key in _MOST else ()
    things: dict[str, Path] = {"prices": ("prices",)}
    for key, items in values.items():
        for index, item in _one_by_one(items) if isinstance(items, tuple) else ():
            things.setdefault(thing_of(item), (key, index))
    for name in values["current"].placements if values.get("current") else ():
        things[f"current plan, VM {name!r}"] = ("current", "placements", name)
    return things.get(error.thing, ())


_MAKE: dict[Any, Callable[[Values], Any]] = {
    NumaNode: _node,
    Host: _host,
    Vm: lambda values: _several(Vm, values),
    Together: lambda values: _group(Together, values),
    Apart: lambda values: _group(Apart, values),
    Plan: _plan,
    StageResult: _stage,
    Instance: _instance,
}


def _count(most: int, what: str) -> Value:
    text = f"Several equal {what}, called name1, name2 and so on."
    return Value(int, text, optional=True, bound=Bound(1, most), default=None)


def _wish(what: str) -> Value:
    text = f"Makes it a wish: a {what} of this weight and scope for each pair."
    return replace(value_of(Weight), text=text, optional=True, default=None)


_VERSION = Value(str, "Version.", optional=True, only=Only((PLAN_FORMAT,)), default=None)
_TOLD = Value(Provenance, "How it came about.", optional=True, default=None)
_GAP = Value(float, "For people; worked out anew.", optional=True, bound=Bound(0, 1), default=None)
_EXTRA: dict[Any, dict[str, Value]] = {
    NumaNode: fields_of(Cores),
    Host: {"count": _count(HOSTS_MAX, "hosts")},
    Vm: {"count": _count(VMS_MAX, "VMs")},
    Together: {"weight": _wish("cooperation")},
    Apart: {"weight": _wish("competition")},
    Plan: {"format": _VERSION, "provenance": _TOLD},
    StageResult: {"bound": replace(fields_of(StageResult)["bound"], default=None), "gap": _GAP},
}
"""Fields that only documents have."""


@dataclass(frozen=True, slots=True)
class Told:
    """What stands in a document for a field, and the way there and back."""

    hint: Any
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


_NodeKey = Annotated[str, Like("0|[1-9][0-9]{0,6}", "the id of a node")]
TOLD: dict[tuple[Any, str], Told] = {
    (PlacedCell, "memory_mib"): Told(
        Mapping[_NodeKey, Mib],
        lambda by_node: tuple(sorted((int(node), mib) for node, mib in by_node.items())),
        lambda pairs: {str(node): mib for node, mib in pairs},
    ),
    (PlacedCell, "vcpu_sets"): Told(
        Annotated[tuple[str, ...], Size(0, VCPUS_MAX)],
        lambda texts: tuple(map(_cpu_set, texts)),
        lambda sets: [format_ids(each) for each in sets],
    ),
}


def _cpu_set(text: str) -> frozenset[int]:
    return parse_ids(text, thing=PlacedCell.THING, field="vcpu_sets", exclusions=False)


@cache
def document_fields(model: Any) -> dict[str, Value]:
    """Return what a model's fields are in a document, and those that only documents have."""
    found = {}
    for name, value in fields_of(model).items():
        told = TOLD.get((model, name))
        if told is not None:
            default = told.write(value.default)
            value = replace(value_of(told.hint), text=value.text, default=default)
        found[name] = value
    return found | _EXTRA.get(model, {})
