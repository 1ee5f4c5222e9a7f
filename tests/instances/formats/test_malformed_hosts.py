"""Every malformed file of a host format is refused with one clear line, and nothing crashes."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from numaplace.instances.formats import (
    hwloc_xml,
    libvirt_capabilities,
    lscpu,
    numactl,
    sysfs,
    xl_info,
)
from numaplace.instances.reading import Reading
from numaplace.models.errors import InputError
from numaplace.models.topology import Host

DATA = Path(__file__).parents[2] / "data"
READERS: dict[str, Callable[[Path], Reading[Host]]] = {
    "hwloc_xml": hwloc_xml.read_host,
    "libvirt_capabilities": libvirt_capabilities.read_host,
    "lscpu": lscpu.read_host,
    "numactl": numactl.read_host,
    "sysfs": sysfs.read_host,
    "xl_info": xl_info.read_host,
}
GOOD = {
    "hwloc-v1.xml": hwloc_xml.read_host,
    "hwloc-v2.xml": hwloc_xml.read_host,
    "libvirt-hmat.xml": libvirt_capabilities.read_host,
    "lscpu-nested.json": lscpu.read_host,
    "lscpu-table.json": lscpu.read_host,
    "numactl-gaps.txt": numactl.read_host,
    "xl-info.txt": xl_info.read_host,
}


def _expected(kind: str) -> dict[str, list[str]]:
    text = (DATA / "malformed" / kind / "expected.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def _cases() -> list[tuple[str, str, list[str]]]:
    return [(kind, name, words) for kind in READERS for name, words in _expected(kind).items()]


@pytest.mark.parametrize(("kind", "name", "words"), _cases())
def test_malformed_host_is_refused(kind: str, name: str, words: list[str]) -> None:
    """The reader raises one line that names the file, the place or element, and the reason."""
    with pytest.raises(InputError) as caught:
        READERS[kind](DATA / "malformed" / kind / name)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    assert [word for word in [name, *words] if word not in message] == []


@pytest.mark.parametrize("kind", READERS)
def test_every_malformed_host_has_an_expectation(kind: str) -> None:
    """No malformed file lies there unread."""
    files = {path.name for path in (DATA / "malformed" / kind).iterdir()} - {"expected.json"}
    assert files == set(_expected(kind))
    assert len(files) >= 19


@pytest.mark.parametrize("name", GOOD)
def test_damaged_host_is_read_or_refused(name: str, tmp_path: Path) -> None:
    """However a good file is damaged, the reader answers with a host or with one clear line."""
    good = (DATA / "hosts" / name).read_bytes()
    generator = random.Random(name)
    path = tmp_path / name
    refused = 0
    for _ in range(150):
        data = bytearray(good)
        for _ in range(generator.randint(1, 4)):
            at = generator.randrange(len(data))
            match generator.randrange(4):
                case 0:
                    data[at] = generator.randrange(256)
                case 1:
                    del data[at : at + generator.randint(1, 30)]
                case 2:
                    data[at:at] = data[at : at + generator.randint(1, 60)]
                case _:
                    data[at : at + 1] = generator.choice([b"-1", b"99999999999", b'"', b"<", b"9"])
        path.write_bytes(data)
        try:
            assert GOOD[name](path).item.nodes
        except InputError as error:
            assert "\n" not in str(error) and path.name in str(error)
            refused += 1
    assert refused > 0
