"""Prices are worked out in `models/units` and `models/rates`, and nowhere else.

A walk over the sources: who multiplies or divides by micro-vCPU, or rounds to it, writes a price a
second time. What is shown to people (`report/`) only converts units.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("models", "instances", "solver", "commands")
HOMES = {"models/units.py", "models/rates.py"}
SCALES = {"MICRO", "NANO_PER_MICRO"}
# The worst loss an instance could have is compared with a limit, rounded as losses are.
ROUNDS = {"models/prices.py"}


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def priced(path: str, source: str) -> list[str]:
    """Places of a file that do arithmetic in micro-vCPU."""
    if path in HOMES:
        return []
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        operands: list[ast.expr] = []
        if isinstance(node, ast.BinOp):
            operands = [node.left, node.right]
        elif isinstance(node, ast.AugAssign):
            operands = [node.value]
        if any(_name(operand) in SCALES for operand in operands):
            found.append(f"{path}:{node.lineno}: arithmetic in micro-vCPU")
        if isinstance(node, ast.Call) and _name(node.func) == "to_micro" and path not in ROUNDS:
            found.append(f"{path}:{node.lineno}: rounds to micro-vCPU")
    return found


SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def test_nobody_else_prices() -> None:
    assert len(SOURCES) > 100
    assert [line for path, source in SOURCES.items() for line in priced(path, source)] == []


@pytest.mark.parametrize(
    "source", ["x = 3 * MICRO", "x = y / units.MICRO", "x *= MICRO", "x = units.to_micro(0.5)"]
)
def test_a_copy_is_seen(source: str) -> None:
    assert priced("solver/placing/cell_offer.py", source)
    assert not priced("models/rates.py", source)
