"""Measure how far ``numaplace solve --time T`` overruns; print Markdown for docs/benchmarks.md.

``python benchmarks/deadline.py [--hosts 1 10 100 200] [--nodes 1 8 64] [--time 2 10]``: each solve
is a fresh process of the real command, timed from before it starts until it has ended, everything
printed. Ten VMs a host with as many cooperating pairs; allowed are 1 s and 5 % of T. ``share`` is
what a process of one thread gets of a core on the machine meanwhile, ``cpu`` what the solve used.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from numaplace.instances.formats.document.io import write_instance
from numaplace.instances.generate import MIXED, GenerateParams, generate_instance
from numaplace.instances.shapes import Fabric, HostShape

SOLVERS = ("cpsat", "milp", "greedy")
VMS_A_HOST = 10


def write_fleet(folder: Path, hosts: int, nodes: int) -> Path:
    """Write an instance of equal hosts: up to 8 nodes two sockets, above a mesh of sockets."""
    if nodes == 1:
        shape = HostShape(sockets=1, cores_per_node=64, node_mib=262144)
    elif nodes <= 8:
        each = nodes // 2
        shape = HostShape(2, nodes_per_socket=each, cores_per_node=64 // nodes, node_mib=32768)
    else:
        shape = HostShape(nodes // 4, 4, cores_per_node=8, fabric=Fabric.MESH)
    params = GenerateParams(
        shape,
        MIXED,
        hosts=hosts,
        vms=VMS_A_HOST * hosts,
        cpu_load=min(0.8, 30 * hosts / (hosts * max(1, shape.cores_per_node * nodes))),
        memory_load=0.5,
        cooperating=1.0,
        competing=0.5,
        name=f"{hosts} x {nodes}",
    )
    path = folder / f"{hosts}-{nodes}.json"
    write_instance(generate_instance(params, 0), path, overwrite=True)
    return path


def run(path: Path, solver: str, limit_s: float) -> tuple[float, resource.struct_rusage, str]:
    """Return wall-clock seconds, what was used and the first words of the answer."""
    command = [sys.executable, "-c", "from numaplace.cli import main; main()", "solve", str(path)]
    command += ["--solver", solver, "--time", f"{limit_s:g}"]
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        child = os.posix_spawn(
            sys.executable,
            command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), fd) for fd in (1, 2)],
        )
        _, _, usage = os.wait4(child, 0)
        seconds = time.monotonic() - began
        out.seek(0)
        text = " ".join(out.read(400).decode(errors="replace").split())
    return seconds, usage, text.partition(": ")[2].partition(", value")[0][:60]


def share_of_core() -> float:
    """Return how much of a core a busy loop gets now."""
    wall, cpu = time.monotonic(), time.process_time()
    while time.monotonic() < wall + 0.3:
        pass
    return (time.process_time() - cpu) / (time.monotonic() - wall)


def main() -> None:
    """Run every size, solver and limit, and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 10, 100, 200])
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--time", type=float, nargs="+", default=[2.0, 10.0])
    parser.add_argument("--solvers", nargs="+", default=SOLVERS)
    options = parser.parse_args()
    missed = 0
    print(
        "| hosts x nodes | solver | --time | overrun (s) | cpu (s) | peak (MB) | share | answer |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for hosts in options.hosts:
            for nodes in options.nodes:
                path = write_fleet(Path(folder), hosts, nodes)
                for limit_s in options.time:
                    for solver in options.solvers:
                        share = share_of_core()
                        seconds, usage, answer = run(path, solver, limit_s)
                        cpu_s = usage.ru_utime + usage.ru_stime
                        over_s = seconds - limit_s
                        late = over_s > 1 + 0.05 * limit_s
                        missed += late
                        print(
                            f"| {hosts} x {nodes} | {solver} | {limit_s:g} | {over_s:.1f}"
                            f"{' **late**' if late else ''} | {cpu_s:.1f} "
                            f"| {usage.ru_maxrss / 1024:.0f} | {share:.0%} | {answer} |",
                            flush=True,
                        )
    print(f"\nlate: {missed}")


if __name__ == "__main__":
    main()
