"""The report in a headless Chromium: clicked, typed at, without scripts, narrow, dark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from numaplace.instances.catalog import load_catalog
from numaplace.models.instance import Instance
from numaplace.models.vm import Vm
from numaplace.report.html.report import html_report
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.browser import ENTER, RIGHT, SPACE, Browser, driver_server

pytestmark = pytest.mark.slow

HOSTILE = "<script>document.title='hacked'</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with driver_server(tmp_path_factory.mktemp("driver")) as address:
        yield address


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    instance = replaned()
    result = solve(instance, "cpsat", SolveParams(time_limit_s=20, workers=1))
    text = html_report(instance, result.plan, before=instance.current, result=result)
    path.write_text(text, encoding="utf-8")
    return path


def replaned() -> Instance:
    """The catalogue's instance for re-planning, with a VM whose name is an attack."""
    instance = load_catalog("re-planning")
    return replace(instance, vms=(*instance.vms, Vm(HOSTILE, 1, 1024, value=0.5)))


@pytest.fixture
def page(server: str, report: Path) -> Iterator[Browser]:
    browser = Browser(server)
    browser.open(report)
    yield browser
    assert browser.complaints() == []
    assert {url for url in browser.requests() if not url.startswith("data:")} == {
        report.resolve().as_uri()
    }
    browser.quit()


def column(browser: Browser, table: str, at: int) -> list[str]:
    code = f"return Array.from(document.querySelectorAll('#{table} tbody tr'), r => "
    return list(browser.run(code + f"r.cells[{at}].textContent)"))


def test_pictures_are_switched_by_clicks(page: Browser) -> None:
    """One picture at a time, or both; nothing but style rules does it."""
    before, after = ".view.before svg", ".view.after svg"
    assert (page.shown(before), page.shown(after)) == (False, True)
    page.click("label[for=show-before]")
    assert (page.shown(before), page.shown(after)) == (True, False)
    page.click("label[for=show-both]")
    assert (page.shown(before), page.shown(after)) == (True, True)
    page.click("label[for=show-after]")
    assert (page.shown(before), page.shown(after)) == (False, True)


def test_pictures_are_switched_by_keys(page: Browser) -> None:
    """An arrow key on the radio buttons goes to the next picture."""
    page.keys("#show-after", RIGHT)
    assert page.shown(".view.before svg") and not page.shown(".view.after svg")


def test_tables_are_sorted_by_click_and_key(page: Browser) -> None:
    """By number, up and then down; by text with a key; assistive technology is told."""
    assert page.text("#vms th:nth-child(2)").startswith("vCPUs")
    given = column(page, "vms", 1)
    page.click("#vms th:nth-child(2) button")
    assert column(page, "vms", 1) == sorted(given, key=int) != given
    page.click("#vms th:nth-child(2) button")
    assert column(page, "vms", 1) == sorted(given, key=int, reverse=True)
    sort = "return document.querySelector('#vms th:nth-child(2)').getAttribute('aria-sort')"
    assert page.run(sort) == "descending"
    page.keys("#moves th:nth-child(5) button", ENTER)
    copied = [int(text.split()[0]) for text in column(page, "moves", 4)]
    assert copied == sorted(copied)
    page.keys("#moves th:nth-child(1) button", SPACE)
    names = column(page, "moves", 0)
    assert names == sorted(names) and len(names) >= 3


def test_a_hostile_name_is_text(page: Browser) -> None:
    """It is shown as it is, and neither makes an element nor runs."""
    assert HOSTILE in column(page, "vms", 0)
    assert page.run("return document.title") == "re-planning: report"
    assert page.run("return document.querySelectorAll('img').length") == 0
    assert page.run("return document.scripts.length") == 1


def test_the_policy_holds(server: str, report: Path) -> None:
    """A script and an image that got into the page all the same are refused."""
    hacked = report.with_name("hacked.html")
    attack = "<body><script>document.title='hacked'</script><img src='http://127.0.0.1:9/x.png'>"
    text = report.read_text(encoding="utf-8")
    hacked.write_text(text.replace("<body>", attack, 1), encoding="utf-8")
    browser = Browser(server)
    try:
        browser.open(hacked)
        assert browser.run("return document.title") == "re-planning: report"
        refused = " ".join(browser.complaints())
        assert "Content Security Policy" in refused
        assert "img-src" in refused and "script-src" in refused
    finally:
        browser.quit()


def test_without_scripts(server: str, report: Path) -> None:
    """Pictures can be switched, tables are whole and their heads are text."""
    browser = Browser(server, javascript=False)
    try:
        browser.open(report)
        browser.click("label[for=show-before]")
        assert browser.shown(".view.before svg") and not browser.shown(".view.after svg")
        assert browser.text("#vms th:nth-child(1)") == "VM"
    finally:
        browser.quit()


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_no_sideways_scrolling_of_the_page(page: Browser, width: int) -> None:
    """What is wide scrolls in a frame of its own, also on a phone."""
    page.resize(width, 800)
    page.click("label[for=show-both]")
    wide = "return document.documentElement.scrollWidth"
    assert int(page.run(wide)) <= width


def test_dark_page_has_light_text(server: str, report: Path) -> None:
    """The page follows the reader's choice, text and ground differ clearly in both."""
    for dark in (False, True):
        browser = Browser(server, dark=dark)
        try:
            browser.open(report)
            query = "return matchMedia('(prefers-color-scheme: dark)').matches"
            assert browser.run(query) is dark
            style = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
            ink, paper = (_brightness(colour) for colour in browser.run(style))
            assert (ink > paper) is dark and abs(ink - paper) > 150
        finally:
            browser.quit()


def _brightness(colour: str) -> float:
    parts = colour.partition("(")[2].rstrip(")").split(",")[:3]
    return sum(float(part) for part in parts) / 3
