"""A real Xen in QEMU: fetched and unpacked (nothing is installed), booted, and traced.

On Debian, x86-64: apt install qemu-system-x86 gcc libc6-dev busybox-static cpio. QEMU counts
instructions for time (-icount), so what is measured does not depend on the load of the machine. Its
pCPUs then run in turns, each until the next timer is due: 10 ms and more if all are busy, so that
interrupts would be answered late and dom0 would seem busy for long. A filter's timer, on a network
that nobody uses, ends turns early; what is left of it is simulated too.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent / "xen"
PROGRAMS = ("qemu-system-x86_64", "gcc", "ld", "busybox", "cpio", "gzip", "dpkg", "apt-get", "ldd")
XEN_TOOLS = ("xl", "xenstored", "xenconsoled", "xen-init-dom0", "xentrace")
LIBRARIES = (
    *("call1", "evtchn1", "foreignmemory1", "gnttab1", "store4", "toollog1", "devicemodel1"),
    *("hypfs1", "toolcore1"),
)
# In this order: each needs those before it.
MODULES = (
    *("xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xenfs", "virtio_ring", "virtio"),
    *("virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"),
)
FOLDERS = (
    *("bin", "dev", "etc/xen", "lib", "lib64", "mod", "proc", "run", "sys", "tmp"),
    *("var/lib/xen/dump", "var/lib/xenstored", "var/log/xen"),
)
NODE_MIB, DOM0_MIB = 1536, 768
# The guest runs without a C library, at address 0, in memory that Xen maps for it.
CFLAGS = (
    *("-O2", "-ffreestanding", "-fno-pic", "-fno-pie", "-mcmodel=large", "-mno-red-zone"),
    *("-mno-sse", "-fno-stack-protector", "-fcf-protection=none"),
    "-D__XEN_INTERFACE_VERSION__=0x00040e00",
)
DOM0_VCPUS = 4
SLOT_MIB = 32
"""Room for the trace of a scene."""
BOOT_LIMIT_S, SCENE_LIMIT_S = 1200, 400
"""Seconds of the wall clock that a boot, and each scene, may take."""


@dataclass(frozen=True, slots=True)
class Booted:
    """What a boot left: Xen's version, and of each scene what dom0 said and the trace."""

    version: str
    consoles: tuple[str, ...]
    traces: tuple[bytes, ...]


def missing() -> str | None:
    """Tell what this machine lacks to boot a Xen, None if nothing."""
    lack = [program for program in PROGRAMS if shutil.which(program) is None]
    busybox = shutil.which("busybox")
    if busybox and b"ld-linux" in Path(busybox).read_bytes()[:4096]:
        lack.append("a static busybox")
    if not lack:
        return None
    packages = "qemu-system-x86 gcc libc6-dev busybox-static cpio"
    return f"not found: {', '.join(lack)} (Debian: apt install {packages})"


def prepare(folder: Path) -> None:
    """Fetch Xen with its tools and a kernel, build the guest, lay out dom0; once a folder."""
    if (folder / "ready").exists():
        return
    debs, root, dom0 = folder / "deb", folder / "root", folder / "dom0"
    debs.mkdir(parents=True, exist_ok=True)
    _do(["apt-get", "download", "-q", *_packages()], debs)
    for deb in sorted(debs.glob("*.deb")):
        _do(["dpkg", "-x", str(deb), str(root)])
    (image,) = sorted(root.glob("boot/xen-*-amd64.gz"))
    (folder / "xen").write_bytes(gzip.decompress(image.read_bytes()))
    shutil.copy(next(root.glob("boot/vmlinuz-*")), folder / "vmlinuz")
    for name in FOLDERS:
        (dom0 / name).mkdir(parents=True, exist_ok=True)
    (dom0 / "etc/xen/xl.conf").touch()
    shutil.copy(HERE / "init.sh", dom0 / "init")
    (dom0 / "init").chmod(0o755)
    (dom0 / "modules").write_text("\n".join(MODULES))
    shutil.copy(shutil.which("busybox") or "", dom0 / "bin/busybox")
    (dom0 / "bin/sh").unlink(missing_ok=True)
    (dom0 / "bin/sh").symlink_to("busybox")
    for name in MODULES:
        shutil.copy(next(root.glob(f"**/{name}.ko")), dom0 / "mod")
    tools = [next(root.glob(f"usr/lib/xen-*/bin/{name}")) for name in XEN_TOOLS]
    _copy_programs(tools, root / "usr/lib/x86_64-linux-gnu", dom0)
    _build_guest(root, dom0 / "guest")
    (folder / "ready").touch()


def _packages() -> list[str]:
    names = _said("apt-cache", "search", "--names-only", r"^xen-hypervisor-[0-9.]+-amd64$")
    versions = re.findall(r"xen-hypervisor-([0-9.]+)-amd64", names)
    if not versions:
        raise SystemExit("apt knows no xen-hypervisor: is this an up-to-date Debian on x86-64?")
    version = max(versions, key=lambda text: [int(part) for part in text.split(".")])
    kernel = re.findall(r"Depends: (\S+)", _said("apt-cache", "depends", "linux-image-amd64"))
    libraries = [f"libxen{name}" for name in LIBRARIES]
    xen = [f"xen-hypervisor-{version}-amd64", f"xen-utils-{version}", f"libxenmisc{version}"]
    return [*xen, *libraries, "libxen-dev", "libyajl2", kernel[0]]


