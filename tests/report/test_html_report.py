"""The report as text: well formed, self-contained, everything escaped, the same every time."""

from __future__ import annotations

import re
from base64 import b64decode
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from numaplace.instances.catalog import load_catalog
from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.result import Result, SolveStatus
from numaplace.models.verify import violations
from numaplace.models.vm import Vm
from numaplace.report.html.report import html_report
from numaplace.report.tables import words
from numaplace.report.tables.moves import REPORT
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.builders import make_instance
from numaplace.tests.cli.conftest import validator
from numaplace.tests.report.samples import NAMES, sample

HOSTILE = "<script>alert('&\"')</script>"
VOID = {"meta", "link", "br", "input"}


class Document(HTMLParser):
    """Elements, texts and attributes; complains about elements that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: Counter[str] = Counter()
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.style = self.script = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.style += data
        elif self.open[-1:] == ["script"]:
            self.script += data
        elif data.strip():
            self.texts.append(data.strip())


def hostile() -> tuple[Instance, Plan]:
    """Every text a user chooses is an attack."""
    vms = (Vm(HOSTILE, 2, 1024), Vm("left " + HOSTILE, 2, 1024))
    instance = make_instance(*vms, name=HOSTILE, comment=HOSTILE)
    host = replace(instance.hosts[0], name=HOSTILE)
    cell = PlacedCell(0, 2, ((0, 512), (1, 512)))
    return replace(instance, hosts=(host,)), Plan({HOSTILE: Placement(HOSTILE, (cell,))})


@pytest.mark.parametrize("name", NAMES)
def test_a_report_is_a_well_formed_document(name: str) -> None:
    """All kinds of instances: elements closed in order, ids used once, the loss told."""
    instance, plan = sample(name)
    cost = evaluate(instance, plan)
    document = Document(html_report(instance, plan, before=instance.current))
    assert max(Counter(document.ids).values()) == 1
    assert words.loss(cost.loss_micro) in document.texts
    assert document.elements["svg"] >= 1 and document.elements["script"] == 1
    assert {vm.name for vm in instance.vms[:2000]} <= set(document.texts)


@pytest.mark.parametrize("name", ["rich", "talk-10"])
def test_nothing_is_fetched(name: str) -> None:
    """No address of anything else, no handler, no style outside what the policy allows."""
    instance, plan = sample(name)
    text = html_report(instance, plan, before=plan)
    document = Document(text)
    names = {key for key, _ in document.attributes}
    assert names.isdisjoint({"src", "style", "srcset", "action", "xlink:href"})
    assert not [key for key in names if key.startswith("on")]
    assert {value for key, value in document.attributes if key == "href"} == {"data:,"}
    assert re.findall(r"url\((?!#)|@import|https?:|//", document.style + text) == []


def test_the_policy_names_the_style_and_the_script() -> None:
    """The digests in the policy are those of what stands in the file."""
    document = Document(html_report(*hostile()))
    (policy,) = (v for k, v in document.attributes if k == "content" and v and "default" in v)
    digests = [b64decode(found) for found in re.findall(r"'sha256-([^']+)'", policy)]
    texts = (document.style, document.script)
    assert digests == [sha256(text.encode()).digest() for text in texts]
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_what_a_user_names_is_text() -> None:
    """Names with markup are shown as they are, wherever they stand, tooltips too."""
    instance, plan = hostile()
    result = Result(
        "cpsat", SolveStatus.FEASIBLE, plan, evaluate(instance, plan), reasons=(HOSTILE,)
    )
    result = replace(result, unplaced={"left " + HOSTILE: HOSTILE})
    text = html_report(instance, plan, before=plan, result=result, found=violations(instance, plan))
    document = Document(text)
    assert document.elements["script"] == 1 and "alert" not in document.script
    assert "<script>alert" not in text
    assert sum(HOSTILE in found for found in document.texts) > 6


def test_before_after_moves_and_gap() -> None:
    """What a re-plan gains is told: both losses, both pictures, each move with its price."""
    instance = load_catalog("re-planning")
    result = solve(instance, "cpsat", SolveParams(time_limit_s=20, workers=1))
    assert result.plan is not None and instance.current is not None
    texts = Document(
        html_report(instance, result.plan, before=instance.current, result=result)
    ).texts
    for word in ("Before", "After", "Both", "Proven: no plan is better.", "4096 MiB", "moves"):
        assert word in texts
    assert words.loss(evaluate(instance, instance.current).loss_micro) in texts
    assert texts[texts.index("VMs that move") + 1] == "2, 6 GiB copied"
    assert texts[texts.index("Gap of the loss") + 1] == "0 %"


def test_a_plan_that_places_nothing_is_a_plan(tmp_path: Path) -> None:
    """All that ran ends: it is among the moves, on the page and in JSON."""
    instance = load_catalog("re-planning")
    texts = Document(html_report(instance, Plan(), before=instance.current)).texts
    assert texts[texts.index("VMs placed") + 1] == "0 of 4" and "goes" in texts
    told = REPORT.plain((tmp_path, instance, Plan(), instance.current, None, None))
    assert [move["change"] for move in told["moves"]] == ["goes"] * 3
    assert told["plan"]["placements"] == {} and told["cost"]["after"]["loss_micro"] == 0
    validator("report").validate(told)


def test_no_plan_is_a_report_too() -> None:
    """If nothing fits, the page tells why and shows what is there now, or empty hosts."""
    instance = make_instance(Vm("giant", 64, 1024, required=True))
    result = solve(instance, "cpsat", SolveParams(time_limit_s=20, workers=1))
    texts = Document(html_report(instance, None, result=result)).texts
    assert "Proven: no plan obeys the rules." in texts and "Why there is no plan" in texts
    assert set(result.reasons) <= set(texts) and result.reasons


def test_rules_broken_are_told_first() -> None:
    """The verdict is that rules are broken; a table says which."""
    instance = make_instance(Vm("wide", 8, 1024, max_cells=1))
    plan = Plan({"wide": Placement("host", (PlacedCell(0, 8, ((0, 1024),)),))})
    found = violations(instance, plan)
    texts = Document(html_report(instance, plan, found=found)).texts
    assert "The plan breaks 1 rule, see below." in texts
    assert found[0].message in texts and "shared_cpus" in texts


def test_a_report_is_the_same_each_time() -> None:
    """No time of day, no random ids."""
    instance, plan = sample("rich")
    assert html_report(instance, plan) == html_report(instance, plan)
