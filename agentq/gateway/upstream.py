"""What the gateway asks of the one server behind it, and how that server's failures come back."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from agentq.errors import InfrastructureError, ServerError
from agentq.policies.openai.client import (
    ChatClient,
    Completions,
    RetriesExhaustedError,
    ServerReply,
    ServerStream,
)

#: Headers of the upstream that mean something to its client; the others belong to the connection.
_KEPT = (
    "content-type",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "x-request-id",
    "openai-processing-ms",
    "openai-version",
    "www-authenticate",
)
_KEPT_BEGINNINGS = ("x-ratelimit-", "ratelimit-")


class UpstreamError(InfrastructureError):
    """The upstream refused or was not reached; what the client gets instead of an answer.

    ``kind`` is for the counter: "unreachable", "broken" or the status.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, kind: str) -> None:
        super().__init__(f"the upstream failed ({kind}); its own words are in the answer's body.")
        self.status, self.headers, self.body, self.kind = status, headers, body, kind


@dataclass(frozen=True, slots=True)
class Answer:
    """n choices of the upstream and the object that held them."""

    envelope: dict[str, Any]  # of the first reply, without choices
    choices: Sequence[dict[str, Any]]
    usage: Any  # as the upstream counts, summed over its replies
    headers: Mapping[str, str]


class Upstream:
    """One server; remembers whether it answered last time."""

    def __init__(self, client: ChatClient) -> None:
        self.client = client
        self.failing: str | None = None  # why the last request failed
        self.asked_at = 0.0  # time.monotonic() of the last answer or failure

    async def choices(self, path: str, body: Mapping[str, Any], n: int) -> Answer:
        """n choices, by one request or several. Raises ``UpstreamError``."""
        try:
            completions = await self.client.completions(body, n, path=path)
        except RetriesExhaustedError as error:
            raise self._failed(error, error.reply) from error
        except ServerError as error:
            reply = ServerReply(error.status, error.headers, error.body)
            raise self._failed(error, reply) from error
        self._answered()
        return _answer(completions)

    async def post(self, path: str, body: bytes | Mapping[str, Any]) -> ServerReply:
        """The upstream's own answer, whatever its status. Raises ``UpstreamError`` when it was not reached."""
        try:
            reply = await self.client.post(path, body, retry=False)
        except RetriesExhaustedError as error:
            raise self._failed(error, error.reply) from error
        self._answered(reply.status)
        return reply

    async def get(self, path: str) -> ServerReply:
        """As ``post``."""
        try:
            reply = await self.client.get(path, retry=False)
        except RetriesExhaustedError as error:
            raise self._failed(error, error.reply) from error
        self._answered(reply.status)
        return reply

    async def open_stream(self, path: str, body: bytes | Mapping[str, Any]) -> PassedStream:
        """The upstream's answer as it comes. Raises ``UpstreamError``."""
        stack = AsyncExitStack()
        try:
            stream = await stack.enter_async_context(self.client.stream(path, body, retry=False))
        except RetriesExhaustedError as error:
            raise self._failed(error, error.reply) from error
        self._answered(stream.status)
        return PassedStream(stream, stack)

    def _answered(self, status: int = 200) -> None:
        self.asked_at = time.monotonic()
        self.failing = f"status {status}" if status >= 500 else None

    def _failed(self, error: Exception, reply: ServerReply | None) -> UpstreamError:
        self.asked_at = time.monotonic()
        if reply is not None and reply.status >= 300:
            self.failing = f"status {reply.status}" if reply.status >= 500 else None
            return UpstreamError(reply.status, kept_headers(reply.headers), reply.body, str(reply.status))
        self.failing = "unreachable" if reply is None else "broken"
        said = "did not answer" if reply is None else "answered something that is no completion"
        content = {
            "error": {
                "message": f"the server behind this gateway {said}. Check that it runs, then send the request again.",
                "type": "upstream_error",
                "param": None,
                "code": self.failing,
            }
        }
        return UpstreamError(
            502, {"content-type": "application/json"}, json.dumps(content).encode(), self.failing
        )


@dataclass(slots=True)
class PassedStream:
    """An open answer; ``close`` must be called."""

    stream: ServerStream
    stack: AsyncExitStack

    async def parts(self) -> AsyncIterator[bytes]:
        """The bytes as they come; a stream that breaks off ends with an error event and without [DONE]."""
        try:
            async for part in self.stream.bytes():
                yield part
        except InfrastructureError as error:
            content = {"error": {"message": str(error), "type": "upstream_error", "code": "broken"}}
            yield b"data: " + json.dumps(content).encode() + b"\n\n"

    async def close(self) -> None:
        """Close the connection, so that the upstream stops."""
        await self.stack.aclose()


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of an upstream's answer that go through."""
    return {
        name: value for name, value in headers.items() if name in _KEPT or name.startswith(_KEPT_BEGINNINGS)
    }


def summed_usage(usages: Sequence[Any]) -> Any:
    """Token counts of several replies added up, key by key, in the shape the upstream gives them."""
    known = [usage for usage in usages if usage is not None]
    if not known:
        return None
    if all(isinstance(usage, Mapping) for usage in known):
        names = dict.fromkeys(name for usage in known for name in usage)
        return {name: summed_usage([usage.get(name) for usage in known]) for name in names}
    if all(isinstance(usage, int | float) and not isinstance(usage, bool) for usage in known):
        return sum(known)
    return known[0]


def _answer(completions: Completions) -> Answer:
    envelopes = [reply.json() for reply in completions.replies]
    envelope = {name: value for name, value in envelopes[0].items() if name != "choices"}
    usage = summed_usage([answer.get("usage") for answer in envelopes])
    return Answer(envelope, completions.choices, usage, kept_headers(completions.replies[0].headers))
