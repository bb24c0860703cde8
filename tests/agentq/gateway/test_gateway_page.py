"""The page of live decisions in a real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.agentq.gateway.conftest import LengthCritic, Running, until
from tests.servers.upstream import StubUpstream, chat_answer

playwright: Any = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install playwright"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
Serve = Callable[..., Running]
Upstream = Callable[..., StubUpstream]


def markup(path: str, body: dict[str, Any]) -> tuple[int, Any]:
    return 200, chat_answer(["press <b>one</b>", "press <script>alert(1)</script>"] * 2)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as found:
        chromium = found.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages; none may report an error of its own, start a dialog, or ask another host."""
    problems: list[str] = []
    pages: list[Any] = []

    def start(address: str, **options: Any) -> Any:
        page = browser.new_page(**{"viewport": {"width": 1000, "height": 800}, **options})
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
        page.on(
            "request",
            lambda r: None if r.url.startswith(("http://127.0.0.1", "data:")) else problems.append(r.url),
        )
        page.goto(address)
        pages.append(page)
        return page

    yield start
    for page in pages:
        page.close()
    assert problems == []


def cards(page: Any, count: int) -> Any:
    found = page.locator("article")
    until(lambda: found.count() == count)
    return found


@needs_browser
def test_decisions_appear_while_they_are_made_and_their_text_stays_text(
    serve: Serve, upstream: Upstream, open_page: Callable[..., Any]
) -> None:
    gateway = serve(upstream(markup).url, LengthCritic())
    page = open_page(gateway.url)
    until(lambda: "No decision yet" in page.locator("#notice").inner_text())
    gateway.chat("a secret goal", headers={"x-agentq-session": "s1"})
    card = cards(page, 1).first
    assert "guided" in card.locator("h2").inner_text()
    assert "session s1, step 0" in card.inner_text()
    assert "upstream" in card.inner_text()
    rows = card.locator("li")
    assert rows.count() == 2
    assert "press <script>alert(1)</script>" in rows.nth(1).inner_text()
    assert rows.nth(1).get_attribute("class") == "chosen"
    assert "×2" in rows.nth(0).inner_text()
    widths = [rows.nth(i).locator(".track i").bounding_box()["width"] for i in range(2)]
    assert 0 < widths[0] < widths[1]
    assert "Q 31.000" in rows.nth(1).inner_text()
    assert "a secret goal" not in page.content()
    gateway.chat("fail")
    assert "unguided: critic_error" in cards(page, 2).first.inner_text()


@needs_browser
def test_messages_are_shown_when_that_was_asked_for(
    serve: Serve, upstream: Upstream, open_page: Callable[..., Any]
) -> None:
    gateway = serve(upstream(markup).url, LengthCritic(), log_content=True)
    gateway.chat("a <i>secret</i> goal")
    page = open_page(gateway.url)
    card = cards(page, 1).first
    card.locator("summary").click()
    assert card.locator("pre").inner_text() == "a <i>secret</i> goal"


@needs_browser
def test_keys_reach_everything_and_a_pause_holds(
    serve: Serve, upstream: Upstream, open_page: Callable[..., Any]
) -> None:
    gateway = serve(upstream(markup).url, LengthCritic())
    for _ in range(3):
        gateway.chat()
    page = open_page(gateway.url)
    cards(page, 3)
    for key, label in (("j", "Decision 3"), ("j", "Decision 2"), ("k", "Decision 3")):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == label
    page.keyboard.press("p")
    assert page.locator("#pause").get_attribute("aria-pressed") == "true"
    gateway.chat()
    page.wait_for_timeout(1500)
    assert page.locator("article").count() == 3
    page.keyboard.press("p")
    cards(page, 4)


@needs_browser
def test_it_fits_a_phone_and_follows_the_dark(
    serve: Serve, upstream: Upstream, open_page: Callable[..., Any]
) -> None:
    gateway = serve(upstream(lambda p, b: (200, chat_answer(["x" * 300] * b["n"]))).url, LengthCritic())
    gateway.chat()
    colors = []
    for scheme in ("light", "dark"):
        page = open_page(gateway.url, viewport={"width": 360, "height": 700}, color_scheme=scheme)
        cards(page, 1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        colors.append(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert colors[0] != colors[1]


@needs_browser
def test_a_gateway_with_a_key_asks_for_it_first(
    serve: Serve, upstream: Upstream, open_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "word")
    gateway = serve(upstream(markup).url, LengthCritic(), api_key_variable="GATEWAY_KEY")
    gateway.chat(headers={"Authorization": "Bearer word"})
    page = open_page(gateway.url)
    until(lambda: page.locator("#key").is_visible())
    page.locator("#word").fill("wrong")
    page.keyboard.press("Enter")
    until(lambda: "not the gateway's" in page.locator("#notice").inner_text())
    assert page.locator("article").count() == 0
    page.locator("#word").fill("word")
    page.keyboard.press("Enter")
    cards(page, 1)
    assert not page.locator("#key").is_visible()


def test_decisions_are_for_this_machine_under_its_own_name(serve: Serve, upstream: Upstream) -> None:
    gateway = serve(upstream(markup).url, LengthCritic())
    assert gateway.get("/agentq/decisions").status_code == 200
    rebound = httpx.get(f"{gateway.url}/agentq/decisions", headers={"Host": "evil.example"})
    assert rebound.status_code == 403
    forwarded = httpx.get(f"{gateway.url}/agentq/decisions", headers={"X-Forwarded-For": "203.0.113.9"})
    assert forwarded.status_code == 403
    page = gateway.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert gateway.get("/static/../app.py").status_code == 404


def test_the_page_can_be_left_out(serve: Serve, upstream: Upstream) -> None:
    gateway = serve(upstream(markup).url, LengthCritic(), page=False)
    assert {gateway.get(path).status_code for path in ("/", "/agentq/decisions", "/static/page.js")} == {404}
