"""What a request may cost before it is believed: size, time, keys, and clients that have gone."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

from agentq.errors import InfrastructureError

T = TypeVar("T")


class RefusedError(InfrastructureError):
    """The gateway itself refuses a request; becomes an error object of OpenAI's form."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: float | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after, self.param = status, code, retry_after, param

    def content(self) -> dict[str, Any]:
        """The body of the answer."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


class ClientGoneError(InfrastructureError):
    """The client closed its connection; nobody reads an answer."""


async def read_body(request: Any, most: int, seconds: float) -> bytes:
    """The whole body. Raises ``RefusedError``: 413 when it is larger than ``most`` bytes, 408 when it is slow."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError("the client closed its connection while it sent the body.")
                part = message.get("body", b"")
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError as error:
        raise RefusedError(
            408, "body_timeout", f"the body was not complete after {seconds:g} s. Send it faster."
        ) from error


def parsed_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises ``RefusedError`` (400) for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RefusedError(
            400, "malformed_json", f"the body is no JSON: {reason}. Send an object."
        ) from error
    if not isinstance(value, dict):
        raise RefusedError(
            400, "malformed_json", f"the body is {type(value).__name__}, expected a JSON object."
        )
    return value


async def while_connected(request: Any, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled when the client goes away: then ``ClientGoneError``.

    The body must have been read whole.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGoneError("the client closed its connection before its answer was ready.")
    finally:
        left: list[asyncio.Future[Any]] = [future for future in (task, gone) if not future.done()]
        for future in left:
            future.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def has_key(request: Any, key: str) -> bool:
    """Whether the request sends ``key`` as its bearer token; compared in constant time."""
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), key.encode())


def is_local(request: Any) -> bool:
    """Whether the request comes from this machine, under a name of this machine (no DNS rebinding)."""
    if request.client is None or not _loopback(request.client.host):
        return False
    name = request.headers.get("host", "")
    bare = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() else name
    return bare == "localhost" or _loopback(bare.strip("[]"))


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def _disconnected(request: Any) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _too_large(most: int) -> RefusedError:
    return RefusedError(
        413, "body_too_large", f"the body is larger than {most} bytes. Send less, or raise --max-body."
    )
