"""report.html in a real Chromium: skipped where there is none (`make chromium` installs Debian's, as root)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.runs.page_suites import LOST, hostile_fields, write_suite

from caplab.run import drills, pages

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make venv")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: make venv")
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH: make chromium (as root)")
PATIENCE_MS = 120_000  # these tests run in idle time beside others
RUN = "#run-3"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=options, timeout=PATIENCE_MS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pages.write_suite(write_suite(tmp_path_factory.mktemp("page") / "20261129-180000-core"), {})


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """Return a page that all tests share; errors of its console are in its attribute `errors`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    shared = context.new_page()
    yield shared
    context.close()


@pytest.fixture
def errors(page: Page) -> Iterator[list[str]]:
    found: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            found.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: found.append(str(error)))
    yield found
    page.remove_listener("console", heard)


def show(page: Page, file: Path, where: str = "") -> None:
    page.goto("about:blank")
    page.goto(f"file://{file}{where}")
    if where:
        page.wait_for_selector(f"body[data-ready='{where}']", state="attached")


def draw_all(page: Page) -> None:
    for chart in page.query_selector_all("[data-chart]"):
        chart.scroll_into_view_if_needed()
    page.wait_for_selector("[data-chart]:not([data-drawn])", state="detached")  # the page's policy forbids eval


