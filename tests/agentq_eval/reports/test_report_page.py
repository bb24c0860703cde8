from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from agentq_eval.reports import report_of_run, write_run_report
from agentq_eval.reports.charts.svg import Scale, nice_ticks, spread, tick_text
from agentq_eval.reports.page import render_html, trace_link

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.charts: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]
        self.ids += [str(value) for name, value in attrs if name == "id"]
        if "chart" in str(dict(attrs).get("class")).split():
            self.charts.append(dict(attrs))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(troubled_folder: Path) -> str:
    return render_html(report_of_run(troubled_folder))


@pytest.fixture(scope="module")
def page(text: str) -> _Page:
    parsed = _Page()
    parsed.feed(text)
    return parsed


def test_the_page_is_well_formed_and_needs_no_network(text: str, page: _Page) -> None:
    assert page.open == []
    assert "script" not in page.tags
    assert {"svg", "table", "main", "nav", "details"} <= page.tags
    assert not re.search(r"https?://|url\(|@import|@font-face", text)
    assert "A &lt;stub&gt; of a shop" in text
    assert "<stub>" not in text


def test_links_lead_to_sections_or_traces(page: _Page) -> None:
    traces = [link for link in page.links if link.startswith("./#/episode/")]
    sections = [link[1:] for link in page.links if not link.startswith("./")]
    assert set(sections) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    named = {unquote(link.split("/")[3]) for link in traces}
    assert "best_of_n@4|shop/0#0" in named  # the failed one
    assert trace_link("a@1|t/x#0") == "./#/episode/a%401%7Ct%2Fx%230/step/0"


def test_every_chart_can_be_focused_and_read_out(text: str, page: _Page) -> None:
    assert len(page.charts) >= 10  # two of each: for wide and for narrow screens
    for chart in page.charts:
        assert chart["tabindex"] == "0"
        assert chart["role"] == "img"
        title, description = str(chart["aria-labelledby"]).split()
        assert {title, description} <= set(page.ids)
    assert text.count("wide") >= len(page.charts) // 2


def test_what_a_reader_must_know_first_is_said(text: str, make_run: Callable[..., Path]) -> None:
    assert "Infrastructure lost 1 episode for good" in text
    assert "If every retried episode had failed" in text
    missing = {f"best_of_n@4|shop/{task}#0": None for task in range(5)}
    unfinished = render_html(report_of_run(make_run(None, missing)))
    assert "5 of 100 planned episodes are not played yet" in unfinished
    assert "No episode was retried or lost" in unfinished


def test_axes_have_round_numbers_that_cover_the_data() -> None:
    assert nice_ticks(0.13, 0.87, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert nice_ticks(0.5, 0.5)[0] <= 0.5 <= nice_ticks(0.5, 0.5)[-1]
    assert tick_text([-0.05, 0.0, 0.05], signed=True)(-0.05) == "−0.05"
    scale = Scale(1, 100, 0, 10, log=True)
    assert scale(10) == pytest.approx(5)
    places = spread([5.0, 5.0, 5.0], 10, 0, 100)
    assert sorted(places) == [5.0, 15.0, 25.0]
    assert max(spread([98.0, 99.0], 10, 0, 100)) <= 100


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(make_run: Callable[..., Path]) -> str:
    folder = make_run()
    write_run_report(folder)
    return (folder / "report.html").as_uri()


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_no_screen_scrolls_sideways(browser: Any, address: str, width: int) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 844})
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(address)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    shown = tab.evaluate("[...document.querySelectorAll('svg.chart')].filter(c => c.clientWidth).length")
    assert 2 * shown == tab.evaluate("document.querySelectorAll('svg.chart').length")
    assert asked == [address]
    tab.close()


@pytest.mark.slow
def test_the_keyboard_reaches_results_and_charts(browser: Any, address: str) -> None:
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.goto(address)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the results"
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#summary"
    reached = False
    for _ in range(12):
        tab.keyboard.press("Tab")
        reached = reached or tab.evaluate("document.activeElement.classList.contains('chart')")
    assert reached
    tab.close()


@pytest.mark.slow
def test_dark_screens_get_dark_pages(browser: Any, address: str) -> None:
    shades: dict[str, int] = {}
    for scheme in ("light", "dark"):
        tab = browser.new_page(color_scheme=scheme)
        tab.goto(address)
        colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        shades[scheme] = sum(map(int, re.findall(r"\d+", colour)[:3]))
        tab.close()
    assert shades["dark"] < 150 < 600 < shades["light"]
