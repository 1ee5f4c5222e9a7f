"""Every public function and class has a caller in the product, or is on a short list."""

import ast
from collections.abc import Mapping

from numaplace.tests.test_layering import SOURCES

NOT_CALLED = {
    "as_plan",  # tests hold both models of an instance against each other
    "instance_from_dict",  # for documents that are no files
    "plan_from_dict",
    "write_instance",  # for instances made in code
    "judge",  # benchmarks/truth.py, with the figure
    "correlation",
    "disagreements",
    "scatter_figure",
}


def without_caller(sources: Mapping[str, str]) -> set[str]:
    """Functions and classes of modules that no source mentions; commands call themselves."""
    defined, used = set[str](), set[str]()
    for path, source in sources.items():
        tree = ast.parse(source)
        for node in tree.body:
            command = any("command" in ast.unparse(d) for d in getattr(node, "decorator_list", ()))
            facade = path == "api.py"  # called by those who import numaplace
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not command and not facade:
                defined.add(node.name)
        for inner in ast.walk(tree):
            if isinstance(inner, ast.Name | ast.Attribute):
                used.add(inner.id if isinstance(inner, ast.Name) else inner.attr)
    return {name for name in defined - used if not name.startswith("_")}


def test_every_public_function_has_a_caller() -> None:
    assert without_caller(SOURCES) == NOT_CALLED


def test_what_has_no_caller_is_seen() -> None:
    source = "def f(): g()\ndef g(): ...\ndef _h(): ...\n@app.command()\ndef k(): ..."
    assert without_caller({"a.py": source}) == {"f"}
    assert without_caller({"a.py": source, "b.py": "import a\na.f()"}) == set()
