from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
import numpy as np
import pytest

from agentq.critics.base import Scores
from agentq.gateway.critic_service import serve_critic
from agentq.gateway.settings import GatewaySettings
from agentq.types import Candidate, FloatArray, Messages
from tests.servers.upstream import Script, StubUpstream, chat_answer, text_answer

uvicorn: Any = pytest.importorskip("uvicorn", reason='needs uvicorn: pip install "agentq[serve]"')
pytest.importorskip("prometheus_client", reason='needs prometheus-client: pip install "agentq[serve]"')

WORDS = ["press one", "press two", "press three", "press two"]


class LengthCritic:
    """Longer actions are better; a state that says so takes long, fails or kills."""

    def __init__(self) -> None:
        self.calls: list[int] = []  # states per call

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        self.calls.append(len(batch))
        return [self._one(messages, candidates) for messages, candidates in batch]

    def _one(self, messages: Messages, candidates: Sequence[Candidate]) -> Scores:
        said = str(messages[-1]["content"])
        if said.startswith("slow"):
            time.sleep(float(said.split()[1]))
        if said.startswith("fail"):
            raise ValueError("the critic cannot read this")
        q = np.array([-np.inf if c.action is None else float(len(c.action)) for c in candidates])
        return Scores(q=q, head_q=np.stack([q, q]))


def make_length_critic() -> LengthCritic:
    return LengthCritic()


def words(path: str, body: dict[str, Any]) -> tuple[int, Any]:
    """n choices of WORDS; streams word by word when it is asked to; lists one model."""
    if path == "/v1/models":
        return 200, {"object": "list", "data": [{"id": "stub", "object": "model"}]}
    if body.get("stream"):
        return 200, [b'data: {"choices":[{"index":0,"delta":{"content":"raw"}}]}\n\n', b"data: [DONE]\n\n"]
    texts = [WORDS[i % len(WORDS)] for i in range(body.get("n", 1))]
    if path == "/v1/completions":
        return 200, text_answer(texts)
    return 200, chat_answer(texts)


@dataclass(frozen=True)
class Running:
    """A gateway on a local port."""

    app: Any
    url: str
    loop: Any
    server: Any

    @property
    def gateway(self) -> Any:
        return self.app.state.gateway

    def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        return httpx.post(self.url + path, json=body, timeout=30, **more)

    def chat(self, content: str = "go", **more: Any) -> httpx.Response:
        headers = more.pop("headers", None)
        body = {"model": "stub", "messages": [{"role": "user", "content": content}], **more}
        return self.post("/v1/chat/completions", body, headers=headers)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, **more)

    def metric(self, name: str, **labels: str) -> float:
        return self.gateway.metrics.registry.get_sample_value(name, labels) or 0.0

    def tasks(self) -> int:
        """asyncio tasks that are not done."""
        import asyncio

        return len(asyncio.all_tasks(self.loop))


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    """Starts gateways: serve(upstream url, critic=..., **settings)."""
    servers: list[tuple[Any, threading.Thread]] = []

    def start(upstream: str, critic: Any = None, **options: Any) -> Running:
        from agentq.gateway.app import create_app

        settings = GatewaySettings(upstream=upstream, **{"n": 4, "deadline": 5.0, "threads": 1, **options})
        service = None if critic is None else serve_critic(replace(settings, critic="given"), critic)
        app = create_app(settings, service)
        server = uvicorn.Server(
            uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=2, access_log=False)
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        until(lambda: server.started)
        loop: list[Any] = []
        port = server.servers[0].sockets[0].getsockname()[1]
        server.servers[0].get_loop().call_soon_threadsafe(lambda: loop.append(1))
        servers.append((server, thread))
        return Running(app, f"http://127.0.0.1:{port}", server.servers[0].get_loop(), server)

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


@pytest.fixture
def upstream() -> Iterator[Callable[..., StubUpstream]]:
    """Starts stub upstreams: upstream(script)."""
    started: list[StubUpstream] = []

    def start(script: Script = words, port: int = 0) -> StubUpstream:
        started.append(StubUpstream(script, port))
        return started[-1]

    yield start
    for stub in started:
        stub.stop()


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
