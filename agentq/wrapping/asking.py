"""How an agent is asked for n replies: in one request where it can, else in n, and what happens when some fail."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

Reply = TypeVar("Reply")
#: (how many replies, number of the first one) -> that many replies, or fewer where the other side has a limit.
Request: TypeAlias = Callable[[int, int], Sequence[Reply]]
AsyncRequest: TypeAlias = Callable[[int, int], Awaitable[Sequence[Reply]]]

#: Flag of a decision among fewer replies than were asked for, because some requests failed.
FEWER = "fewer_candidates"
_REFUSALS = (400, 422, 501)  # what servers answer to a parameter that they do not have


@dataclass(frozen=True)
class Replies(Generic[Reply]):
    """The replies that came, at least one."""

    items: list[Reply]
    flags: tuple[str, ...] = ()
    seconds: float = 0.0  # wall clock of all requests


class Asker:
    """Asks one agent n times and remembers whether it takes n in one request.

    ``together=False`` starts with single requests. ``parallel`` threads carry single requests of a
    synchronous agent; asynchronous ones run concurrently. An agent that refuses n, or ignores it, is asked
    singly from then on.
    """

    def __init__(self, together: bool, parallel: int = 1) -> None:
        self.together = together
        self.parallel = parallel

    def ask(self, request: Request[Reply], n: int) -> Replies[Reply]:
        """Up to n replies. Raises the error of the first request when there is no reply at all.

        When n is refused the same request goes out with n=1, so that an error is the one that the agent
        would have met without us.
        """
        started = time.perf_counter()
        items: list[Reply] = []
        if self.together or n == 1:
            try:
                items = list(request(n, 0))
            except Exception as error:
                if n == 1 or not refuses_parameter(error):
                    raise
                items = list(request(1, 0))
            self._learn(items, n)
        failed = 0
        if len(items) < n:
            singles = self._singly(request, range(len(items), n), bool(items))
            items += [reply for got in singles if not isinstance(got, Exception) for reply in got]
            failed = sum(isinstance(got, Exception) for got in singles)
        return Replies(items[:n], (FEWER,) if failed else (), time.perf_counter() - started)

    async def ask_async(self, request: AsyncRequest[Reply], n: int) -> Replies[Reply]:
        """``ask`` with concurrent single requests."""
        started = time.perf_counter()
        items: list[Reply] = []
        if self.together or n == 1:
            try:
                items = list(await request(n, 0))
            except Exception as error:
                if n == 1 or not refuses_parameter(error):
                    raise
                items = list(await request(1, 0))
            self._learn(items, n)
        failed = 0
        if len(items) < n:
            calls = (request(1, i) for i in range(len(items), n))
            singles = await asyncio.gather(*calls, return_exceptions=True)
            errors = [got for got in singles if isinstance(got, BaseException)]
            # A cancelled or interrupted request is no failed candidate: it ends the whole call.
            fatal = [error for error in errors if not isinstance(error, Exception)]
            if fatal or (errors and len(errors) == len(singles) and not items):
                raise (fatal or errors)[0]
            items += [reply for got in singles if not isinstance(got, BaseException) for reply in got]
            failed = len(errors)
        return Replies(items[:n], (FEWER,) if failed else (), time.perf_counter() - started)

    def _learn(self, items: Sequence[object], n: int) -> None:
        if n > 1 and len(items) < n:
            self.together = False

    def _singly(
        self, request: Request[Reply], numbers: range, some: bool
    ) -> list[Sequence[Reply] | Exception]:
        """One request per number. Without any reply yet, raises the first error: all of them in threads,
        else at once, because the other calls would only repeat it."""
        if self.parallel > 1:
            with ThreadPoolExecutor(self.parallel) as pool:
                # Each call gets a context of its own: sessions and traces are found through it.
                jobs = [pool.submit(contextvars.copy_context().run, _tried, request, i) for i in numbers]
                results = [job.result() for job in jobs]
        else:
            results = []
            for number in numbers:
                results.append(_tried(request, number))
                if not some and isinstance(results[0], Exception):
                    raise results[0]
        if not some and results and all(isinstance(got, Exception) for got in results):
            raise next(got for got in results if isinstance(got, Exception))
        return results


def _tried(request: Request[Reply], number: int) -> Sequence[Reply] | Exception:
    try:
        return request(1, number)
    except Exception as error:  # noqa: BLE001 - an agent of any framework: its error is handed on or counted
        return error


def refuses_parameter(error: Exception) -> bool:
    """Whether an error may mean that n in one request is not possible, rather than that the service is down."""
    status = getattr(error, "status_code", None)
    return status in _REFUSALS or (status is None and isinstance(error, (TypeError, ValueError)))
