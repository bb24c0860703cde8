"""An asynchronous client of any server that speaks OpenAI's protocol; it never logs keys or contents."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, TypeVar

import httpx
import numpy as np

from agentq.errors import CandidateError, ServerError
from agentq.policies.openai.answers import (
    SHOWN,
    Completions,
    RetriesExhaustedError,
    ServerReply,
    ServerStream,
    joined,
    plain_headers,
    shown,
)
from agentq.policies.openai.retrying import (
    RETRIED,
    UNREACHED,
    Backoff,
    ClientStatistics,
    RateLimit,
    error_of,
    is_retried,
    retry_after,
)
from agentq.policies.openai.settings import ServerSettings

__all__ = [
    "ChatClient",
    "ClientStatistics",
    "Completions",
    "RetriesExhaustedError",
    "ServerReply",
    "ServerSettings",
    "ServerStream",
    "sample_seed",
]

_T = TypeVar("_T")
#: How servers refuse more than one choice: by the parameter's name in quotes or beside a comparison, or in words.
_ONE_CHOICE = re.compile(
    r"['\"`]n['\"`]|\bn\s*(?:=|>|<|must|is not|should|greater|other than)|parameter:? n\b|completion choice",
    re.I,
)


class ChatClient:
    """One connection pool to one server, used inside one event loop.

    Infrastructure errors (no connection, timeouts, statuses 408, 425, 429, 502, 503, 504, 529) are tried again
    with full jitter, ``Retry-After`` honoured, counted in ``statistics``. Every other answer is handed over as
    it is: nothing that a model said is ever sampled again. The key is read from the environment here.
    ``transport`` replaces the network, for tests; ``statistics`` is counted on in, where given.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        statistics: ClientStatistics | None = None,
    ) -> None:
        self.settings = settings
        self.statistics = ClientStatistics() if statistics is None else statistics
        self._key = settings.key()
        headers = dict(settings.headers)
        if self._key:
            headers.setdefault("Authorization", f"Bearer {self._key}")
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout, pool=None),
            limits=httpx.Limits(
                max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency
            ),
            transport=transport,
        )
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._rate = RateLimit(settings.requests_per_second)
        self._backoff = Backoff(settings.retry_seconds, settings.retry_limit)
        self._single: set[str] = set()  # models whose server answers one choice per request

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, retry: bool = True
    ) -> ServerReply:
        """The answer to GET ``path``: ``/v1/...`` is below the API's address, anything else below the root."""
        return await self._read("GET", path, None, headers, retry)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any] | bytes,
        *,
        headers: Mapping[str, str] | None = None,
        retry: bool = True,
    ) -> ServerReply:
        """The answer to POST ``path`` with a JSON body, or with bytes that are sent as they are.

        Raises ``RetriesExhaustedError`` when the server was not reached (``retry=False``: after one attempt,
        and then any answer is handed over).
        """
        return await self._read("POST", path, body, headers, retry)

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        body: Mapping[str, Any] | bytes,
        *,
        headers: Mapping[str, str] | None = None,
        retry: bool = True,
    ) -> AsyncIterator[ServerStream]:
        """POST whose answer is read as it comes: ``async with client.stream(...) as s: async for part in s.bytes()``.

        Retries end with the first answer that is not "not now"; a stream that breaks off is never begun again.
        Leaving the block closes the connection, so the server stops.
        """
        self.statistics.requests += 1
        retried = 0
        while True:
            async with self._slots:
                outcome = await self._open("POST", path, body, headers)
                if isinstance(outcome, httpx.Response):
                    async with _closing(outcome) as response:
                        outcome = await _refusal(response) if retry else None
                        if outcome is None:
                            yield ServerStream(response)
                            return
            retried = await self._pause(path, outcome, retried, retry)

    async def completions(
        self, body: Mapping[str, Any], n: int, *, path: str = "/v1/chat/completions"
    ) -> Completions:
        """n choices: in one request where the server supports ``n``, otherwise in parallel requests.

        Which of the two is found out from the first answer (fewer choices than asked for, or a refusal that
        names n) and remembered per model. Parallel request i carries ``sample_seed(seed, i)`` where ``body``
        has a seed: the same seed would give the same choice n times. Raises ``ServerError`` for a status
        of 300 and above and for answers without choices, ``RetriesExhaustedError`` as ``post`` does.
        """
        if n < 1:
            raise CandidateError(f"n={n}: at least one completion can be asked for. Ask for n >= 1.")
        model = str(body.get("model", ""))
        if n > 1 and model not in self._single:
            reply = await self.post(path, {**body, "n": n})
            if reply.status in (400, 422) and _ONE_CHOICE.search(str(error_of(reply.body))):
                completions = await self._one_by_one(path, body, n, [])
                self._single.add(model)  # only now is it certain that n was the reason
                return completions
            if len(self._choices(path, reply)) < n:
                self._single.add(model)
                return await self._one_by_one(path, body, n, [reply])
            return joined([reply], n)
        return await self._one_by_one(path, body, n, [])

    async def _one_by_one(
        self, path: str, body: Mapping[str, Any], n: int, have: list[ServerReply]
    ) -> Completions:
        """The choices in ``have`` and one request for each that is missing."""
        first = sum(len(self._choices(path, reply)) for reply in have)
        bodies = [dict(body) for _ in range(first, n)]
        for i, single in zip(range(first, n), bodies, strict=True):
            single.pop("n", None)
            if n > 1 and single.get("seed") is not None:
                single["seed"] = sample_seed(int(single["seed"]), i)
        replies = await together([self.post(path, single) for single in bodies])
        for reply in replies:
            self._choices(path, reply)
        return joined([*have, *replies], n)

    def _choices(self, path: str, reply: ServerReply) -> list[dict[str, Any]]:
        if reply.status >= 300:
            raise self._refused("POST", path, reply)
        answer = reply.json()
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices:
            raise ServerError(
                f"{self.settings.url(path)} answered without choices: {self._safe(reply.body)}. Check that it is a "
                "completion endpoint of OpenAI's protocol.",
                reply.status,
                reply.body,
                reply.headers,
            )
        return choices

    async def _read(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None,
        headers: Mapping[str, str] | None,
        retry: bool,
    ) -> ServerReply:
        self.statistics.requests += 1
        retried = 0
        while True:
            async with self._slots:
                outcome = await self._open(method, path, body, headers)
                if isinstance(outcome, httpx.Response):
                    async with _closing(outcome) as response:
                        outcome = await _whole(response)
            if isinstance(outcome, ServerReply) and not (retry and is_retried(outcome.status, outcome.body)):
                return outcome
            retried = await self._pause(path, outcome, retried, retry)

    async def _open(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Response | Exception:
        """One attempt up to the answer's headers, or why the server was not reached."""
        await self._rate.start()
        self.statistics.attempts += 1
        content = body if body is None or isinstance(body, bytes) else _encoded(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        request = self._http.build_request(
            method, self.settings.url(path), content=content, headers={**kind, **(headers or {})}
        )
        try:
            return await self._http.send(request, stream=True)
        except UNREACHED as error:
            return error

    async def _pause(self, path: str, outcome: ServerReply | Exception, retried: int, retry: bool) -> int:
        """Wait before the next attempt; raises when there is none."""
        reply = outcome if isinstance(outcome, ServerReply) else None
        asked = None if reply is None else retry_after(reply.headers)
        reason = str(reply.status) if reply is not None else type(outcome).__name__
        too_long = asked is not None and asked > self.settings.retry_limit
        if not retry or retried >= self.settings.retries or too_long:
            self.statistics.failures += 1
            said = f"status {reason}: {self._safe(reply.body)}" if reply is not None else reason
            wish = f" It asks to wait {asked:.0f} s, more than retry_limit." if too_long else ""
            raise RetriesExhaustedError(
                f"{self.settings.url(path)} did not answer after {retried + 1} attempts ({said}).{wish} Check "
                "that the server runs and is reached (`agentq doctor --server URL`), or raise retries or the timeouts.",
                reply,
            ) from (outcome if isinstance(outcome, Exception) else None)
        seconds = self._backoff.wait(retried, asked)
        self.statistics.retries += 1
        self.statistics.reasons[reason] += 1
        self.statistics.waited += seconds
        await asyncio.sleep(seconds)
        return retried + 1

    def _refused(self, method: str, path: str, reply: ServerReply) -> ServerError:
        advice = "Change the request accordingly."
        if reply.status in (401, 403):
            state = "is set" if self._key else "is empty or not set"
            advice = f"Check the key: the environment variable {self.settings.key_variable!r} {state}."
        elif reply.status == 404:
            advice = "Check base_url and the model's name (`agentq doctor --server URL` lists both)."
        return ServerError(
            f"{method} {self.settings.url(path)} was refused with status {reply.status}: {self._safe(reply.body)}. "
            f"{advice}",
            reply.status,
            reply.body,
            reply.headers,
        )

    def _safe(self, body: bytes) -> str:
        """What an error may show of an answer: its message or beginning, with the key blacked out."""
        message = error_of(body).get("message")
        text = str(message) if message else shown(body)
        return (text.replace(self._key, "[key]") if self._key else text)[:SHOWN]


def sample_seed(seed: int, sample: int) -> int:
    """The seed of sample ``sample`` of a state, 31 bits; neighbouring seeds and samples share no stream."""
    return int(np.random.SeedSequence([seed, sample]).generate_state(1)[0] >> 1)


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body).encode()
    except TypeError as error:
        raise CandidateError(
            f"a request holds what JSON cannot say ({error}); expected messages of text and of OpenAI's image parts. "
            "Send an image as {'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,...'}}."
        ) from error


@asynccontextmanager
async def _closing(response: httpx.Response) -> AsyncIterator[httpx.Response]:
    try:
        yield response
    finally:
        await response.aclose()


async def _whole(response: httpx.Response) -> ServerReply | Exception:
    """The answer with its body, or why it broke off."""
    try:
        return ServerReply(response.status_code, plain_headers(response), await response.aread())
    except UNREACHED as error:
        return error


async def _refusal(response: httpx.Response) -> ServerReply | Exception | None:
    """An answer that says "not now", read whole; None: an answer to hand over (it can still be iterated)."""
    if response.status_code not in RETRIED:
        return None
    outcome = await _whole(response)
    return outcome if isinstance(outcome, Exception) or is_retried(outcome.status, outcome.body) else None


async def together(calls: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    """The results of concurrent calls; the first error cancels the others and is raised."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
