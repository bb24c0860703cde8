"""A server of OpenAI's protocol in ten lines of logic: what it answers is a function of the request."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: (path, body) -> (status, answer) or (status, answer, headers); an answer of bytes parts is a stream.
Script = Callable[[str, dict[str, Any]], tuple[int, Any] | tuple[int, Any, dict[str, str]]]


class StubUpstream:
    """Serves ``script`` on a local port; ``seen`` holds every request's path, headers and body."""

    def __init__(self, script: Script, port: int = 0) -> None:
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self._connections: list[socket.socket] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                stub._connections.append(self.connection)

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length", 0)))
                self._answer(json.loads(raw) if raw else {})

            def do_GET(self) -> None:
                self._answer({})

            def _answer(self, body: dict[str, Any]) -> None:
                stub.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, answer, *more = script(self.path, body)
                headers = {"x-request-id": "req-1", **(more[0] if more else {})}
                if not isinstance(answer, dict | bytes):  # a stream
                    self.send_response(status)
                    self.send_header("content-type", "text/event-stream")
                    self.send_header("connection", "close")
                    self.end_headers()
                    for part in answer:
                        self.wfile.write(part)
                        self.wfile.flush()
                    self.close_connection = True
                    return
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """End it as a kill does: open connections break, the port is free again."""
        self._server.shutdown()
        for connection in self._connections:
            with contextlib.suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()


def chat_answer(texts: list[str], **more: Any) -> dict[str, Any]:
    """A chat completion with one choice per text."""
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": t},
            "logprobs": None,
            "finish_reason": "stop",
        }
        for i, t in enumerate(texts)
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": 3 * len(texts), "total_tokens": 10 + 3 * len(texts)}
    head = {"id": "chatcmpl-7", "object": "chat.completion", "created": 1, "model": "stub"}
    return {**head, "choices": choices, "usage": usage, **more}


def text_answer(texts: list[str], **more: Any) -> dict[str, Any]:
    """A text completion with one choice per text."""
    choices = [
        {"index": i, "text": t, "logprobs": None, "finish_reason": "stop"} for i, t in enumerate(texts)
    ]
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "stub"}
    return {**head, "choices": choices, **more}
