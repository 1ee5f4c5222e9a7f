"""How long commands take to start, beside `python -c pass` in the same run.

    python benchmarks/startup.py [RUNS]

Medians of the wall-clock time and of the processors' time, which a busy machine disturbs less.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "import typer": ["-c", "import typer"],
    "numaplace --version": ["-m", "numaplace", "--version"],
    "numaplace --help": ["-m", "numaplace", "--help"],
    "numaplace solve --help": ["-m", "numaplace", "solve", "--help"],
    "numaplace numad -w 2:64": ["-m", "numaplace", "numad", "-w", "2:64"],
}


def _run(arguments: list[str]) -> tuple[float, float]:
    """Seconds by the clock, and of the processors."""
    before, began = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - began, os.times()
    used = after.children_user - before.children_user
    return wall, used + after.children_system - before.children_system


def main() -> None:
    """Run every command in turn, so that a busy minute hits all of them, and print a table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, arguments in COMMANDS.items():
            taken[name].append(_run(arguments))
    print(
        "| command | seconds | least | of CPU | ratio to `python -c pass` |\n|---|---|---|---|---|"
    )
    median = {
        name: [statistics.median(column) for column in zip(*times, strict=True)]
        for name, times in taken.items()
    }
    base = next(iter(median.values()))
    for name, (wall, cpu) in median.items():
        least = min(seconds for seconds, _ in taken[name])
        print(f"| `{name}` | {wall:.3f} | {least:.3f} | {cpu:.2f} | {wall / base[0]:.1f} |")


if __name__ == "__main__":
    main()
