"""The façade: what `import numaplace` gives, and what it costs."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import numaplace
from numaplace import api
from numaplace.models.errors import InputError
from numaplace.models.instance import Between
from numaplace.models.result import SolveStatus
from numaplace.models.topology import SLIT_LOCAL
from numaplace.models.verify import violations
from numaplace.tests.cli.conftest import document


def _small() -> numaplace.Model:
    model = numaplace.Model("small")
    model.add_host("a", nodes=2, cores=4, memory_mib=8192, threads_per_core=2)
    model.add_vm("db", vcpus=8, memory_mib=4096)
    model.add_vm("web", vcpus=2, memory_mib=1024)
    return model


def test_all_that_is_exported() -> None:
    assert set(numaplace.__all__) <= set(dir(numaplace))
    for name in numaplace.__all__:
        assert getattr(numaplace, name) is getattr(api, name)
    with pytest.raises(AttributeError, match="no attribute 'model'"):
        _ = numaplace.model


@pytest.mark.parametrize("module", [numaplace, api])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_importing_costs_no_solver() -> None:
    code = (
        "import numaplace, sys; numaplace.Model().add_host(nodes=2); "
        "print(*{m.partition('.')[0] for m in sys.modules} & {'ortools','pulp','highspy','numpy'},"
        "*(m for m in sys.modules if m.startswith(('numaplace.solver', 'numaplace.report'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_what_is_built_is_solved() -> None:
    model = _small()
    model.cooperate("db", "web", 0.5)
    result = model.solve(time_limit_s=20, workers=1, seed=3)
    assert result.status is SolveStatus.OPTIMAL and result.plan is not None
    assert violations(model.instance, result.plan) == []
    first, *more = result.summary().splitlines()
    assert first == str(result) and "optimal, 2 VMs" in first
    assert any("lost by cooperation: 0.55" in line for line in more)
    assert api.solve(model.instance, "greedy").cost == result.cost


def test_relations_and_settings_are_kept() -> None:
    model = _small()
    model.settings["between"] = Between.FEWEST_HOSTS
    model.add_vm("log", 1, 512, soft_nodes=frozenset({1}))
    model.compete("db", "log", 0.25, scope="host")
    model.together("web", "log", scope="host")
    model.apart("db", "web")
    model.share("web", "log", name="image", shared_mib=256)
    instance = model.instance
    assert (instance.name, instance.between) == ("small", Between.FEWEST_HOSTS)
    assert instance.competitions[0].scope == instance.togethers[0].scope == "host"
    assert instance.aparts[0].vms == ("db", "web") and instance.sharing[0].shared_mib == 256
    assert instance.vm("log").soft_nodes == {1}


def test_hosts_from_counts() -> None:
    model = numaplace.Model()
    host = model.add_host(nodes=4, sockets=2, cores=2, memory_mib=1024, threads_per_core=2)
    assert (host.name, len(host.nodes), model.hosts) == ("host0", 4, [host])
    assert [node.pcpus[0].socket for node in host.nodes] == [0, 0, 1, 1]
    assert all(len(node.pcpus) == 4 and node.memory_mib == 1024 for node in host.nodes)
    assert host.distances[0] == (SLIT_LOCAL, 12, 21, 21)
    far = model.add_host(nodes=2, distances=((10, 31), (31, 10)))
    assert (far.name, far.distances[0][1]) == ("host1", 31)
    with pytest.raises(InputError, match="2 do not hold equally many of 3"):
        model.add_host(nodes=3, sockets=2)
    with pytest.raises(InputError, match="cores_per_node"):
        model.add_host(cores=0)
    with pytest.raises(InputError, match="nodes"):
        model.add_host(nodes=0)


def test_what_makes_no_sense_is_told() -> None:
    model = _small()
    model.cooperate("db", "nobody", 1.0)
    with pytest.raises(InputError, match="nobody"):
        _ = model.instance
    model = _small()
    model.apart("db", "web", scope="rack")
    with pytest.raises(InputError, match="no host has a label 'rack'"):
        _ = model.instance
    with pytest.raises(InputError, match="is unknown"):
        api.solve(_small().instance, "magic")


def test_a_summary_names_what_is_left_out() -> None:
    model = _small()
    for number in range(14):
        model.add_vm(f"giant{number}", 4, 1 << 20)
    lines = model.solve("greedy").summary().splitlines()
    assert sum("not placed: giant" in line for line in lines) == 10
    assert "  and 4 more are not placed" in lines


def test_read(tmp_path: Path) -> None:
    import json

    path = tmp_path / "rack.json"
    path.write_text(json.dumps(document()), encoding="utf-8")
    assert len(numaplace.read(path).vms) == 3
    assert numaplace.read("talk-2").name == "talk-2"
    with pytest.raises(InputError):
        numaplace.read("no-such-name")


def test_plot(tmp_path: Path) -> None:
    figures = pytest.importorskip("matplotlib.figure", reason="a picture needs matplotlib")
    instance = numaplace.read("talk-2")
    plan = numaplace.solve(instance, "greedy").plan
    assert plan is not None
    own = numaplace.plot(plan, instance)
    own.figure.savefig(tmp_path / "plan.svg")
    assert b"<svg" in (tmp_path / "plan.svg").read_bytes()
    axes = figures.Figure().subplots(1, 2)
    assert numaplace.plot(plan, instance, ax=axes[1]) is axes[1]
    assert len(axes[1].images) == 1 and not axes[0].images
