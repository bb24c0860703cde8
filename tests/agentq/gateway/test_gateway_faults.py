"""Everything that can go wrong around the gateway: no crash, no wrong answer, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from agentq.critics.child_process import ChildCritic, CriticFactory
from tests.agentq.gateway.conftest import LengthCritic, Running, until, words
from tests.servers.upstream import StubUpstream, chat_answer

Serve = Callable[..., Running]
Upstream = Callable[..., StubUpstream]
FACTORY = CriticFactory("tests.agentq.gateway.conftest:make_length_critic")


def chosen(answer: httpx.Response) -> str:
    return answer.json()["choices"][0]["message"]["content"]


def nothing_left(gateway: Running, tasks: int) -> None:
    """The queue is empty, no request runs, and there are no more tasks than before."""
    until(lambda: gateway.tasks() <= tasks and gateway.gateway.guide.critic.batcher.depth == 0)
    assert gateway.chat().status_code == 200
    until(lambda: gateway.metric("agentq_requests_in_flight") == 0)


def test_a_killed_upstream_gives_502_and_is_found_again(serve: Serve, upstream: Upstream) -> None:
    stub = upstream()
    gateway = serve(stub.url, LengthCritic())
    assert chosen(gateway.chat()) == "press three"
    tasks = gateway.tasks()
    stub.stop()
    answer = gateway.chat()
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "unreachable"
    assert gateway.get("/health").json()["upstream"]["state"] == "failing"
    assert gateway.metric("agentq_upstream_errors_total", kind="unreachable") == 1
    upstream(words, stub.port)
    assert chosen(gateway.chat()) == "press three"
    assert gateway.get("/health").json()["upstream"] == {"state": "ok", "error": None}
    nothing_left(gateway, tasks)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_what_the_upstream_refuses_goes_through_unchanged(
    serve: Serve, upstream: Upstream, status: int
) -> None:
    said = json.dumps({"error": {"message": "no", "odd": [1, 2]}}, indent=3).encode()
    gateway = serve(upstream(lambda path, body: (status, said)).url, LengthCritic())
    every: tuple[dict[str, Any], ...] = ({}, {"stream": True}, {"agentq": {"enabled": False}})
    for more in every:
        answer = gateway.chat(**more)
        assert (answer.status_code, answer.content) == (status, said)
        assert answer.headers["content-type"] == "application/json"
    assert gateway.metric("agentq_upstream_errors_total", kind=str(status)) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("n_in_one", [True, False])
def test_what_a_refusals_headers_say_goes_through_and_what_belongs_to_the_connection_does_not(
    serve: Serve, upstream: Upstream, status: int, n_in_one: bool
) -> None:
    told = {
        "content-type": "application/problem+json", "retry-after": "7", "x-request-id": "req-9",
        "www-authenticate": 'Bearer realm="up"', "x-ratelimit-remaining-tokens": "0", "x-should-retry": "false",
    }  # fmt: skip
    others = {"keep-alive": "timeout=5", "set-cookie": "a=b", "x-powered-by": "stub", "via": "1.1 up"}

    def refuse(path: str, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if not n_in_one and body.get("n", 1) > 1:  # then each of n single requests is refused
            return 400, {"error": {"message": "'n' must be 1"}}, {}
        return status, b"<said/>", {**told, **others}

    gateway = serve(upstream(refuse).url, LengthCritic())
    every: tuple[dict[str, Any], ...] = ({}, {"stream": True}, {"agentq": {"enabled": False}})
    for more in every:
        answer = gateway.chat(**more)
        assert (answer.status_code, answer.content) == (status, b"<said/>")
        assert {name: answer.headers.get(name) for name in told} == told
        assert not set(others) & set(answer.headers)
        assert answer.headers["content-length"] == "7"


def test_an_upstream_that_answers_nonsense_is_a_502(serve: Serve, upstream: Upstream) -> None:
    gateway = serve(upstream(lambda path, body: (200, b"<html>")).url, LengthCritic())
    assert gateway.chat().json()["error"]["code"] == "broken"


def test_a_killed_critic_process_costs_guidance_for_a_while_only(serve: Serve, upstream: Upstream) -> None:
    critic = ChildCritic(FACTORY)
    critic.wait_ready(60)
    gateway = serve(upstream().url, critic)
    tasks = gateway.tasks()
    assert chosen(gateway.chat()) == "press three"
    assert critic.pid is not None
    os.kill(critic.pid, signal.SIGKILL)
    until(lambda: critic.state != "ready")
    answer = gateway.chat()
    if answer.headers["x-agentq-guided"] == "false":  # a machine in a hurry may have started it again
        assert answer.headers["x-agentq-reason"] == "critic_down"
        assert chosen(answer) == "press one"
    until(lambda: critic.state == "ready", 60)
    assert critic.restarts == 1
    assert chosen(gateway.chat()) == "press three"
    assert "agentq_critic_restarts 1.0" in gateway.get("/metrics").text
    nothing_left(gateway, tasks)


def test_a_critic_process_killed_while_it_scores_lets_the_first_candidate_through(
    serve: Serve, upstream: Upstream
) -> None:
    critic = ChildCritic(FACTORY)
    critic.wait_ready(60)
    gateway = serve(upstream().url, critic, deadline=30.0)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(gateway.chat, "slow 20")
        until(lambda: gateway.gateway.guide.critic.batcher.batches == 1)
        assert critic.pid is not None
        os.kill(critic.pid, signal.SIGKILL)
        answer = waiting.result(timeout=15)
    assert (answer.status_code, chosen(answer)) == (200, "press one")
    assert answer.headers["x-agentq-reason"] == "critic_down"
    assert gateway.metric("agentq_decisions_total", guided="false", reason="critic_down") == 1


@pytest.mark.parametrize(("content", "reason"), [("slow 0.6", "deadline"), ("fail", "critic_error")])
def test_a_slow_or_failing_critic_lets_the_first_candidate_through(
    serve: Serve, upstream: Upstream, content: str, reason: str
) -> None:
    gateway = serve(upstream().url, LengthCritic(), deadline=0.2)
    answer = gateway.chat(content, agentq={"metadata": True})
    assert (answer.status_code, chosen(answer)) == (200, "press one")
    assert answer.headers["x-agentq-reason"] == reason
    assert answer.json()["agentq"]["flags"] == ["unguided", reason]
    assert gateway.metric("agentq_decisions_total", guided="false", reason=reason) == 1
    until(lambda: gateway.chat().headers["x-agentq-guided"] == "true")


def test_a_full_queue_is_told_before_the_upstream_is_asked(serve: Serve, upstream: Upstream) -> None:
    stub = upstream()
    gateway = serve(stub.url, LengthCritic(), max_queue=1, max_batch=1, deadline=20.0)
    batcher = gateway.gateway.guide.critic.batcher
    with ThreadPoolExecutor() as pool:
        first = pool.submit(gateway.chat, "slow 1.5")
        until(lambda: batcher.batches == 1)
        second = pool.submit(gateway.chat)
        until(lambda: batcher.depth == 1)
        asked = len(stub.seen)
        refused = gateway.chat()
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "critic_busy"
        assert len(stub.seen) == asked
        assert chosen(first.result()) == chosen(second.result()) == "press three"


def test_too_many_requests_at_a_time_are_told(serve: Serve, upstream: Upstream) -> None:
    gateway = serve(upstream().url, LengthCritic(), max_requests=1, deadline=20.0)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(gateway.chat, "slow 1")
        until(lambda: gateway.gateway.guide.critic.batcher.batches == 1)
        assert gateway.chat().json()["error"]["code"] == "too_many_requests"
        assert first.result().status_code == 200


def test_a_cut_off_reply_is_never_chosen_and_all_cut_off_are_flagged(
    serve: Serve, upstream: Upstream
) -> None:
    def cut(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        answer = chat_answer(["ab", "a much longer one that was cut"])
        for choice in answer["choices"][0 if body["messages"][0]["content"] == "all" else 1 :]:
            choice["finish_reason"] = "length"
        return 200, answer

    gateway = serve(upstream(cut).url, LengthCritic(), n=2)
    assert chosen(gateway.chat()) == "ab"
    answer = gateway.chat("all")
    assert chosen(answer) == "ab"
    assert answer.headers["x-agentq-reason"] == "no_valid"


def test_a_client_that_goes_away_leaves_nothing(serve: Serve, upstream: Upstream) -> None:
    gateway = serve(upstream().url, LengthCritic(), deadline=20.0, max_batch=1)
    tasks = gateway.tasks()
    batcher = gateway.gateway.guide.critic.batcher
    with ThreadPoolExecutor() as pool:
        first = pool.submit(gateway.chat, "slow 1")
        until(lambda: batcher.batches == 1)
        for _ in range(3):
            send(gateway, chat_request({"stream": True}))  # and the connection is closed
        assert first.result().status_code == 200
    until(lambda: gateway.metric("agentq_disconnects_total") == 3)
    nothing_left(gateway, tasks)


def test_a_client_that_goes_away_mid_stream_closes_the_upstreams_stream(
    serve: Serve, upstream: Upstream
) -> None:
    ended: list[str] = []

    def endless(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        def parts() -> Any:
            try:
                while True:
                    yield b'data: {"choices":[]}\n\n'
                    time.sleep(0.01)
            finally:
                ended.append(path)

        return 200, parts()

    gateway = serve(upstream(endless).url, LengthCritic())
    tasks = gateway.tasks()
    with httpx.stream(
        "POST", f"{gateway.url}/v1/chat/completions",
        json={"messages": [], "stream": True, "agentq": {"enabled": False}},
    ) as stream:  # fmt: skip
        assert next(stream.iter_lines()) == 'data: {"choices":[]}'
    until(lambda: ended)
    until(lambda: gateway.tasks() <= tasks)
    assert gateway.get("/health").status_code == 200


def test_an_upstream_that_dies_mid_stream_is_told_in_the_stream(serve: Serve) -> None:
    def torn(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        connection.sendall(b'10\r\ndata: {"a":1}\n\n\n\r\n')
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        pool.submit(lambda: torn(listener.accept()[0]))
        gateway = serve(f"http://127.0.0.1:{listener.getsockname()[1]}", LengthCritic())
        text = gateway.chat(stream=True, agentq={"enabled": False}).text
    assert text.startswith('data: {"a":1}')
    assert json.loads(text.split("data: ")[-1])["error"]["code"] == "broken"
    assert "[DONE]" not in text


def test_slow_bodies_time_out(serve: Serve, upstream: Upstream) -> None:
    stub = upstream()
    gateway = serve(stub.url, LengthCritic(), body_timeout=0.3)
    tasks = gateway.tasks()
    connections = [send(gateway, chat_request({})[:-5], keep=True) for _ in range(20)]
    answers = [connection.recv(65536) for connection in connections if connection is not None]
    assert len(answers) == 20
    assert all(answer.startswith(b"HTTP/1.1 408") for answer in answers)
    for connection in connections:
        assert connection is not None
        connection.close()
    assert stub.seen == []
    nothing_left(gateway, tasks)


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"[1]", b'"text"', b"", b"[" * 100_000])
def test_malformed_json_is_a_400(serve: Serve, upstream: Upstream, raw: bytes) -> None:
    stub = upstream()
    gateway = serve(stub.url, LengthCritic())
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", content=raw)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "malformed_json"
    assert stub.seen == []
    assert chosen(gateway.chat()) == "press three"


@pytest.mark.parametrize(
    "messages", [None, [], "text", [1], [{"role": "user"}], [{"role": "user", "content": [{}]}]]
)
def test_odd_messages_are_the_upstreams_to_judge(serve: Serve, upstream: Upstream, messages: Any) -> None:
    gateway = serve(upstream().url, LengthCritic())
    answer = gateway.post("/v1/chat/completions", {"model": "stub", "messages": messages})
    assert answer.status_code == 200
    assert chosen(answer) in ("press one", "press three")


def test_ten_megabytes_go_through_unscored_and_more_than_allowed_do_not(
    serve: Serve, upstream: Upstream
) -> None:
    stub = upstream()
    gateway = serve(stub.url, LengthCritic(), max_body=12 << 20)
    tasks = gateway.tasks()
    answer = gateway.chat("x" * (10 << 20))
    assert (answer.status_code, chosen(answer)) == (200, "press one")
    assert answer.headers["x-agentq-reason"] == "too_long"
    assert len(stub.seen[-1][2]["messages"][0]["content"]) == 10 << 20
    refused = gateway.chat("x" * (13 << 20))
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "body_too_large")
    chunked = httpx.post(f"{gateway.url}/v1/chat/completions", content=(b"x" * (1 << 20) for _ in range(13)))
    assert chunked.status_code == 413
    nothing_left(gateway, tasks)


def test_a_key_is_asked_for_everywhere_but_at_health(
    serve: Serve, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "secret-1")
    monkeypatch.setenv("UPSTREAM_KEY", "secret-2")
    stub = upstream()
    gateway = serve(
        stub.url, LengthCritic(), api_key_variable="GATEWAY_KEY", upstream_key_variable="UPSTREAM_KEY"
    )
    assert gateway.get("/health").status_code == 200
    for path in ("/v1/models", "/metrics", "/agentq/decisions"):
        assert gateway.get(path).status_code == 401
        assert gateway.get(path, headers={"Authorization": "Bearer secret-x"}).status_code == 401
        assert gateway.get(path, headers={"Authorization": "Bearer secret-1"}).status_code == 200
    assert gateway.chat().status_code == 401
    assert gateway.post("/v1/agentq/feedback", {"session": "a"}).status_code == 401
    assert gateway.chat(headers={"Authorization": "Bearer secret-1"}).status_code == 200
    assert stub.seen[-1][1]["authorization"] == "Bearer secret-2"


def chat_request(more: dict[str, Any]) -> bytes:
    body = json.dumps({"messages": [{"role": "user", "content": "go"}], **more}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def send(gateway: Running, data: bytes, keep: bool = False) -> socket.socket | None:
    """Send bytes; without ``keep`` the connection is closed once they are read."""
    connection = socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])))
    connection.settimeout(20)
    connection.sendall(data)
    if keep:
        return connection
    time.sleep(0.3)
    connection.close()
    return None
