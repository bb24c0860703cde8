"""A plain function from messages to text, synchronous or not."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from agentq.policies.openai.candidates import candidate_of_choice
from agentq.types import Candidate, Messages
from agentq.wrapping.asking import Asker
from agentq.wrapping.guide import Guide
from agentq.wrapping.guided import Guided


class GuidedFunction(Guided):
    """Calls a function ``n`` times with the same arguments and returns the reply that was chosen.

    The first argument (or the keyword ``messages``) is a text or chat messages. A reply is a text, a chat
    message, or a ``Candidate``, which keeps log-probabilities for a critic that reads them. A function that
    always answers the same is asked in vain: it must sample.
    """

    def __init__(self, function: Any, guide: Guide) -> None:
        self.guide = guide
        self._function = function
        self._asker = Asker(together=False, parallel=guide.parallel)
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The chosen reply, as the function gave it."""
        messages = _messages(arguments, options)
        replies = self._asker.ask(lambda n, first: [self._function(*arguments, **options)], self.guide.n)
        candidates = [_candidate(reply, self.guide) for reply in replies.items]
        return replies.items[self.guide.choose(messages, candidates, replies).index]


class GuidedAsyncFunction(GuidedFunction):
    """The same for a coroutine function; the n calls run concurrently."""

    async def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The chosen reply, as the function gave it."""
        messages = _messages(arguments, options)

        async def one(n: int, first: int) -> list[Any]:
            return [await self._function(*arguments, **options)]

        replies = await self._asker.ask_async(one, self.guide.n)
        candidates = [_candidate(reply, self.guide) for reply in replies.items]
        return replies.items[(await self.guide.choose_async(messages, candidates, replies)).index]


def wrap_function(function: Any, guide: Guide) -> GuidedFunction:
    """The guided form of anything that can be called with messages."""
    called = function if inspect.isroutine(function) else type(function).__call__
    while isinstance(called, functools.partial):
        called = called.func
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    asynchronous = inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(called)
    return (GuidedAsyncFunction if asynchronous else GuidedFunction)(function, guide)


def _messages(arguments: Sequence[Any], options: Mapping[str, Any]) -> Messages:
    given = arguments[0] if arguments else options.get("messages")
    if isinstance(given, str):
        return ({"role": "user", "content": given},)
    if isinstance(given, Sequence) and all(isinstance(message, Mapping) for message in given):
        return given
    raise TypeError(
        f"the wrapped function was called with {type(given).__name__} {given!r:.60} in place of messages; expected "
        "a text or a list of chat messages as first argument or as keyword `messages`. Wrap a function that takes them."
    )


def _candidate(reply: Any, guide: Guide) -> Candidate:
    if isinstance(reply, Candidate):
        return reply
    if isinstance(reply, Mapping):
        return candidate_of_choice({"message": reply}, guide.parser)
    if isinstance(reply, str):
        return candidate_of_choice({"message": {"content": reply}}, guide.parser)
    return Candidate(
        repr(reply),
        None,
        f"the reply is a {type(reply).__name__}, expected text, a chat message or a Candidate",
    )