def _copy_programs(programs: Sequence[Path], own: Path, dom0: Path) -> None:
    """Copy programs with the libraries they need, of which `own` holds Xen's."""
    libraries = {Path("/lib/x86_64-linux-gnu/libgcc_s.so.1")}  # threads ask for it when they end
    for program in programs:
        shutil.copy(program, dom0 / "bin")
        told = subprocess.run(
            ["ldd", program], env={"LD_LIBRARY_PATH": str(own), "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        libraries.update(Path(found) for found in re.findall(r"(/\S+\.so\S*)", told))
    for library in libraries:
        shutil.copy(library, dom0 / ("lib64" if library.parent.name == "lib64" else "lib"))


def _build_guest(root: Path, to: Path) -> None:
    made = to.with_suffix(".o")
    include = f"-I{root / 'usr/include'}"
    _do(["gcc", *CFLAGS, include, "-c", str(HERE / "guest.c"), "-o", str(made)])
    how = ["-nostdlib", "-static", "-z", "max-page-size=4096", "--no-warn-rwx-segments"]
    _do(["ld", *how, "-T", str(HERE / "guest.ld"), str(made), "-o", str(to)])
    made.unlink()


def boot(
    folder: Path, scheduler: str, turn_us: int, scenes: Sequence[str], told: dict[str, object]
) -> Booted:
    """Boot Xen on 16 pCPUs (2 nodes of 4 cores with 2 threads) and run scenes in turn.

    Parameters
    ----------
    folder
        What `prepare` made.
    scheduler
        "credit" or "credit2".
    turn_us
        Longest turn of a pCPU in QEMU; virtual time costs more, the shorter it is.
    scenes, told
        Scenes, and variables, of `init.sh`.

    Scenes that did not come to their end are missing from what is returned.
    """
    image, initrd, log = folder / "out.img", folder / "dom0.gz", folder / "console.txt"
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(len(scenes) * SLOT_MIB << 20)
    pack = "find . | cpio -o -H newc --quiet | gzip -1"
    with initrd.open("wb") as file:
        subprocess.run(pack, shell=True, cwd=folder / "dom0", stdout=file, check=True)
    told = told | {"SLOT": SLOT_MIB, "SCENES": "+".join(scenes)}
    command = _qemu(folder, scheduler, turn_us, told)
    limit_s = BOOT_LIMIT_S + SCENE_LIMIT_S * len(scenes)
    with log.open("wb") as file, contextlib.suppress(subprocess.TimeoutExpired):
        options = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT}
        subprocess.run(command, timeout=limit_s, check=False, **options)
    console = log.read_text(errors="replace").replace("\r", "")
    up, *consoles = re.split(r"^== scene \d+$", console, flags=re.MULTILINE)
    consoles = [text for text in consoles if "== done" in text]
    if not consoles:
        raise SystemExit(f"no scene came to its end within {limit_s} s: see {log}")
    if len(consoles) < len(scenes):
        print(f"only {len(consoles)} of {len(scenes)} scenes came to their end: see {log}")
    (version,) = re.findall(r"^== up (\S+)", up, re.MULTILINE)
    data, size = image.read_bytes(), SLOT_MIB << 20
    traces = tuple(data[k * size : (k + 1) * size].rstrip(b"\0") for k in range(len(consoles)))
    return Booted(version, tuple(consoles), traces)


def _qemu(folder: Path, scheduler: str, turn_us: int, told: dict[str, object]) -> list[str]:
    numa = [
        word
        for node in range(2)
        for word in (
            *("-object", f"memory-backend-ram,id=m{node},size={NODE_MIB}M"),
            *("-numa", f"node,nodeid={node},cpus={8 * node}-{8 * node + 7},memdev=m{node}"),
        )
    ]
    # No SMAP in the CPU: QEMU before 9.1 takes IRET's stack for the kernel's and dom0 would fault.
    xen = (
        f"console=com1 com1=115200 loglvl=warning dom0_mem={DOM0_MIB}M,max:{DOM0_MIB}M "
        f"dom0_max_vcpus={DOM0_VCPUS} xpti=no spec-ctrl=no smt=1 sched={scheduler}"
    )
    variables = " ".join(f"{name}={value}" for name, value in told.items())
    linux = f"{folder / 'vmlinuz'} console=hvc0 panic=1 quiet {variables}"
    return [
        *("qemu-system-x86_64", "-machine", "q35", "-cpu", "Westmere", "-m", str(2 * NODE_MIB)),
        *("-smp", "16,sockets=2,cores=4,threads=2", "-nographic", "-no-reboot", *numa),
        *("-icount", "shift=2,sleep=off", "-rtc", "clock=vm", "-nic", "none"),
        *("-netdev", "hubport,id=turns,hubid=0"),
        *("-object", f"filter-buffer,id=turn,netdev=turns,interval={turn_us}"),
        *("-drive", f"file={folder / 'out.img'},format=raw,if=virtio"),
        *("-kernel", str(folder / "xen"), "-append", xen),
        *("-initrd", f"{linux},{folder / 'dom0.gz'}"),
    ]


def _do(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} ... failed: {done.stderr.strip()[-400:]}")


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
