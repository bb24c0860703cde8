from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Path]


@pytest.fixture
def client(make_run: Make, tmp_path: Path) -> Any:
    testclient = pytest.importorskip("fastapi.testclient", reason='needs fastapi: pip install "agentq[view]"')
    from agentq_eval.viewer.app import create_app

    run = make_run(tmp_path / "run")
    (run / "report.html").write_text("<p>report</p>")
    (tmp_path / "secret.txt").write_text("secret")
    return testclient.TestClient(create_app(run), base_url="http://127.0.0.1")


def test_the_list_and_an_episode(client: Any) -> None:
    about = client.get("/api/source").json()
    assert about["runs"][0]["planned"] == about["runs"][0]["episodes"] == 20
    rows = client.get("/api/episodes").json()["rows"]
    assert len(rows) == 20
    assert client.get("/api/episodes", params={"since": 18}).json()["rows"] == rows[18:]
    episode = client.get("/api/episode", params={"id": "best@3|t3#0"}).json()
    assert (episode["success"], episode["score"], len(episode["steps"])) == (True, 1.0, 3)
    step = episode["steps"][0]
    assert [c["q"] for c in step["candidates"]] == [0.7, 0.2, "-inf"]
    assert step["candidates"][2]["error"] == "no action in it"
    assert step["candidates"][0]["heads"] == [0.7, 0.7]
    assert step["candidates"][0]["logprob"] == -0.75
    assert step["timings"]["tokens"] == 10


def test_what_is_not_there_is_said(client: Any) -> None:
    answer = client.get("/api/episode", params={"id": "nobody"})
    assert answer.status_code == 404
    assert "'nobody' is not in" in answer.json()["error"]
    assert "run 'x' is not here" in client.get("/api/episodes", params={"run": "x"}).json()["error"]
    assert client.get("/gain.png").status_code == 404


def test_only_its_own_files_are_served(client: Any) -> None:
    assert client.get("/report.html").text == "<p>report</p>"
    for path in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fsecret.txt",
        "/run.json",
        "/static/app.py",
    ):
        assert client.get(path).status_code == 404
    for name in ("", "static/main.js", "static/style.css"):
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "http://" not in answer.text.replace("http://www.w3.org", "")
        assert "https://" not in answer.text


def test_another_host_name_is_refused(client: Any) -> None:
    for host in ("evil.example", "evil.example:8765", "127.0.0.1.evil.example"):
        assert client.get("/api/source", headers={"host": host}).status_code == 400
    for host in ("localhost:8765", "127.0.0.1", "[::1]:8765"):
        assert client.get("/api/source", headers={"host": host}).status_code == 200
