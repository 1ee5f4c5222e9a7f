"""Which module may import which: an `ast` walk over the sources.

``cli -> commands -> report -> solver -> models`` and ``commands -> instances -> models``; each
back end keeps its own library and its own company. Every rule is shown a source that breaks it.
"""

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("commands", "models", "instances", "report", "solver")
LINES_MAX = 420

BACK_ENDS = ("cpsat", "milp")
DRIVERS = ("replan", "offline", "fleet")
MODELS_MAY_IMPORT = (*sys.stdlib_module_names, "numpy", "numaplace.models")

# Folder or file -> what it must not import.
TOP = ("numaplace.commands", "numaplace.cli", "numaplace.api")
FORBIDDEN = {
    "solver/": ("numaplace.instances", "numaplace.report", *TOP),
    "instances/": ("numaplace.solver", "numaplace.report", *TOP),
    "commands/": ("numaplace.api",),
    "api.py": ("numaplace.commands", "numaplace.cli"),
    # What people see starts no work: a report of a plan needs no solver to run.
    "report/": (*TOP, "numaplace.solver.registry"),
}

# Library -> beginnings of the paths that may import it.
HOMES = {
    "ortools": ("solver/cpsat/", "solver/fleet/"),
    "pulp": ("solver/milp/",),
    "highspy": ("solver/milp/", "solver/fleet/"),
    "matplotlib": ("report/", "commands/tour", "api.py"),
    "typer": ("commands/",),
    "rich": ("report/", "commands/"),
    "jinja2": ("report/html/",),
    "joblib": ("solver/parallel.py", "solver/clusters.py"),
    "distributed": ("solver/clusters.py",),
    "ray": ("solver/clusters.py",),
}


@dataclass(frozen=True)
class Import:
    """One imported name, dotted from the top: `from a.b import c` is `a.b.c`."""

    target: str
    line: int
    relative: bool = False
    deferred: bool = False  # inside a function, or for the type checker only

    def within(self, *packages: str) -> bool:
        return any(f"{self.target}.".startswith(f"{package}.") for package in packages)


def imports_of(source: str) -> list[Import]:
    return list(_imports_in(ast.parse(source), deferred=False))


def _imports_in(node: ast.AST, deferred: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, node.lineno, deferred=deferred)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            target = f"{node.module or ''}.{alias.name}"
            yield Import(target, node.lineno, relative=node.level > 0, deferred=deferred)
    elif isinstance(node, ast.Call) and _is_import_call(node):
        name = node.args[0]
        assert isinstance(name, ast.Constant)
        relative = str(name.value).startswith(".")
        yield Import(str(name.value), node.lineno, relative=relative, deferred=deferred)

    if isinstance(node, ast.If) and _is_type_checking(node.test):
        for child in node.body:
            yield from _imports_in(child, deferred=True)
        for child in node.orelse:
            yield from _imports_in(child, deferred=deferred)
        return
    function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _imports_in(child, deferred=deferred or function)


