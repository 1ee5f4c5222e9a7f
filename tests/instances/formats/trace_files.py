"""Where the traces of the tests are, and how small ones are written."""

from __future__ import annotations

from pathlib import Path

TRACES = Path(__file__).parents[2] / "data" / "traces"
HEADER = "vmid,cpu,mem,at,lt\n"
EVENTS = "vmid,cpu,memory,time,type\n"


def write(folder: Path, text: str | bytes) -> Path:
    """Write a trace of its own into a folder."""
    file = folder / "trace.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file
