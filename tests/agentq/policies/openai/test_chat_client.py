from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse
from tests.servers.scripted import Received, completion, scripted_server

from agentq.errors import CandidateError, ConfigError, InfrastructureError, ServerError
from agentq.policies.openai.client import (
    ChatClient,
    RetriesExhaustedError,
    ServerSettings,
    sample_seed,
)
from agentq.policies.openai.retrying import Backoff, retry_after

_T = TypeVar("_T")
CHAT = "/v1/chat/completions"
KEY = "sk-very-secret-0123456789"


def ask(server: Received, work: Callable[[ChatClient], Awaitable[_T]], **settings: Any) -> _T:
    """Run ``work`` with a fresh client that retries at once."""

    async def run() -> _T:
        async with ChatClient(
            ServerSettings(server.address, **{"retry_seconds": 0.01, **settings})
        ) as client:
            return await work(client)

    return asyncio.run(run())


def test_infrastructure_errors_are_tried_again_and_counted() -> None:
    answers = [Response(status_code=503), Response(status_code=429, headers={"Retry-After": "0"}), None]

    async def answer(path: str, body: dict[str, Any]) -> Response:
        return answers.pop(0) or completion(["hello"])

    async def work(client: ChatClient) -> Any:
        reply = await client.post(CHAT, {"model": "m"})
        return reply, client.statistics

    with scripted_server(answer) as server:
        reply, statistics = ask(server, work)
    assert reply.json()["choices"][0]["message"]["content"] == "hello"
    assert (statistics.requests, statistics.attempts, statistics.retries) == (1, 3, 2)
    assert statistics.reasons == {"503": 1, "429": 1}


@pytest.mark.parametrize("status", [400, 404, 500])
def test_other_statuses_are_handed_over_after_one_attempt(status: int) -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        return JSONResponse({"error": {"message": "no"}}, status_code=status)

    with scripted_server(answer) as server:
        reply = ask(server, lambda client: client.post(CHAT, {}))
    assert reply.status == status
    assert len(server.bodies) == 1


def test_a_used_up_quota_is_not_tried_again() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        return JSONResponse({"error": {"code": "insufficient_quota"}}, status_code=429)

    with scripted_server(answer) as server:
        assert ask(server, lambda client: client.post(CHAT, {})).status == 429
    assert len(server.bodies) == 1


def test_giving_up_keeps_the_last_answer_and_long_waits_are_not_waited_for() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        return Response("busy", status_code=503, headers={"Retry-After": "3600"} if body else {})

    with scripted_server(answer) as server:
        with pytest.raises(RetriesExhaustedError, match="after 3 attempts") as caught:
            ask(server, lambda client: client.post(CHAT, {}), retries=2)
        assert caught.value.reply is not None
        assert caught.value.reply.body == b"busy"
        with pytest.raises(InfrastructureError, match="asks to wait 3600 s"):
            ask(server, lambda client: client.post(CHAT, {"a": 1}), retries=2)
    assert len(server.bodies) == 3 + 1


def test_without_retry_an_answer_is_an_answer() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        return Response(status_code=503)

    with scripted_server(answer) as server:
        assert ask(server, lambda client: client.post(CHAT, {}, retry=False)).status == 503
    assert len(server.bodies) == 1


def test_nobody_there_and_nobody_answering() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        await asyncio.sleep(5)
        return Response()

    with scripted_server(answer) as server, pytest.raises(InfrastructureError, match="ReadTimeout"):
        ask(server, lambda client: client.post(CHAT, {}), read_timeout=0.1, retries=0)
    with pytest.raises(InfrastructureError, match="ConnectError"):
        ask(server, lambda client: client.post(CHAT, {}), retries=1)


def test_n_in_one_request_where_the_server_can() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        return completion([f"a{i}" for i in range(body["n"])], prompt_tokens=7)

    with scripted_server(answer) as server:
        completions = ask(server, lambda client: client.completions({"model": "m"}, 3))
    assert [c["message"]["content"] for c in completions.choices] == ["a0", "a1", "a2"]
    assert [c["index"] for c in completions.choices] == [0, 1, 2]
    assert completions.usage == {"prompt_tokens": 7}
    assert len(server.bodies) == 1


@pytest.mark.parametrize("refuses", [True, False])
def test_n_by_parallel_requests_with_seeds_of_their_own_and_remembered(refuses: bool) -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        if refuses and body.get("n", 1) > 1:
            return JSONResponse({"error": {"message": "'n' : number must be at most 1"}}, status_code=400)
        return completion([str(body.get("seed"))], prompt_tokens=7)

    async def work(client: ChatClient) -> Any:
        return [await client.completions({"model": "m", "seed": 5}, 3) for _ in range(2)]

    with scripted_server(answer) as server:
        first, second = ask(server, work)
    seeds = [str(sample_seed(5, i)) for i in range(3)]
    assert [c["message"]["content"] for c in second.choices] == seeds
    # A server that ignores n has answered sample 0 already, under the seed of the whole.
    assert [c["message"]["content"] for c in first.choices] == (seeds if refuses else ["5", *seeds[1:]])
    assert first.usage == {"prompt_tokens": 21}
    assert len(server.bodies) == (1 + 3 if refuses else 3) + 3
    assert sum("n" in body for body in server.bodies) == 1


def test_a_refusal_that_does_not_mean_n_is_raised_and_not_remembered() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        if body.get("n") == 2:
            return JSONResponse({"error": "temperature must be positive"}, status_code=400)
        return completion(["x"] * body["n"])

    async def work(client: ChatClient) -> Any:
        with pytest.raises(ServerError, match="temperature must be positive") as caught:
            await client.completions({}, 2)
        assert caught.value.status == 400
        with pytest.raises(CandidateError, match="n=0"):
            await client.completions({}, 0)
        return await client.completions({}, 3)

    with scripted_server(answer) as server:
        assert len(ask(server, work).choices) == 3
    assert len(server.bodies) == 2


