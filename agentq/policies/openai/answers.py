"""What a server answered: whole, as a stream, and as choices."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from agentq.errors import InfrastructureError, ServerError
from agentq.policies.openai.retrying import UNREACHED

SHOWN = 400  # characters of an answer that an error repeats


class RetriesExhaustedError(InfrastructureError):
    """The server was not reached or said "not now" until the retries were used up.

    ``reply`` is its last answer, None where there was none.
    """

    def __init__(self, message: str, reply: ServerReply | None = None) -> None:
        super().__init__(message)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class ServerReply:
    """A complete answer, whatever its status; ``body`` is decompressed already."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        """The body as JSON; raises ``ServerError`` when it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ServerError(
                f"the server's answer (status {self.status}) is no JSON: {shown(self.body)}. Check that base_url "
                "is a server of OpenAI's protocol.",
                self.status,
                self.body,
            ) from error


@dataclass(frozen=True, slots=True)
class ServerStream:
    """An answer whose body is still to be read."""

    response: httpx.Response

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, names in lower case."""
        return plain_headers(self.response)

    async def bytes(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises ``InfrastructureError`` when the server goes away before its end."""
        try:
            async for chunk in self.response.aiter_bytes():
                yield chunk
        except UNREACHED as error:
            raise InfrastructureError(
                f"the server's stream broke off ({type(error).__name__}). Send the request again."
            ) from error

    async def read(self) -> ServerReply:
        """The whole body, for a status that says the stream holds an error."""
        body = b"".join([chunk async for chunk in self.bytes()])
        return ServerReply(self.status, self.headers, body)


@dataclass(frozen=True, slots=True)
class Completions:
    """The n choices that were asked for, whatever number of requests they took."""

    choices: list[dict[str, Any]]  # as sent by the server, ``index`` counted through from 0
    usage: dict[str, int]  # summed over the requests; empty where the server counts nothing
    replies: list[ServerReply]

    @property
    def model(self) -> str:
        """The model that answered, by the server's own name."""
        return str(self.replies[0].json().get("model", ""))


def joined(replies: Sequence[ServerReply], n: int) -> Completions:
    """The choices of several replies as if one request had brought them, n at most."""
    choices: list[dict[str, Any]] = []
    usage: dict[str, int] = {}
    for reply in replies:
        answer = reply.json()
        for choice in answer["choices"][: n - len(choices)]:
            choices.append({**choice, "index": len(choices)})
        for name, value in _counts(answer.get("usage")):
            usage[name] = usage.get(name, 0) + value
    return Completions(choices, usage, list(replies))


def plain_headers(response: httpx.Response) -> dict[str, str]:
    """Headers as a dictionary, names in lower case."""
    return {name.lower(): value for name, value in response.headers.items()}


def shown(body: bytes) -> str:
    """The beginning of a body for an error message."""
    text = body[:SHOWN].decode(errors="replace")
    return repr(text if len(body) <= SHOWN else text + "...")


def _counts(usage: Any) -> list[tuple[str, int]]:
    """Whole numbers of a usage object; those of nested objects under their own names."""
    if not isinstance(usage, Mapping):
        return []
    counts: list[tuple[str, int]] = []
    for name, value in usage.items():
        if isinstance(value, Mapping):
            counts += _counts(value)
        elif isinstance(value, int):
            counts.append((str(name), value))
    return counts
