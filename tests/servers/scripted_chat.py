"""A chat-completions server on a local port whose replies are a function of the request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Literal


@dataclass(frozen=True)
class Answer:
    """One choice: text, tool calls as (name, arguments), why it ended, log-probability per token."""

    text: str | None = None
    calls: Sequence[tuple[str, Any]] = ()
    finish: str = ""
    logprobs: Sequence[tuple[str, float]] = ()


class Refused(Exception):
    """Raised by a script to answer with an HTTP error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


#: (request body, number of the choice since the server started) -> the choice.
Script = Callable[[dict[str, Any], int], Answer | str]


@dataclass
class ScriptedChat:
    """``n`` says how the server takes that parameter: one request, refuses it (400), or ignores it."""

    script: Script
    n: Literal["takes", "refuses", "ignores"] = "takes"
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)
    calls: Iterator[int] = field(default_factory=count)
    url: str = ""

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The completion for a request; 10 prompt tokens, one token per character of a reply."""
        n = body.get("n") or 1
        if n > 1 and self.n == "refuses":
            raise Refused(400, "n is not supported")
        wanted = n if self.n == "takes" else 1
        choices = [self._choice(body, index) for index in range(wanted)]
        written = sum(len(choice["message"]["content"] or "") for choice in choices)
        return {
            "id": f"chatcmpl-{next(self.calls)}",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": choices,
            "usage": {"prompt_tokens": 10, "completion_tokens": written, "total_tokens": 10 + written},
        }

    def _choice(self, body: dict[str, Any], index: int) -> dict[str, Any]:
        answer = self.script(body, next(self.numbers))
        if isinstance(answer, str):
            answer = Answer(answer)
        message: dict[str, Any] = {"role": "assistant", "content": answer.text}
        if answer.calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{next(self.calls)}",
                    "type": "function",
                    "function": {
                        "name": name,
                        "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
                    },
                }
                for name, arguments in answer.calls
            ]
        tokens = [{"token": t, "logprob": p, "bytes": None, "top_logprobs": []} for t, p in answer.logprobs]
        finish = answer.finish or ("tool_calls" if answer.calls else "stop")
        return {
            "index": index,
            "message": message,
            "finish_reason": finish,
            "logprobs": {"content": tokens, "refusal": None} if tokens else None,
        }


def _chunks(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A choice in two chunks: its message, and why it ended."""
    base = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    for choice in answer["choices"]:
        message = choice["message"]
        calls = [{"index": i, **call} for i, call in enumerate(message.get("tool_calls", ()))]
        delta = {
            "role": "assistant",
            "content": message["content"],
            **({"tool_calls": calls} if calls else {}),
        }
        yield base | {"choices": [{"index": choice["index"], "delta": delta, "finish_reason": None}]}
        end = {"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}
        yield base | {"choices": [end]}


@contextmanager
def serving(chat: ScriptedChat) -> Iterator[ScriptedChat]:
    """The server on a free local port, its address in ``chat.url``, for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        # HTTP/1.0: a connection per request, so that none outlives the event loop of a test.

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            chat.requests.append(body)
            chat.headers.append({name.lower(): value for name, value in self.headers.items()})
            try:
                answer = chat.answer(body)
                self._stream(answer) if body.get("stream") else self._send(200, answer)
            except Refused as refused:
                self._send(refused.status, {"error": {"message": str(refused), "type": "scripted"}})

        def do_GET(self) -> None:
            self._send(200, {"object": "list", "data": [{"id": "scripted", "object": "model"}]})

        def _send(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.send_header("x-request-id", f"request-{len(chat.requests)}")
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, answer: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            for chunk in _chunks(answer):
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, format: str, *arguments: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    chat.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
