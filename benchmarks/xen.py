"""The simulated schedulers beside the real ones: a Xen booted in QEMU says who ran where.

    python benchmarks/xen.py                                  # the rows kept here, no QEMU needed
    python benchmarks/xen.py --folder /tmp/xen credit/always/soft/8 credit2/sleeping/none/4

Each KIND is SCHEDULER/LOAD/AFFINITY/GUESTS and asks for one more run of it. A boot takes a minute
or two of one core, a run half a minute; the first time Xen is fetched with apt into the folder,
nothing is installed. Rows are added to `benchmarks/xen/schedule.csv`; `--keep FOLDER` keeps
consoles and traces too. Host: 2 nodes of 4 cores with 2 threads; guests of 2 vCPUs, at home on the
nodes in turn, as libxl places them; dom0 of 4 vCPUs, simulated as busy as its trace says.
"""

from __future__ import annotations

import gzip
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import xen_kit
from xen_compare import HOME_WITHIN, MOVES_FACTOR, WAIT_WITHIN, Compared, compare
from xen_rows import LOADS, ROWS, VCPUS, Kind, Row, add_rows, read_rows, read_run

TURN_US = 100
"""Longest turn of a pCPU in QEMU, unless told otherwise."""
SHIFT_US = 100_000
"""Time between the starts of two guests, times the number of the run."""


def record(scheduler: str, runs: Sequence[tuple[Kind, int]], options: Namespace) -> list[Row]:
    """Boot Xen, run one after the other, and read the traces."""
    scenes = [
        f"{kind.affinity}:{kind.guests}:{busy}:{idle}:{number * SHIFT_US}"
        for kind, number in runs
        for busy, idle in [LOADS[kind.load]]
    ]
    told = {"VCPUS": VCPUS, "SECS": options.seconds}
    booted = xen_kit.boot(options.folder, scheduler, options.turn_us, scenes, told)
    rows = []
    for (kind, number), console, trace in zip(runs, booted.consoles, booted.traces, strict=False):
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            stem = f"{kind}-{number}".replace("/", "-")
            (options.keep / f"{stem}.txt").write_text(console)
            (options.keep / f"{stem}.bin.gz").write_bytes(gzip.compress(trace, 3))
        found = read_run(kind, console, trace)
        rows.append(Row(kind, number, booted.version, options.turn_us, found))
    return rows


def table(found: Sequence[Compared]) -> str:
    """Markdown: * marks what is not within its limit, ( ) what was waited while a pCPU was idle."""
    lines = [
        "| kind | runs | dom0 pCPUs | home: real, simulated | wait | moves/s of a vCPU |",
        "|---|---|---|---|---|---|",
    ]
    for each in found:
        real, other = each.real, each.simulated
        home, wait, moves = f"{real.home:.3f}", f"{real.wait:.3f}", f"{real.moves:.2f}"
        if real.idle_wait >= 0.001:
            wait += f" ({real.idle_wait:.3f})"
        if each.runs > 1:
            home += f" ± {each.spread:.3f}"
        marks = ["" if good else " *" for good in each.within]
        home += f", {other.home:.3f}{marks[0]}"
        wait += f", {other.wait:.3f}{marks[1]}"
        moves += f", {other.moves:.2f}{marks[2]}"
        turns = "" if each.turn_us == TURN_US else f", turns of {each.turn_us} us"
        lines.append(
            f"| {each.kind}{turns} | {each.runs} | {each.dom0:.2f} | {home} | {wait} | {moves} |"
        )
    return "\n".join(lines)


def main(options: Namespace) -> None:
    """Record what is asked for, then compare."""
    rows = read_rows(options.rows)
    if options.kinds:
        lack = xen_kit.missing()
        if lack:
            raise SystemExit(f"cannot boot a Xen here: {lack}. The rows kept here need none of it.")
        xen_kit.prepare(options.folder)
        done = Counter(row.kind for row in rows)
        asked: dict[str, list[tuple[Kind, int]]] = {}
        for kind in options.kinds:
            done[kind] += 1
            asked.setdefault(kind.scheduler, []).append((kind, done[kind]))
        for scheduler, runs in asked.items():
            add_rows(options.rows, record(scheduler, runs, options))
        rows = [row for row in read_rows(options.rows) if row.kind in options.kinds]
    found = compare(rows)
    print(table(found))
    good = [sum(column) for column in zip(*(each.within for each in found), strict=True)]
    limits = (f"home {HOME_WITHIN:g}", f"wait {WAIT_WITHIN:g}", f"moves x {MOVES_FACTOR:g}")
    print(f"\nwithin the limits, of {len(found)} kinds of runs:", end=" ")
    print(", ".join(f"{limit}: {number}" for limit, number in zip(limits, good, strict=True)))


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", type=Kind.read, metavar="KIND")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/numaplace-xen"))
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each trace (virtual)")
    parser.add_argument("--turn-us", type=int, default=TURN_US, help="longest turn of a pCPU")
    parser.add_argument("--keep", type=Path, help="folder for consoles and traces")
    main(parser.parse_args())
