"""The simulated schedulers beside the real ones: a Xen booted in QEMU says who ran where.

    python benchmarks/xen.py                                  # the rows kept here, no QEMU needed
    python benchmarks/xen.py --folder /tmp/xen credit/always/soft/8 credit2/sleeping/none/4

Each word asks for one more run of SCHEDULER/LOAD/AFFINITY/GUESTS. A boot takes a minute or two of
one core, a run half a minute; the first time Xen is fetched with apt into the folder, nothing is
installed. Rows are added to `benchmarks/xen/schedule.csv`; `--keep FOLDER` keeps consoles and
traces too. Host: 2 nodes of 4 cores with 2 threads; guests of 2 vCPUs, at home on the nodes in
turn, as libxl places them; dom0 of 4 vCPUs, simulated as busy as its trace says.
"""

from __future__ import annotations

import argparse
import gzip
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import xen_kit
from xen_compare import HOME_WITHIN, MOVES_FACTOR, WAIT_WITHIN, Compared, compare
from xen_rows import LOADS, ROWS, VCPUS, Row, Scene, add_rows, read_rows
from xen_trace import measure, records, seats

SHIFT_US = 3700
"""Time between the starts of two guests, times the number of the run."""


def asked(words: Sequence[str], rows: Sequence[Row]) -> dict[str, list[Scene]]:
    """Scenes to run by scheduler, numbered on from the rows there are."""
    done = Counter(row.what for row in rows)
    found: dict[str, list[Scene]] = {}
    for what in words:
        scheduler, load, affinity, guests = what.split("/")
        done[what] += 1
        found.setdefault(scheduler, []).append(Scene(load, affinity, int(guests), done[what]))
    return found


def record(scheduler: str, scenes: Sequence[Scene], options: argparse.Namespace) -> list[Row]:
    """Boot Xen, run scenes in turn, and read their traces."""
    words = [
        f"{scene.affinity}:{scene.guests}:{busy}:{idle}:{scene.run * SHIFT_US}"
        for scene in scenes
        for busy, idle in [LOADS[scene.load]]
    ]
    told = {"VCPUS": VCPUS, "SECS": options.seconds}
    booted = xen_kit.boot(options.folder, scheduler, words, told)
    rows = []
    for scene, console, trace in zip(scenes, booted.consoles, booted.traces, strict=False):
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            stem = f"{scheduler}-{scene.load}-{scene.affinity}-{scene.guests}-{scene.run}"
            (options.keep / f"{stem}.txt").write_text(console)
            (options.keep / f"{stem}.bin.gz").write_bytes(gzip.compress(trace, 3))
        sat = seats(console.split("== before")[1].split("== after")[0])
        domains = sorted({domain for domain, _ in sat})
        homes = {domain: number % 2 for number, domain in enumerate(domains)}
        found = measure(records(trace), sat, homes, hard=scene.affinity == "hard")
        rows.append(Row(scheduler, scene, booted.version, found))
    return rows


def table(found: Sequence[Compared]) -> str:
    """Markdown: real and simulated; * marks what is not within its limit."""
    lines = [
        "| run | runs | home: real, simulated | wait: real, simulated | moves/s: real, simulated |",
        "|---|---|---|---|---|",
    ]
    for each in found:
        real, other = each.real, each.simulated
        home, wait, moves = f"{real.home:.3f}", f"{real.wait:.3f}", f"{real.moves:.2f}"
        if each.runs > 1:
            home += f" ± {each.spread:.3f}"
        if other is not None:
            marks = ["" if good else " *" for good in each.within]
            home += f", {other.home:.3f}{marks[0]}"
            wait += f", {other.wait:.3f}{marks[1]}"
            moves += f", {other.moves:.2f}{marks[2]}"
        lines.append(f"| {each.what} | {each.runs} | {home} | {wait} | {moves} |")
    return "\n".join(lines)


def main(options: argparse.Namespace) -> None:
    """Record what is asked for, then compare."""
    rows = read_rows(options.rows)
    if options.what:
        lack = xen_kit.missing()
        if lack:
            raise SystemExit(f"cannot boot a Xen here: {lack}. The rows kept here need none of it.")
        xen_kit.prepare(options.folder)
        for scheduler, scenes in asked(options.what, rows).items():
            add_rows(options.rows, record(scheduler, scenes, options))
        if options.no_comparison:
            return
        rows = [row for row in read_rows(options.rows) if row.what in options.what]
    found = compare(rows)
    print(table(found))
    judged = [each.within for each in found if each.simulated is not None]
    good = [sum(column) for column in zip(*judged, strict=True)]
    limits = (f"home {HOME_WITHIN:g}", f"wait {WAIT_WITHIN:g}", f"moves x {MOVES_FACTOR:g}")
    print(f"\nwithin the limits, of {len(judged)} kinds of runs simulated:", end=" ")
    print(", ".join(f"{limit}: {number}" for limit, number in zip(limits, good, strict=True)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", metavar="SCHEDULER/LOAD/AFFINITY/GUESTS")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/numaplace-xen"))
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each trace (virtual)")
    parser.add_argument("--keep", type=Path, help="folder for consoles and traces")
    parser.add_argument("--no-comparison", action="store_true", help="record only")
    main(parser.parse_args())
