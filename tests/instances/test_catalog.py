"""The shipped instances are readable, valid, and what their index says of them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from numaplace.instances import catalog
from numaplace.instances.catalog import list_catalog, load_catalog
from numaplace.instances.formats.document.io import instance_to_dict
from numaplace.instances.formats.document.json_text import dump_json
from numaplace.instances.formats.document.schema import json_schema
from numaplace.models.cost import evaluate
from numaplace.models.errors import InputError
from numaplace.models.instance import Between
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.units import PageSize
from numaplace.models.verify import violations
from numaplace.models.vm import CpuPolicy, DevicePolicy, GuestNuma, ThreadPolicy

FOLDER = Path(catalog.__file__).parent / "data" / "catalog"
NAMES = [entry.name for entry in list_catalog()]


def test_index_and_folder_agree() -> None:
    """Each entry has its file, each file its entry, and names are unique."""
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.json" for name in NAMES}
    assert len(set(NAMES)) == len(NAMES)
    assert all(entry.description and len(entry.description) <= 100 for entry in list_catalog())


@pytest.mark.parametrize("name", NAMES)
def test_file_is_as_the_writer_writes_it(name: str) -> None:
    """Reading and writing an instance gives the very same file, which obeys the schema."""
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    instance = load_catalog(name)
    assert instance.name == name and instance.comment
    assert dump_json(instance_to_dict(instance)) == text
    jsonschema.Draft202012Validator(json_schema("instance")).validate(json.loads(text))
    assert len(text) < 4000


def test_unknown_name_is_refused() -> None:
    """The error tells which names there are."""
    with pytest.raises(InputError, match="'talk-3' is not there, only talk-2, talk-4"):
        load_catalog("talk-3")


@pytest.mark.parametrize("count", [2, 4, 6, 8, 10])
def test_talk_instances_have_the_loss_stated(count: int) -> None:
    """Half the VMs on each node, all local, is a valid plan with the loss worked out by hand."""
    entry = next(entry for entry in list_catalog() if entry.name == f"talk-{count}")
    instance = load_catalog(entry.name)
    cells = [PlacedCell(node, 2, ((node, 960),)) for node in (0, 1)]
    placements = {
        vm.name: Placement("e5620", (cells[index % 2],)) for index, vm in enumerate(instance.vms)
    }
    plan = Plan(placements)
    assert len(plan) == count and violations(instance, plan) == []
    cost = evaluate(instance, plan)
    assert (cost.value_milli, cost.loss_micro) == (entry.known_value_milli, entry.known_loss_micro)


def test_talk_memory_intensity_matches_the_measurement() -> None:
    """A VM with half its memory remote loses about what SPECjbb2005 lost unpinned: 13.0 %."""
    instance = load_catalog("talk-2")
    halves = PlacedCell(0, 2, ((0, 480), (1, 480)))
    loss = evaluate(instance, Plan({"vm1": Placement("e5620", (halves,))})).loss_vcpus
    assert loss / 2 == pytest.approx(1 - 43150.63 / 49591.06, abs=0.005)


def test_catalogue_shows_every_kind_of_feature() -> None:
    """Between them the instances use devices, CXL, guest NUMA, sharing, ballooning and more."""
    instances = [load_catalog(name) for name in NAMES]
    vms = [vm for instance in instances for vm in instance.vms]
    nodes = [node for instance in instances for host in instance.hosts for node in host.nodes]
    assert {request.policy for vm in vms for request in vm.devices} == set(DevicePolicy)
    assert {vm.guest_numa for vm in vms} == set(GuestNuma)
    assert {vm.page_size for vm in vms} == set(PageSize)
    dedicated = {vm.thread_policy for vm in vms if vm.cpu_policy is CpuPolicy.DEDICATED}
    assert dedicated == set(ThreadPolicy)
    assert any(node.memory_mib and not node.pcpus for node in nodes)
    assert any(vm.balloon_mib for vm in vms) and any(vm.start is not None for vm in vms)
    assert {group.across_nodes for i in instances for group in i.sharing} == {True, False}
    assert {i.between for i in instances} >= {Between.NOTHING, Between.FEWEST_HOSTS}
    for field in ("cooperations", "competitions", "togethers", "aparts", "current"):
        assert any(getattr(instance, field) for instance in instances), field
    assert max(len(instance.hosts) for instance in instances) == 4
