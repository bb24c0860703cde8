"""A real server on a local port whose answers a test writes down."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class Received:
    """What the server was asked, in the order of arrival."""

    address: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)  # (host, port) of the clients' sockets
    most_at_once: int = 0


#: (path, body) -> the answer; called once per request.
Answer = Callable[[str, dict[str, Any]], Awaitable[Response]]


def choice(text: str, **more: Any) -> dict[str, Any]:
    """One entry of ``choices``."""
    return {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}


def completion(texts: list[str], **usage: int) -> JSONResponse:
    """A chat completion with these texts."""
    return JSONResponse(
        {"id": "c", "model": "m", "choices": [choice(text) for text in texts], "usage": usage}
    )


@contextmanager
def scripted_server(answer: Answer) -> Iterator[Received]:
    """Serves ``answer`` on a free port until the block ends."""
    received = Received()
    now = 0

    async def handle(request: Request) -> Response:
        nonlocal now
        content = await request.body()
        received.bodies.append(json.loads(content) if content else {})
        received.headers.append(dict(request.headers))
        received.connections.add(request.client)
        now += 1
        received.most_at_once = max(received.most_at_once, now)
        try:
            return await answer(request.url.path, received.bodies[-1])
        finally:
            now -= 1

    app = Starlette(routes=[Route("/{path:path}", handle, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        if not thread.is_alive():
            raise RuntimeError("the scripted server did not start")
    received.address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield received
    finally:
        server.should_exit = True
        thread.join(10)
