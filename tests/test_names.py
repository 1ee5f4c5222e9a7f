"""A class name means one thing in the whole product."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("models", "instances", "solver", "report", "commands")
PARALLEL = ("solver/cpsat/", "solver/milp/")
OURS = ("models/", "solver/")


def bearers() -> dict[str, set[str]]:
    """Files by the name of a class, whether private or not; the back ends count as one."""
    found: dict[str, set[str]] = defaultdict(set)
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    back_end = name.startswith(PARALLEL) and "back ends"
                    found[node.name.lstrip("_")].add(back_end or name)
    return found


def test_classes_of_models_and_solver_are_named_once() -> None:
    """No other class has the name of one of theirs, but a back end's in the other back end."""
    found = bearers()
    assert len(found) > 300
    twice = {
        name: sorted(files)
        for name, files in found.items()
        if len(files) > 1 and any(file.startswith(OURS) for file in files)
    }
    assert not twice
