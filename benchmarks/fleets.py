"""Measure whole fleets; print Markdown for docs/fleets.md.

``python benchmarks/fleets.py DATA [--only WORD ...] [--rows FILE] [--peers]``: DATA has ``fleet``
with hosts.csv, vms-1.csv to vms-3.csv and the instances (docs/fleets.md). Each row is a process of
its own and is kept in FILE as soon as it is there: a run that ends goes on where it was. With
``--slack``, rows get so many times their seconds, for a machine that is busy; with ``--peers``,
first fit, and POP: hosts and VMs dealt at random into parts of 85 hosts, each part
planned alone. CPU seconds count all threads, the solve only.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from numaplace.instances.lookup import find_instance
from numaplace.models.instance import Instance
from numaplace.models.relations import Apart, Scope, Together
from numaplace.models.result import Stage
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import Cell, GuestNuma, MemoryMode, Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve

GIB = 1024
RACK = 19
PART = 85
SLIT = ((10.0, 21.0), (21.0, 10.0))
WORKS = {
    "t20": 5,
    "t50": 10,
    "contended-fleet": 1,
    "gpu-nowhere-many": 1,
    "topology-200": 10,
    "topology-1710": 60,
    "vms-1+2+3": 30,
    "vms-1+2+3 related": 120,
    "vms-1 racks": 180,
    **{f"drawn-{seed}": 10 for seed in range(1, 6)},
    "10000": 300,
    "groups-50": 5,
    "groups-200": 20,
    "groups-1000": 120,
}
"""Seconds a row is given, by name."""


def hosts_of(data: Path, racks: bool = False) -> list[Host]:
    """Read the hosts; with racks, dealt out over them with a seed."""
    hosts = []
    for index, row in enumerate(csv.DictReader((data / "hosts.csv").open())):
        nodes, first = [], 0
        for n in range(2):
            cores = int(row[f"cpu{n}"])
            pcpus = tuple(PCpu(first + c, first + c, n) for c in range(cores))
            nodes.append(NumaNode(n, pcpus, int(float(row[f"memory{n}_gib"]) * GIB)))
            first += cores
        hosts.append(Host(f"h{index}", tuple(nodes), SLIT))
    if racks:
        order = list(range(len(hosts)))
        random.Random(1).shuffle(order)
        for place, index in enumerate(order):
            hosts[index] = replace(hosts[index], labels={"rack": f"r{place // RACK}"})
    return hosts


def vms_of(data: Path, *lists: int) -> tuple[list[Vm], dict[str, dict[str, list[tuple[str, str]]]]]:
    """Read VMs, and their groups by relation: names with their domain."""
    vms: list[Vm] = []
    groups: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for number in lists:
        for row in csv.DictReader((data / f"vms-{number}.csv").open()):
            name, vcpus, mib = (
                f"v{len(vms)}",
                int(row["vcpus"]),
                int(float(row["memory_gib"]) * GIB),
            )
            strict = Vm(name, vcpus, mib, memory_mode=MemoryMode.STRICT, max_cells=1)
            if int(row["nodes"]) == 2:
                cells = (Cell(vcpus // 2, mib // 2),) * 2
                numa = GuestNuma.EXPLICIT
                strict = replace(strict, max_cells=None, guest_numa=numa, cells=cells)
            vms.append(strict)
            if row["relation"]:
                key = f"{number}-{row['group']}"
                groups[row["relation"]][key].append((name, row["domain"]))
    return vms, groups


def instance_of(data: Path, name: str) -> Instance:
    """Return the instance of a row."""
    fleet = data / "fleet" if (data / "fleet").is_dir() else data
    if name.startswith(("topology", "groups")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.json"
            path.write_bytes(gzip.decompress((fleet / f"{path.name}.gz").read_bytes()))
            return find_instance(str(path))
    if name.startswith("drawn"):
        draw = random.Random(int(name.split("-")[1]))
        vms, _ = vms_of(fleet, 1)
        return Instance(
            tuple(draw.sample(hosts_of(fleet), 200)), tuple(draw.sample(vms, 1500)), name=name
        )
    if name == "10000":
        draw = random.Random(1)
        hosts, (vms, _) = hosts_of(fleet), vms_of(fleet, 1)
        return Instance(
            tuple(replace(draw.choice(hosts), name=f"h{h}") for h in range(10_000)),
            tuple(replace(draw.choice(vms), name=f"v{v}") for v in range(100_000)),
            name=name,
        )
    if name.startswith("vms"):
        lists = (1, 2, 3) if "2" in name else (1,)
        vms, groups = vms_of(fleet, *lists)
        relations = {}
        if " " in name:
            sets = {
                relation: [members for members in found.values() if len(members) > 1]
                for relation, found in groups.items()
            }
            plain = {r: [tuple(n for n, _ in m) for m in found] for r, found in sets.items()}
            relations["togethers"] = tuple(Together(g, Scope.HOST) for g in plain["affinity"])
            aparts = [Apart(g, Scope.HOST) for g in plain["anti-affinity"]]
            for members in sets["fault_domain"] if "racks" in name else ():
                domains: dict[str, list[str]] = defaultdict(list)
                for vm, domain in members:
                    domains[domain].append(vm)
                if len(domains) > 1:
                    aparts.append(Apart((), "rack", domains=tuple(map(tuple, domains.values()))))
            relations["aparts"] = tuple(aparts)
        return Instance(tuple(hosts_of(fleet, "racks" in name)), tuple(vms), name=name, **relations)
    return find_instance(str(next((data.parent / "cases" / "fleet").glob(f"{name}.*"))))


def pop(instance: Instance, seconds: float) -> float:
    """Return the value of random parts, each planned alone; relations are left out."""
    draw, parts = random.Random(1), max(1, len(instance.hosts) // PART)
    hosts, vms = list(instance.hosts), list(instance.vms)
    draw.shuffle(hosts)
    draw.shuffle(vms)
    params = SolveParams(time_limit_s=seconds / parts, explain=False)
    total = 0.0
    for part in range(parts):
        some = Instance(tuple(hosts[part::parts]), tuple(vms[part::parts]))
        cost = solve(some, "patterns", params).cost
        total += 0 if cost is None else cost.value_milli / 1000
    return total


def measure(data: Path, name: str, peers: bool, slack: float) -> dict[str, object]:
    """Return one row."""
    instance, seconds = instance_of(data, name), WORKS[name] * slack
    wall, cpu = time.monotonic(), time.process_time()
    result = solve(instance, "auto", SolveParams(time_limit_s=seconds))
    row: dict[str, object] = {
        "work": name,
        "hosts": len(instance.hosts),
        "vms": len(instance.vms),
        "solver": result.solver,
        "limit_s": seconds,
        "wall_s": round(time.monotonic() - wall, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "placed": len(result.plan or ()),
        "status": result.status.value,
    }
    for stage in (Stage.VALUE, Stage.LOSS):
        found, unit = result.stage(stage), 1e3 if stage is Stage.VALUE else 1e6
        if found is not None:
            row[stage.value] = found.objective / unit
            row[f"{stage}_bound"] = None if found.bound is None else found.bound / unit
    if peers:
        params = SolveParams(time_limit_s=seconds, explain=False)
        cost = solve(instance, "first_fit", params).cost
        row["first_fit"] = None if cost is None else cost.value_milli / 1000
        row["pop"] = pop(instance, seconds) if len(instance.hosts) >= 2 * PART else None
    return row


def main() -> None:
    """Measure the rows that are not there yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--rows", type=Path, default=Path("fleets.jsonl"))
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--slack", type=float, default=1.0, help="times the seconds of each row")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.data, args.one, args.peers, args.slack)))
        return
    lines = args.rows.read_text().splitlines() if args.rows.exists() else []
    rows = {row["work"]: row for row in map(json.loads, lines)}
    for name in WORKS:
        if name not in rows and (not args.only or any(word in name for word in args.only)):
            command = [sys.executable, __file__, str(args.data), "--one", name]
            command += [f"--slack={args.slack}", *["--peers"] * args.peers]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{name}: {done.stderr.splitlines()[-1:]}", file=sys.stderr)
                continue
            rows[name] = json.loads(done.stdout.splitlines()[-1])
            with args.rows.open("a") as out:
                out.write(json.dumps(rows[name]) + "\n")
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows.values():
        print(f"| {' | '.join(str(row.get(key, '')) for key in columns)} |")


if __name__ == "__main__":
    main()