def test_answers_that_are_no_completions_raise() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        return Response("<html>") if body["model"] == "page" else JSONResponse({"choices": []})

    with scripted_server(answer) as server:
        with pytest.raises(ServerError, match="is no JSON: '<html>'"):
            ask(server, lambda client: client.completions({"model": "page"}, 2))
        with pytest.raises(ServerError, match="without choices"):
            ask(server, lambda client: client.completions({"model": "m"}, 2))


def test_connections_are_kept_and_requests_limited() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        await asyncio.sleep(0.01)
        return completion(["x"])

    async def work(client: ChatClient) -> None:
        for _ in range(3):
            await asyncio.gather(*(client.post(CHAT, {}) for _ in range(6)))

    with scripted_server(answer) as server:
        ask(server, work, concurrency=2)
    assert len(server.bodies) == 18
    assert server.most_at_once == 2
    assert len(server.connections) == 2


def test_starts_are_spaced() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        return Response()

    async def work(client: ChatClient) -> float:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await asyncio.gather(*(client.get("/health") for _ in range(5)))
        return loop.time() - begin

    with scripted_server(answer) as server:  # four intervals of 20 ms lie between five starts
        assert ask(server, work, requests_per_second=50) >= 0.079


def test_streams_come_in_parts_and_a_busy_server_is_asked_again() -> None:
    busy = [503]

    async def parts() -> Any:
        for i in range(3):
            yield f"data: {i}\n\n"
            await asyncio.sleep(0.01)

    async def answer(path: str, body: dict[str, Any]) -> Response:
        if busy:
            return Response(status_code=busy.pop())
        return StreamingResponse(parts(), media_type="text/event-stream")

    async def work(client: ChatClient) -> tuple[str, list[bytes]]:
        async with client.stream(CHAT, {"stream": True}) as stream:
            return stream.headers["content-type"], [part async for part in stream.bytes()]

    with scripted_server(answer) as server:
        kind, received = ask(server, work)
    assert kind.startswith("text/event-stream")
    assert b"".join(received) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert len(received) > 1
    assert len(server.bodies) == 2


def test_a_stream_that_breaks_off_raises_and_is_not_begun_again() -> None:
    async def parts() -> Any:
        yield "data: 0\n\n"
        raise RuntimeError("the server dies")

    async def answer(path: str, body: dict[str, Any]) -> Response:
        return StreamingResponse(parts())

    async def work(client: ChatClient) -> None:
        async with client.stream(CHAT, {}) as stream:
            await stream.read()

    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    with scripted_server(answer) as server, pytest.raises(InfrastructureError, match="broke off"):
        ask(server, work)
    assert len(server.bodies) == 1


def test_the_key_is_sent_and_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SHOP_KEY", KEY)

    async def answer(path: str, body: dict[str, Any]) -> Response:
        text = f"Incorrect API key provided: {KEY}"
        return JSONResponse({"error": {"message": text}}, status_code=401 if body else 503)

    settings = ServerSettings("http://h", key_variable="SHOP_KEY", headers={"X-Key": KEY})
    with scripted_server(answer) as server:
        with pytest.raises(ServerError, match="'SHOP_KEY' is set") as refused:
            ask(server, lambda client: client.completions({"a": 1}, 1), key_variable="SHOP_KEY")
        with pytest.raises(InfrastructureError) as exhausted:
            ask(server, lambda client: client.get("/health"), key_variable="SHOP_KEY", retries=1)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    for shown in (
        str(refused.value),
        str(exhausted.value),
        repr(settings),
        repr(ChatClient(settings)),
        caplog.text,
    ):
        assert KEY not in shown
    monkeypatch.setenv("SHOP_KEY", KEY + "\nX: y")
    with pytest.raises(ConfigError) as broken:
        settings.key()
    assert KEY not in str(broken.value)


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("http://h:1", CHAT, "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/", CHAT, "http://h:1/v1/chat/completions"),
        ("http://h:1/v1", "/health", "http://h:1/health"),
        ("https://h/api/v1", "/v1/models", "https://h/api/v1/models"),
        ("https://h/v1beta/openai", "/v1/models", "https://h/v1beta/openai/models"),
    ],
)
def test_addresses(base: str, path: str, url: str) -> None:
    assert ServerSettings(base).url(path) == url


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "localhost:8000"},
        {"base_url": "http://user:secret@h"},
        {"base_url": "http://h:99999"},
        {"base_url": "http://h?a=1"},
        {"base_url": "http://h", "concurrency": 0},
        {"base_url": "http://h", "retries": -1},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"Raise|Check|Put|expected") as caught:
        ServerSettings(**settings)
    assert "secret" not in str(caught.value)


def test_waits() -> None:
    backoff = Backoff(1.0, 4.0)
    waits = [[backoff.wait(retry, None) for _ in range(200)] for retry in range(4)]
    for bound, drawn in zip((1, 2, 4, 4), waits, strict=True):
        assert 0.8 * bound < max(drawn) <= bound
        assert min(drawn) < 0.2 * bound
    assert 3.0 <= backoff.wait(0, 3.0) <= 4.0
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


def test_seeds_of_samples_are_apart() -> None:
    seeds = {sample_seed(seed, i) for seed in range(50) for i in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_transport_takes_the_place_of_the_network() -> None:
    async def run() -> bytes:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, content=request.url.path))
        async with ChatClient(ServerSettings("http://h"), transport=transport) as client:
            return (await client.get("/health")).body

    assert asyncio.run(run()) == b"/health"
