"""`-o table|json|csv` and `-c COLUMN`: one declaration of a table, all ways to print it."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from numaplace.commands.output import print_text
from numaplace.report.figures import figure_file
from numaplace.report.tables.documents import names
from numaplace.tests.cli.conftest import Run, validator

COMMANDS = {
    "solve": ["solve", "SMALL", "--solver", "greedy"],
    "compare": ["compare", "SMALL", "--solvers", "greedy"],
    "show": ["show", "SMALL"],
    "catalog": ["catalog"],
    "sharing": ["sharing", "page-sharing", "--time", "5"],
    "guest-numa": ["guest-numa", "SMALL", "--vm", "vm1", "--max-cells", "2", "--time", "5"],
    "room": ["room", "re-planning", "--vcpus", "1", "--memory-mib", "64", "--time", "5"],
    "rebalance": ["rebalance", "re-planning", "--time", "5"],
    "balloon": ["balloon", "ballooning", "--solver", "greedy"],
    "simulate": ["simulate", "SMALL", "--time", "0.1"],
    "talk": ["talk", "--vms", "2", "--time", "0.1", "--repetitions", "1", "--workers", "1"],
}


def _arguments(name: str, instance: Path) -> list[str]:
    return [str(instance) if word == "SMALL" else word for word in COMMANDS[name]]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_way_to_print_a_table(run: Run, instance: Path, name: str) -> None:
    """JSON keeps its schema, CSV has a header and as many fields in each row, people read heads."""
    arguments = _arguments(name, instance)
    whole = run(*arguments, "--json")
    assert run(*arguments, "-o", "json").exit_code == whole.exit_code == 0
    rows = list(csv.reader(io.StringIO(run(*arguments, "-o", "csv", "--quiet").stdout)))
    assert len({len(row) for row in rows}) == 1
    assert not [field for field in rows[0] if field.startswith("-") or not field]
    some = ",".join(rows[0][:2])
    picked = json.loads(run(*arguments, "-o", "json", "-c", some).stdout)
    assert len(picked) == len(rows) - 1
    assert all(list(row) == rows[0][:2] for row in picked)
    again = run(*arguments, "-o", "csv", "-c", rows[0][1], "-c", rows[0][0]).stdout
    assert again.splitlines()[0] == f"{rows[0][1]},{rows[0][0]}"
    assert len(run(*arguments, "-c", some).stdout.splitlines()) >= len(rows)


def test_columns_are_exact_for_machines_and_short_for_people(run: Run, instance: Path) -> None:
    """Integers with their unit in the name; units chosen by the eye in tables."""
    exact = json.loads(run("catalog", "-o", "json", "-c", "name,known_loss_micro").stdout)
    assert {"name": "devices", "known_loss_micro": 560_000} in exact
    lines = run("catalog", "-c", "name,known_loss_micro").stdout.splitlines()
    assert ["devices", "0.56"] in [line.split() for line in lines]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_column_that_is_not_there(run: Run, instance: Path, name: str) -> None:
    """One line that names those there are, before any work is done; exit code 2."""
    done = run(*_arguments(name, instance), "-c", "colour")
    assert done.exit_code == 2 and done.stdout == ""
    assert done.stderr.startswith("numaplace: error: output: --column: there is no 'colour'; there")
    assert len(done.stderr.splitlines()) == 1


def test_json_and_another_form_contradict(run: Run, instance: Path) -> None:
    done = run("show", instance, "--json", "-o", "csv")
    assert done.exit_code == 2 and "exclude each other" in done.stderr
    assert run("show", instance, "-o", "xml").exit_code == 2


def test_control_characters_do_not_act(capsys: pytest.CaptureFixture[str]) -> None:
    """CSV for a terminal is as tame as a table."""
    print_text("a\x1b[2J,\u202eb\n")
    assert capsys.readouterr().out == "a\\x1b[2J,\\u202eb\n"


def test_pictures_of_plans_as_svg_need_no_matplotlib(
    run: Run, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra `plot`: SVG of a plan and of a comparison; all else says what it needs."""
    monkeypatch.setattr(figure_file, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for arguments in (
        ["solve", instance, "--solver", "greedy", "--picture", "plan.svg"],
        ["compare", instance, "--solvers", "greedy", "--plot", "rows.svg"],
    ):
        assert run(*arguments, "--quiet").exit_code == 0
        root = ElementTree.parse(str(arguments[-1])).getroot()
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert any("greedy" in (text or "") for text in texts)
    for name in ("plan.png", "plan.pdf"):
        done = run("solve", instance, "--solver", "greedy", "--picture", name)
        assert done.exit_code == 2 and "[plot]'" in done.stderr
    done = run("replay", "t.csv", "--hosts", "2x4x8", "--plot", "gaps.svg")
    assert done.exit_code == 2 and "needs matplotlib" in done.stderr


def test_every_schema_is_a_schema(run: Run) -> None:
    for name in names():
        schema = json.loads(run("schema", name).stdout)
        jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(run("catalog", "--json").stdout)
    document[0]["colour"] = "blue"
    with pytest.raises(jsonschema.ValidationError):
        validator("catalog").validate(document)
