"""docs/formats.md, made of what the formats say of themselves.

``python -m numaplace.tests.instances.formats.formats_page > docs/formats.md`` writes it.
"""

from __future__ import annotations

from pathlib import Path

from numaplace.instances.formats.registry import FORMATS

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"
_HEAD = """\
# Formats

What `numaplace import` reads and `numaplace apply` writes. The format of a file is told by its
content; `FORMAT:FILE` names it. Traces are in [traces.md](traces.md). This page is made of the
sources (`python -m numaplace.tests.instances.formats.formats_page`).
"""


def formats_page() -> str:
    """The page: a line for each format in a table, then what its reader and writer say."""
    rows = ["| format | what it is | hosts | VMs | where VMs run | written by `apply` |"]
    rows += ["|---|---|---|---|---|---|"]
    parts = [_HEAD]
    told: set[str] = set()
    for each in FORMATS:
        can = (each.read_hosts, each.read_vms, each.place, each.write)
        words = ["yes" if it else "" for it in can]
        if each.write:
            words[-1] = f"`-f {each.written_as or each.name}`, {each.suffix}"
        rows.append(f"| {each.name} | {each.title.replace('<', '&lt;')} | {' | '.join(words)} |")
        doc = (each.doc or "").strip()
        if doc not in told:
            told.add(doc)
            parts.append(f"## {each.name}\n\n```text\n{doc}\n```\n")
    return "\n".join([parts[0], "\n".join(rows) + "\n", *parts[1:]])


if __name__ == "__main__":
    print(formats_page(), end="")