def _is_import_call(node: ast.Call) -> bool:
    """`import_module("...")` or `__import__("...")` with the name spelt out."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    spelt_out = bool(node.args) and isinstance(node.args[0], ast.Constant)
    return name in {"import_module", "__import__"} and spelt_out


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


# Rules: each takes a path and one import, and returns a complaint or nothing.


def no_relative_import(path: str, imported: Import) -> str | None:
    return "relative import" if imported.relative else None


def models_stand_alone(path: str, imported: Import) -> str | None:
    if path.startswith("models/") and not imported.within(*MODELS_MAY_IMPORT):
        return f"models must not import {imported.target}"
    return None


def arrows_run_one_way(path: str, imported: Import) -> str | None:
    for folder, forbidden in FORBIDDEN.items():
        if path.startswith(folder) and imported.within(*forbidden):
            return f"{folder} must not import {imported.target}"
    return None


def back_ends_keep_apart(path: str, imported: Import) -> str | None:
    """Only a back end itself and what drives it may import it."""
    *folders, _ = path.split("/")
    for back_end in BACK_ENDS:
        if imported.within(f"numaplace.solver.{back_end}"):
            drives = folders in (
                ["solver"],
                *(["solver", d] for d in ("replan", "offline", "fleet")),
            )
            allowed = drives or folders[:2] == ["solver", back_end]
            return None if allowed else f"{imported.target} belongs to another back end"
    return None


def libraries_stay_home(path: str, imported: Import) -> str | None:
    for library, homes in HOMES.items():
        if imported.within(library):
            if not path.startswith(homes):
                return f"{library} only in {', '.join(homes)}"
            if library == "matplotlib" and not imported.deferred:
                return "matplotlib only inside functions"
    return None


RULES: list[Callable[[str, Import], str | None]] = [
    no_relative_import,
    models_stand_alone,
    arrows_run_one_way,
    back_ends_keep_apart,
    libraries_stay_home,
]


def complaints(path: str, source: str) -> list[str]:
    """What is wrong with one source file, `path` being relative to the root."""
    found = [
        f"{path}:{imported.line}: {complaint}"
        for imported in imports_of(source)
        for rule in RULES
        if (complaint := rule(path, imported))
    ]
    length = len(source.splitlines())
    if length > LINES_MAX:
        found.append(f"{path}: {length} lines, {LINES_MAX} allowed")
    return found


def module_name(path: str) -> str:
    parts = ["numaplace", *path.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_cycle(sources: Mapping[str, str]) -> list[str]:
    """Modules of one cycle of imports made at module level; empty if there is none."""
    modules = {module_name(path) for path in sources}
    graph: dict[str, set[str]] = {}
    for path, source in sources.items():
        edges = graph.setdefault(module_name(path), set())
        for imported in imports_of(source):
            if not imported.deferred:
                known = {imported.target, imported.target.rpartition(".")[0]} & modules
                edges |= {max(known, key=len)} if known else set()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def all_sources() -> dict[str, str]:
    paths = [*ROOT.glob("*.py"), *(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


SOURCES = all_sources()


def test_the_walk_finds_the_sources() -> None:
    assert {"__init__.py", "models/__init__.py", "solver/cpsat/__init__.py"} <= SOURCES.keys()


@pytest.mark.parametrize("path", sorted(SOURCES))
def test_module_keeps_the_layers(path: str) -> None:
    assert complaints(path, SOURCES[path]) == []


def test_no_import_cycle() -> None:
    assert import_cycle(SOURCES) == []


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("models/vm.py", "from . import units", "relative import"),
        ("models/vm.py", "from .units import MILLI", "relative import"),
        ("cli.py", "import_module('.vm', 'numaplace.models')", "relative import"),
        ("models/vm.py", "import pydantic", "models must not import pydantic"),
        ("models/vm.py", "import numpydoc", "models must not import numpydoc"),
        ("models/vm.py", "from numaplace import solver", "models must not import"),
        ("models/vm.py", "from numaplace.instances.catalog import load", "models must not"),
        ("models/vm.py", "def f():\n    import ortools", "ortools only in solver/cpsat/, "),
        ("solver/fleet.py", "import numaplace.instances", "solver/ must not import"),
        ("solver/fleet.py", "from numaplace import instances", "solver/ must not import"),
        ("solver/fleet.py", "from numaplace.cli import main", "solver/ must not import"),
        ("solver/fleet.py", "import_module('numaplace.instances.json_io')", "solver/ must not"),
        ("instances/generate.py", "from numaplace.solver import fleet", "instances/ must not"),
        ("instances/formats/a.py", "import numaplace.cli", "instances/ must not import"),
        ("solver/cpsat/model.py", "import numaplace.solver.milp.model", "another back end"),
        ("solver/placing/placer.py", "from numaplace.solver import milp", "another back end"),
        ("solver/placing/placer.py", "from numaplace.solver.cpsat import model", "another back"),
        ("report/html.py", "from numaplace.solver.cpsat import model", "another back end"),
        ("report/html.py", "from numaplace.solver.registry import solve", "report/ must not"),
        ("report/html.py", "import numaplace.commands.output", "report/ must not import"),
        ("solver/placing/rules.py", "from numaplace.report import tables", "solver/ must not"),
        ("cli.py", "from numaplace.solver.cpsat.model import solve", "another back end"),
        ("solver/fleet.py", "from ortools.sat.python import cp_model", "ortools only in"),
        ("solver/cpsat/model.py", "import pulp", "pulp only in solver/milp/"),
        ("solver/stages.py", "from joblib import Parallel", "joblib only in solver/parallel.py"),
        ("solver/placing/placer.py", "from highspy import Highs", "highspy only in solver/milp/, "),
        (
            "cli.py",
            "def f():\n    import matplotlib.pyplot",
            "matplotlib only in report/, commands/tour, api.py",
        ),
        ("report/html.py", "import matplotlib.pyplot", "only inside functions"),
        ("report/html.py", "try:\n    import matplotlib\nfinally: ...", "only inside"),
        ("report/html.py", "class A:\n    import matplotlib", "only inside functions"),
        ("solver/stages.py", "import rich.table", "rich only in report/, commands/"),
        ("report/picture/terminal.py", "import typer", "typer only in commands/"),
        ("solver/compare/solvers.py", "from typer import echo", "typer only in commands/"),
        ("solver/compare/solvers.py", "import numaplace.commands.app", "solver/ must not import"),
        ("commands/plans.py", "import ortools", "ortools only in"),
        ("commands/plans.py", "from numaplace.api import solve", "commands/ must not import"),
        ("models/vm.py", "\n" * (LINES_MAX + 1), "421 lines, 420 allowed"),
    ],
)
def test_a_breach_is_seen(path: str, source: str, complaint: str) -> None:
    assert any(complaint in found for found in complaints(path, source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("models/vm.py", "import math\nimport numpy.typing\nfrom numaplace.models.units import X"),
        ("models/vm.py", "\n" * LINES_MAX),
        ("solver/registry.py", "def f():\n    from numaplace.solver.cpsat.model import solve"),
        ("solver/registry.py", "import_module(name)"),
        ("solver/cpsat/model.py", "import numaplace.solver.cpsat.variables\nimport ortools"),
        ("solver/milp/model.py", "import highspy\nimport pulp\nimport numaplace.models.vm"),
        ("report/tables/words.py", "from rich.table import Table"),
        ("report/html.py", "def f():\n    import matplotlib.pyplot"),
        ("report/html.py", "if TYPE_CHECKING:\n    from matplotlib.axes import Axes"),
        ("instances/catalog.py", "import yaml\nfrom numaplace.models.instance import Instance"),
        ("commands/plans.py", "import typer\nfrom numaplace.instances import catalog"),
    ],
)
def test_what_the_rules_allow(path: str, source: str) -> None:
    assert complaints(path, source) == []


@pytest.mark.parametrize(
    "first",
    [
        "import numaplace.models.b",
        "from numaplace.models import b",
        "from numaplace.models.b import thing",
        "if True:\n    from numaplace.models.b import thing",
    ],
)
def test_a_cycle_is_seen(first: str) -> None:
    second = "from numaplace.models.a import other"
    cycle = import_cycle({"models/a.py": first, "models/b.py": second})
    assert set(cycle) == {"numaplace.models.a", "numaplace.models.b"}


@pytest.mark.parametrize("head", ["def f():", "if TYPE_CHECKING:"])
def test_a_deferred_import_makes_no_cycle(head: str) -> None:
    first, second = f"{head}\n    import numaplace.models.b", "import numaplace.models.a"
    assert import_cycle({"models/a.py": first, "models/b.py": second}) == []
