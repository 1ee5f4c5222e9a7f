"""The way in from Python: build or read an instance, solve it, look at the plan.

All of it is exported by `numaplace` itself; solvers and drawing are imported when they are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numaplace.instances.shapes import HostShape, make_host
from numaplace.models.errors import InputError, check_int
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.relations import (
    Apart,
    Competition,
    Cooperation,
    Scope,
    SharingGroup,
    Together,
)
from numaplace.models.topology import NODES_MAX, Host, Matrix
from numaplace.models.vm import Vm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from numaplace.models.result import Result


def read(source: str | Path) -> Instance:
    """Return an instance of a JSON or YAML file, or of the catalogue.

    Raises
    ------
    InputError
        If there is none of that name, or the file is faulty.
    """
    from numaplace.instances.lookup import find_instance

    return find_instance(str(source))


def solve(
    instance: Instance, solver: str = "auto", *, time_limit_s: float = 60.0, **params: Any
) -> Result:
    """Plan an instance.

    Parameters
    ----------
    instance
        Hosts, VMs and relations.
    solver
        ``auto`` takes ``patterns`` for fleets and ``cpsat`` else; these and ``milp`` prove how
        good their plan is; ``greedy``, ``first_fit``,
        ``best_fit``, ``xen_4_2``, ``xen`` and ``nova`` decide one VM at a time.
    time_limit_s
        Seconds it may take.
    params
        Other fields of `solver.params.SolveParams`, such as workers, seed or hint.

    Raises
    ------
    InputError
        If there is no solver of that name, or a parameter is impossible.
    """
    from numaplace.solver.params import SolveParams
    from numaplace.solver.registry import solve as run

    return run(instance, solver, SolveParams(time_limit_s=time_limit_s, **params))


def plot(plan: Plan, instance: Instance, ax: Axes | None = None) -> Axes:
    """Draw a plan; needs matplotlib.

    Parameters
    ----------
    plan, instance
        What to draw.
    ax
        Axes to draw on, as an image; a figure of its own, to be saved in any format, if None.

    Examples
    --------
    >>> plot(plan, instance).figure.savefig("plan.svg")  # doctest: +SKIP
    """
    from numaplace.report.figures.figure_file import figure_bytes
    from numaplace.report.figures.picture_figure import figure_of
    from numaplace.report.picture.drawing import plan_drawing

    figure = figure_of(plan_drawing(plan, instance))
    if ax is None:
        return figure.axes[0]
    from io import BytesIO

    from matplotlib.image import imread

    ax.imshow(imread(BytesIO(figure_bytes(figure, "png"))))
    ax.set_axis_off()
    return ax


class Model:
    """An instance that is put together step by step.

    Parameters
    ----------
    name
        For people.
    settings
        Other fields of `models.instance.Instance`: prices, between, current, comment.

    Attributes
    ----------
    hosts, vms, cooperations, competitions, togethers, aparts, sharing
        Lists of what was added; what was made elsewhere may be appended.

    Examples
    --------
    >>> model = Model()
    >>> host = model.add_host(nodes=2, cores=4, memory_mib=8192)
    >>> for number in range(3):
    ...     vm = model.add_vm(f"vm{number}", vcpus=2, memory_mib=4096)
    >>> model.cooperate("vm0", "vm1", 0.5)
    >>> result = model.solve(time_limit_s=10)
    >>> result.status.value, result.cost.loss_micro
    ('optimal', 0)
    """

    def __init__(self, name: str = "", **settings: Any) -> None:
        self.name = name
        self.settings = settings
        self.hosts: list[Host] = []
        self.vms: list[Vm] = []
        self.cooperations: list[Cooperation] = []
        self.competitions: list[Competition] = []
        self.togethers: list[Together] = []
        self.aparts: list[Apart] = []
        self.sharing: list[SharingGroup] = []

    def add_host(
        self,
        name: str = "",
        *,
        nodes: int = 1,
        cores: int = 8,
        memory_mib: int = 32768,
        sockets: int = 0,
        distances: Matrix = (),
        labels: Mapping[str, str] | None = None,
        **shape: Any,
    ) -> Host:
        """Add a host whose nodes are equal.

        Parameters
        ----------
        name
            ``host`` and its number unless given.
        nodes, sockets
            Nodes, and sockets that hold equally many of them; one for each node if 0.
        cores, memory_mib
            Of each node.
        distances
            As in `models.topology.Host`; 10, 12 within a socket and 21 elsewhere unless given.
        labels
            As in `models.topology.Host`: ``{"rack": "r1"}``.
        shape
            Other fields of `instances.shapes.HostShape`, such as threads_per_core, reserved_mib,
            vcpu_overcommit, gpus or memory_only_nodes.
        """
        check_int("host", "nodes", nodes, 1, NODES_MAX)
        each, rest = divmod(nodes, sockets or nodes)
        if rest:
            raise InputError("host", "sockets", f"{sockets} do not hold equally many of {nodes}")
        counts = HostShape(
            sockets=sockets or nodes,
            nodes_per_socket=each,
            cores_per_node=cores,
            node_mib=memory_mib,
            **shape,
        )
        host = make_host(counts, name or f"host{len(self.hosts)}")
        found = replace(host, distances=distances or host.distances, labels=dict(labels or {}))
        self.hosts.append(found)
        return self.hosts[-1]

    def add_vm(self, name: str, vcpus: int, memory_mib: int, **fields: Any) -> Vm:
        """Add a VM; `fields` are others of `models.vm.Vm`."""
        self.vms.append(Vm(name, vcpus, memory_mib, **fields))
        return self.vms[-1]

    def cooperate(self, first: str, second: str, weight: float, scope: str | None = None) -> None:
        """Let two VMs talk: `weight` vCPUs are lost per unit of relative distance beyond local.

        With a scope (host, a label) they are lost unless both share one, whatever the distance.
        """
        self.cooperations.append(Cooperation(first, second, weight, scope))

    def compete(self, first: str, second: str, weight: float, scope: str = Scope.NODE) -> None:
        """Let two VMs disturb each other: `weight` vCPUs are lost where they meet in the scope."""
        self.competitions.append(Competition(first, second, weight, scope))

    def together(self, *vms: str, scope: str = Scope.NODE, weight: float | None = None) -> None:
        """Let VMs use the very same nodes, or host, or hosts with one value of a label.

        With a weight it is a wish: `models.relations.Together.softened`.
        """
        group = Together(vms, scope)
        if weight is None:
            self.togethers.append(group)
        else:
            self.cooperations += group.softened(weight)

    def apart(
        self,
        *vms: str,
        scope: str = Scope.NODE,
        domains: Iterable[Iterable[str]] = (),
        weight: float | None = None,
    ) -> None:
        """Let no two of the VMs use one node, host or label at the same time.

        VMs of one of `domains` may all the same, as in `models.relations.Apart`. With a weight it
        is a wish: each pair that meets loses it.
        """
        group = Apart(vms, scope, tuple(map(tuple, domains)))
        if weight is None:
            self.aparts.append(group)
        else:
            self.competitions += group.softened(weight)

    def share(self, *vms: str, name: str, shared_mib: int, across_nodes: bool = False) -> None:
        """Let VMs have equal pages, kept once a node, or once for several nodes of a host."""
        self.sharing.append(SharingGroup(name, vms, shared_mib, across_nodes))

    @property
    def instance(self) -> Instance:
        """The instance as it stands; `InputError` if it makes no sense."""
        instance = Instance(
            tuple(self.hosts),
            tuple(self.vms),
            tuple(self.cooperations),
            tuple(self.competitions),
            tuple(self.togethers),
            tuple(self.aparts),
            tuple(self.sharing),
            name=self.name,
            **self.settings,
        )
        instance.check_scopes()
        return instance

    def solve(self, solver: str = "auto", *, time_limit_s: float = 60.0, **params: Any) -> Result:
        """Plan it; as the function `solve`."""
        return solve(self.instance, solver, time_limit_s=time_limit_s, **params)
