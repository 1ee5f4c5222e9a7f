"""Every malformed file of a host format is refused with one clear line, and nothing crashes."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from numaplace.instances.formats.hwloc import xml as hwloc_xml
from numaplace.instances.formats.libvirt import capabilities as libvirt_capabilities
from numaplace.instances.formats.linux import lscpu, numactl, sysfs
from numaplace.instances.formats.xen import xl_info
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


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (
            "lscpu",
            "CPU NODE\n" + "".join(f"{n} {n}\n" for n in range(16_000)),
            "number of nodes: 16000 is above 1024",
        ),
        (
            "lscpu",
            "".join(f"NUMA node{n} CPU(s): 0-65535\n" for n in range(3_000)),
            "NUMA node1 CPU(s): names more than 65536 CPUs",
        ),
        (
            "numactl",
            "".join(f"node {n} cpus: 0-16000\n" for n in range(3_000)),
            "node 1: cpus: are more than 16384",
        ),
        (
            "libvirt_capabilities",
            "<capabilities><host><topology><cells>"
            + "".join(f"<cell id='{n}'><cpus><cpu id='{n}'/></cpus></cell>" for n in range(2_000))
            + "</cells></topology></host></capabilities>",
            "number of nodes: 2000 is above 1024",
        ),
        (
            "libvirt_capabilities",
            "<capabilities><host><cache>"
            + "<bank id='0' level='3' cpus='0-65535'/>" * 3_000
            + "</cache><topology><cells><cell id='0'/></cells></topology></host></capabilities>",
            "cpus: are more than 65536",
        ),
    ],
)
def test_numbers_are_bounded(kind: str, text: str, words: str, tmp_path: Path) -> None:
    """What would take minutes is refused in a moment."""
    path = tmp_path / "many"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(words)):
        READERS[kind](path)