def sideways(page: Page) -> int:
    """Return the pixels by which the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def violations(page: Page) -> list[str]:
    response: dict[str, Any] = axe.Axe().run(page).response
    return [f"{rule['id']}: {node['html'][:200]}" for rule in response["violations"] for node in rule["nodes"]]


def first_cells(page: Page, column: int) -> list[str]:
    rows = (
        f"[...document.querySelectorAll('#runs tbody tr')].filter(row => !row.hidden).map(row => row.cells[{column}])"
    )
    return [str(text) for text in page.evaluate(f"{rows}.map(cell => cell ? cell.innerText.split('\\n')[0] : '')")]


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_in_both_schemes_and_widths(
    page: Page, errors: list[str], report: Path, width: int, scheme: Any
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    show(page, report)
    assert sideways(page) == 0
    assert violations(page) == []
    show(page, report, RUN)
    draw_all(page)
    assert page.locator("[data-chart] svg").count() == 4
    assert sideways(page) == 0
    assert violations(page) == []
    assert errors == []
    page.set_viewport_size({"width": 1280, "height": 900})


def test_the_table_sorts_and_filters(page: Page, errors: list[str], report: Path) -> None:
    show(page, report)
    page.select_option("select[name=engine]", "redis")
    assert len(first_cells(page, 1)) == 1
    assert page.inner_text("#shown") == "1 of 5 shown"
    page.select_option("select[name=engine]", "")
    page.select_option("select[name=verdict]", "invalid")
    assert len(first_cells(page, 0)) == 2
    page.select_option("select[name=engine]", "redis")
    page.select_option("select[name=verdict]", "unknown")
    assert page.inner_text("#shown") == "0 of 5 shown: no run matches all of these filters. Set one of them to all"
    page.select_option("select[name=engine]", "")
    page.select_option("select[name=verdict]", "")
    lost = page.locator("th", has_text="acked writes lost")
    for order, ends in (("ascending", "0 of 2,800"), ("descending", f"{LOST} of 2,820")):
        lost.get_by_role("button").click()
        assert lost.get_attribute("aria-sort") == order
        texts = [text for text in first_cells(page, 3) if text]
        assert texts[0] == ends
    assert errors == []


def test_a_click_on_a_lost_write_leads_to_its_operations(page: Page, errors: list[str], report: Path) -> None:
    show(page, report, RUN)
    lost = page.locator("path.anomaly.lost").first
    lost.scroll_into_view_if_needed()
    box = lost.bounding_box()
    assert box
    page.mouse.click(box["x"] + 1, box["y"] + box["height"] / 2)
    row = page.locator("tr.chosen")
    row.wait_for()
    assert "lost" in row.inner_text()
    assert "add = 312" in row.inner_text()
    assert row.evaluate("row => row === document.activeElement")
    page.get_by_role("button", name="left)").click()
    assert page.locator(".anomalies tbody tr").count() == 40
    assert errors == []


def test_the_time_is_stretched_and_read_by_the_pointer(page: Page, errors: list[str], report: Path) -> None:
    show(page, report, RUN)
    page.get_by_role("button", name="+", exact=True).click()
    stretched = page.locator(".stretches").get_attribute("transform") or ""
    assert float(stretched.removeprefix("matrix(").split()[0]) == pytest.approx(2)
    page.get_by_role("button", name="all", exact=True).click()
    page.locator(".timeline").scroll_into_view_if_needed()
    frame = page.locator(".timeline svg").bounding_box()
    assert frame
    strip = page.locator(".timeline path[stroke-width='10']").first.bounding_box()
    assert strip
    page.mouse.move(frame["x"] + frame["width"] / 2, strip["y"] + strip["height"] / 2)
    assert "% of what was scheduled was acknowledged" in page.inner_text(".readout")
    assert errors == []


def test_on_a_telephone_the_picture_is_readable_and_its_names_stay_in_sight(
    page: Page, errors: list[str], report: Path
) -> None:
    page.set_viewport_size({"width": 400, "height": 900})
    show(page, report, RUN)
    name, zone = page.locator(".names text", has_text="writes direct").first, page.locator(".names .stuck").first
    box = page.locator(".timeline").bounding_box()
    assert box
    assert float(name.evaluate("name => 11 * name.getScreenCTM().a")) > 9.5  # pixels of its letters
    fault = page.locator(".timeline rect.fault").first.bounding_box()
    assert fault
    assert box["x"] + box["width"] / 3 < fault["x"] < box["x"] + 2 * box["width"] / 3
    page.evaluate("document.querySelector('.timeline').scrollLeft = 0")
    zone.wait_for(state="hidden")
    page.evaluate("document.querySelector('.timeline').scrollLeft = 300")
    zone.wait_for()
    for label in (name, zone):
        place = label.bounding_box()
        assert place
        assert box["x"] <= place["x"]
        assert place["x"] + place["width"] < box["x"] + box["width"] / 2
    page.evaluate("document.querySelector('.timeline').scrollLeft = 0")
    page.locator(".timeline").press("n")
    pointed = page.locator(".timeline .pointed").bounding_box()
    assert pointed
    assert box["x"] + box["width"] / 3 < pointed["x"] < box["x"] + 2 * box["width"] / 3
    page.set_viewport_size({"width": 1280, "height": 900})
    assert errors == []


def test_the_keyboard_alone_suffices(page: Page, errors: list[str], report: Path) -> None:
    """From the table to a run, to a marked operation, to its row, and back."""
    show(page, report)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == RUN:
            break
    page.keyboard.press("Enter")
    page.wait_for_selector(f"body[data-ready='{RUN}']", state="attached")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "timeline":
            break
    page.keyboard.press("n")
    assert "s, zone" in page.inner_text(".readout")
    page.keyboard.press("Enter")
    page.locator("tr.chosen").wait_for()
    assert page.evaluate("document.activeElement.tagName") == "TR"
    page.go_back()
    page.go_back()
    page.wait_for_selector("#overview:not([hidden])")
    assert page.evaluate("document.activeElement.getAttribute('href')") == RUN
    assert errors == []


def test_hostile_text_is_shown_as_text(page: Page, errors: list[str], tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "20261129-180000-core", hostile_fields())
    show(page, pages.write_suite(folder, {}), RUN)
    draw_all(page)
    assert page.evaluate("window.attacked") is None
    assert page.locator("img").count() == 0
    assert "<img src=x onerror=" in page.inner_text("article")
    assert sideways(page) == 0
    assert errors == []


def test_what_these_tests_look_for_is_found_if_it_is_there(page: Page, errors: list[str], report: Path) -> None:
    show(page, report)
    page.evaluate("document.body.append(Object.assign(document.createElement('input'), {style: 'width: 3000px'}))")
    assert sideways(page) > 1000
    assert any("label" in violation for violation in violations(page))
    page.evaluate("console.error('planted')")
    with page.expect_event("pageerror"):
        page.evaluate("setTimeout(() => { throw new Error('planted too') })")
    assert any("planted too" in error for error in errors)
    assert "planted" in errors


A4_PIXELS = 703  # the width of a sheet between margins of 12 mm
# By how many pixels each table of a section is wider than its room.
SAW_WHAT = """[...document.querySelectorAll('table')].filter(table => {
  let before = table;
  while (before && before.tagName !== 'H2') before = before.previousElementSibling;
  return before?.textContent === 'Who saw what';
}).map(table => table.scrollWidth - table.clientWidth)"""
WIDEST = "Math.max(...[...document.querySelectorAll('table')].map(each => each.getBoundingClientRect().width))"


def test_a_drill_record_fits_a_sheet_and_a_telephone(page: Page, errors: list[str], report: Path) -> None:
    show(page, drills.write_suite(report.parent)[-1])
    page.emulate_media(media="print")
    page.set_viewport_size({"width": A4_PIXELS, "height": 900})
    assert page.evaluate(WIDEST) <= A4_PIXELS
    page.emulate_media(media="screen")
    for width in (400, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(SAW_WHAT) == [0] * 8  # two tables of each of four runs
    assert errors == []
