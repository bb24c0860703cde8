"""The page in a real Chromium."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

playwright: Any = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install playwright"
)
uvicorn: Any = pytest.importorskip("uvicorn", reason='needs uvicorn: pip install "agentq[view]"')
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
EPISODE = "#/episode/" + quote("best@3|t3#0", safe="")


@pytest.fixture
def run(make_run: Callable[..., Path], tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", 60)


@pytest.fixture
def address(run: Path) -> Iterator[str]:
    from agentq_eval.viewer.app import create_app

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(create_app(run), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as found:
        chromium = found.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """An open page; nothing may be written to its console as an error, and no dialog of a script may open."""
    opened = browser.new_page(viewport={"width": 1200, "height": 800})
    problems: list[str] = []
    opened.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
    opened.goto(address)
    opened.wait_for_selector(".row")
    yield opened
    opened.close()
    assert problems == []


def until(page: Any, condition: str) -> None:
    """Wait for a JavaScript condition; the page's own policy forbids Playwright's way of polling it."""
    deadline = time.monotonic() + 10
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def until_equal(read: Callable[[], object], expected: object) -> None:
    """Wait for what a page shows: it is drawn some time after the address or a form has changed."""
    deadline = time.monotonic() + 10
    while (found := read()) != expected:
        assert time.monotonic() < deadline, f"{found!r}, expected {expected!r}"
        time.sleep(0.02)


def counted(page: Any) -> str:
    return page.locator("[role=status]").inner_text()


def step_shown(page: Any) -> str:
    return page.locator(".steps a[aria-current=step]").inner_text()


def test_opening_and_filtering(page: Any) -> None:
    assert counted(page) == "120 of 120 episodes"
    assert page.locator("h1").inner_text() == "A <i>stub</i> run"  # text, not markup
    page.get_by_label("Search tasks").fill("t3")
    assert counted(page) == "22 of 120 episodes"  # t3, t30 to t39
    page.get_by_label("How it ended").select_option("won")
    assert counted(page) == "5 of 120 episodes"  # t3, t30, t33, t36, t39
    page.get_by_label("Search tasks").fill("")
    page.get_by_label("How it ended").select_option("failed")
    assert counted(page) == "1 of 120 episodes"
    page.get_by_label("How it ended").select_option("all")
    page.get_by_label("arms disagree").check()
    assert counted(page) == "40 of 120 episodes"  # every third task, both arms
    page.get_by_label("arms disagree").uncheck()
    page.get_by_label("Arm", exact=True).select_option("best@3")
    assert counted(page) == "60 of 120 episodes"
    page.get_by_role("button", name="Score").click()
    assert page.locator(".row").first.inner_text().startswith("t0")


def test_stepping_through_an_episode(page: Any, address: str) -> None:
    page.get_by_label("Search tasks").fill("t3")
    page.get_by_label("Arm", exact=True).select_option("best@3")
    page.locator(".row").first.click()
    page.wait_for_selector(".candidates li")
    assert page.locator(".message pre").inner_text() == "page 0 of t3 <script>alert(1)</script>"
    candidates = page.locator(".candidates li")
    assert candidates.count() == 3
    chosen = page.locator(".candidates li.chosen").inner_text()
    for words in (
        "press <b>one</b>",
        "Q 0.700",
        "heads 0.700 0.700",
        "label 1.000",
        "log p \u22120.75",
        "p 1.000",
    ):
        assert words in chosen
    assert "no action in it" in candidates.nth(2).inner_text()
    assert "30 tokens" in page.locator(".facts").inner_text()
    page.keyboard.press("j")
    page.wait_for_selector(".shot img")
    mark, shot = page.locator(".shot i").bounding_box(), page.locator(".shot").bounding_box()
    assert mark["x"] + mark["width"] / 2 == pytest.approx(shot["x"] + shot["width"] / 4, abs=1)
    page.keyboard.press("ArrowRight")
    until(page, "location.hash.endsWith('/step/2')")
    until_equal(lambda: step_shown(page), "2")
    assert "1.000 (the end)" in page.locator("dl").first.inner_text()
    page.keyboard.press("ArrowRight")  # there is no further one
    assert page.evaluate("location.hash").endswith("/step/2")
    page.reload()
    page.wait_for_selector(".steps a[aria-current=step]")
    assert step_shown(page) == "2"
    page.keyboard.press("Escape")
    page.wait_for_selector(".row")


def test_comparing_two_arms(page: Any, address: str) -> None:
    page.goto(address + EPISODE + "/step/0")
    page.get_by_label("Compare with").select_option("sampled@1")
    page.wait_for_selector(".pair")
    assert page.locator(".pair > section").count() == 2
    assert page.locator(".differs-note").count() == 2
    assert "another action" in page.locator(".differs-note h2").first.inner_text()
    page.keyboard.press("j")
    until(page, "location.hash.includes('step=1')")
    until_equal(lambda: step_shown(page), "1")
    page.go_back()
    until_equal(page.locator(".pair").count, 0)
    page.wait_for_selector(".candidates")


def test_everything_by_keyboard(page: Any) -> None:
    page.keyboard.press("/")
    until(page, "document.activeElement.type === 'search'")
    page.keyboard.type("t42")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector(".candidates")
    assert page.locator("main h1").inner_text() == "t42"
    assert "best@3" in page.locator(".facts").inner_text()
    page.keyboard.press("p")
    until(page, "document.querySelector('.facts').innerText.includes('sampled@1')")
    page.keyboard.press("?")
    until_equal(page.locator("dialog[open]").count, 1)
    page.keyboard.press("Escape")
    until_equal(page.locator("dialog[open]").count, 0)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")


def test_new_episodes_appear_while_it_is_open(
    page: Any, run: Path, append: Callable[[Path, int], None]
) -> None:
    append(run, 4)
    until(page, "document.querySelector('[role=status]').innerText === '124 of 124 episodes'")
    assert page.locator("header").inner_text().count("A <i>stub</i> run") == 1


def test_an_episode_that_is_not_there(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address + "#/episode/nobody/step/0")
    page.wait_for_selector("[role=alert]")
    assert "'nobody' is not in" in page.locator("[role=alert]").inner_text()
    page.get_by_role("link", name="Back to the list").click()
    page.wait_for_selector(".row")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(browser: Any, address: str, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    compare = "#/compare/t3/0?a=" + quote("sampled@1") + "&b=" + quote("best@3")
    backgrounds = set()
    for place, ready in (("", ".row"), (EPISODE + "/step/1", ".candidates"), (compare, ".pair")):
        page.goto(address + place)
        page.wait_for_selector(ready)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        backgrounds.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert backgrounds == {"rgb(251, 251, 250)" if scheme == "light" else "rgb(20, 23, 28)"}
    page.close()
