"""Folders and patterns stand for files."""

from __future__ import annotations

from pathlib import Path

import pytest

from numaplace.instances.import_source import ImportSource, parse_source, source_files, vm_sources
from numaplace.instances.importer import import_instance
from numaplace.models.errors import InputError
from numaplace.tests.instances.test_importer import NUMACTL

CONF = "cores: 1\nmemory: 512\nname: {}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three configurations, a text, a hidden file, a backup and a folder in a folder."""
    there = tmp_path / "qemu-server"
    (there / "deeper").mkdir(parents=True)
    for name in ("9.conf", "10.conf", "106.conf", ".11.conf", "12.conf~", "deeper/13.conf"):
        (there / name).write_text(CONF.format(f"vm{Path(name).stem.strip('.')}"))
    (there / "README").write_text("Configurations of VMs.\n")
    return there


def names(path: Path) -> list[str]:
    return [file.name for file in source_files(path).item]


def test_a_file_stands_for_itself(folder: Path) -> None:
    """Also if it does not exist, or is standard input: whoever reads it says so."""
    for path in (folder / "9.conf", folder / "none.conf", Path("-")):
        assert source_files(path).item == (path,)
    odd = folder / "a[1].conf"
    odd.write_text("")
    assert source_files(odd).item == (odd,)


def test_a_folder_stands_for_its_files_and_a_pattern_for_its_matches(folder: Path) -> None:
    """9 comes before 10; ``**`` goes deeper; what is not wanted is told, once."""
    assert names(folder) == ["9.conf", "10.conf", "106.conf", "README"]
    assert names(folder / "1*.conf") == ["10.conf", "106.conf"]
    assert names(folder / "**/*.conf") == ["9.conf", "10.conf", "106.conf", "13.conf"]
    reading = source_files(folder, lambda path: path.suffix == ".conf")
    assert [path.name for path in reading.item] == ["9.conf", "10.conf", "106.conf"]
    assert reading.notes == (f"{folder}: passed over, of no known format: README",)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", "is a folder without a file to read"),
        ("*.xml", "no file matches this pattern"),
        ("\0*", "no file matches this pattern"),
    ],
)
def test_nothing_found(tmp_path: Path, name: str, reason: str) -> None:
    """An error that names the folder or the pattern."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        source_files(tmp_path / name)
    assert reason in str(caught.value)


def test_importing_folders_and_patterns(folder: Path) -> None:
    """Formats are told file by file, copies go with patterns too."""
    (folder / "x.xml").write_text(
        "<domain><name>x</name><memory>524288</memory></domain>", encoding="utf-8"
    )
    host = folder.parent / "host.txt"
    host.write_text(NUMACTL)
    reading = import_instance([ImportSource(host)], [ImportSource(folder)])
    assert [vm.name for vm in reading.item.vms] == ["vm9", "vm10", "vm106", "x"]
    assert any("README" in note for note in reading.notes)
    sources = vm_sources([f"{folder}/1*.conf*2", f"proxmox:{folder}/9*"])
    vms = import_instance([ImportSource(host)], sources).item.vms
    assert [vm.name for vm in vms] == ["vm101", "vm102", "vm1061", "vm1062", "vm9"]


def test_a_star_and_a_number(tmp_path: Path) -> None:
    """``vm*3`` takes vm three times if there is a vm, else it is a pattern if that matches."""
    text = str(tmp_path / "vm*3")
    assert parse_source(text) == ImportSource(tmp_path / "vm", 3)
    (tmp_path / "vm13").write_text("")
    assert parse_source(text) == ImportSource(Path(text))
    (tmp_path / "vm").write_text("")
    assert parse_source(text) == ImportSource(tmp_path / "vm", 3)
