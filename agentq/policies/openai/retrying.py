"""When a request is tried again, how long to wait before, and how often requests may start."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

#: Statuses with which a server, or a proxy before it, says that it cannot serve anybody now. 500 is not one:
#: a request that breaks a server breaks it again.
RETRIED = frozenset({408, 425, 429, 502, 503, 504, 529})
#: What httpx raises when the server was not reached or went away before its answer was complete.
UNREACHED = (
    httpx.TimeoutException,
    httpx.NetworkError,
    httpx.RemoteProtocolError,
    httpx.ProxyError,
    httpx.DecodingError,
)


@dataclass(slots=True)
class ClientStatistics:
    """What a client sent since it was made; the counts only grow."""

    requests: int = 0  # calls, however often each was tried
    attempts: int = 0  # HTTP requests, streams included
    retries: int = 0
    failures: int = 0  # calls that were given up
    waited: float = 0.0  # seconds slept before retries
    reasons: Counter[str] = field(default_factory=Counter[str])  # of retries: status or name of the exception


def is_retried(status: int, body: bytes) -> bool:
    """Whether the answer says "not now"; a used-up quota comes as 429 and does not come back by waiting."""
    return status in RETRIED and not (status == 429 and error_of(body).get("code") == "insufficient_quota")


def error_of(body: bytes) -> Mapping[str, Any]:
    """The ``error`` object of a JSON answer, empty where there is none."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        return error
    return {"message": error} if isinstance(error, str) else value if isinstance(value, dict) else {}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for, as a number or as a date; None: nothing readable (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


@dataclass(slots=True)
class Backoff:
    """Full jitter: uniform between 0 and a bound that doubles up to a limit (seconds).

    Brooker, "Exponential Backoff And Jitter", 2015. Many clients of one server spread over the whole interval.
    """

    seconds: float
    limit: float
    rng: random.Random = field(default_factory=random.Random)  # apart from the generators of samples

    def wait(self, retry: int, asked: float | None) -> float:
        """Seconds before retry 0, 1, ...; never less than the server asked for."""
        jitter = self.rng.uniform(0.0, min(self.limit, self.seconds * 2.0**retry))
        return jitter if asked is None else asked + min(jitter, self.seconds)


class RateLimit:
    """Spaces starts evenly: at most ``per_second`` of them, none saved up (0: no limit)."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1.0 / per_second if per_second > 0 else 0.0
        self._next = 0.0

    async def start(self) -> None:
        """Returns when the caller may start; in the order of the calls."""
        if not self._interval:
            return
        now = time.monotonic()
        at = max(now, self._next)
        self._next = at + self._interval
        if at > now:
            await asyncio.sleep(at - now)
