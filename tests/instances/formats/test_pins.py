"""Pins to pCPUs as nodes of a host."""

from __future__ import annotations

import pytest

from numaplace.instances.formats.guest import resolve_pins
from numaplace.models.errors import InputError
from numaplace.models.vm import Vm
from numaplace.tests.instances.formats.vm_files import small_host

VM = Vm("a", 2, 512)


def test_whole_nodes_need_no_note() -> None:
    """Pins that cover nodes wholly become these nodes, hard and soft ones apart."""
    notes: list[str] = []
    vm = resolve_pins(VM, frozenset(range(8)), small_host(), notes)
    vm = resolve_pins(vm, frozenset(range(4, 8)), small_host(), notes, "soft_nodes")
    assert (vm.hard_nodes, vm.soft_nodes) == ({0, 1}, {1})
    assert notes == []


def test_a_part_of_a_node_is_noted() -> None:
    """The node counts as a whole, and a note says so."""
    notes: list[str] = []
    vm = resolve_pins(VM, frozenset({0, 1, 2, 3, 5}), small_host(), notes)
    assert vm.hard_nodes == {0, 1}
    assert len(notes) == 1
    assert "only a part of node(s) 1;" in notes[0]


def test_the_whole_host_restricts_nothing() -> None:
    """Pins to every pCPU are none; pCPUs the host lacks are noted."""
    notes: list[str] = []
    assert resolve_pins(VM, frozenset(range(20)), small_host(), notes).hard_nodes is None
    assert notes == ["pCPUs 16-19 it is pinned to are not on host 'small'"]


def test_pins_to_another_host() -> None:
    """A host with none of the pCPUs cannot be meant."""
    with pytest.raises(InputError, match="hard_nodes: host 'small' has none of the pCPUs 64-65"):
        resolve_pins(VM, frozenset({64, 65}), small_host(), [])


def test_without_a_host_and_without_pins() -> None:
    """Pins are left out if no host is known, as the importer tells; so is what is not said."""
    notes: list[str] = []
    assert resolve_pins(VM, frozenset({3}), None, notes, "soft_nodes") == VM
    assert resolve_pins(VM, None, None, notes) == VM
    assert notes == []
