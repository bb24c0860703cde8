"""A plain function from messages to text, synchronous or not."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from agentq.policies.openai.candidates import candidate_of_choice
from agentq.types import Candidate, Messages
from agentq.verification import with_note
from agentq.wrapping.asking import Asker, AsyncRequest, Replies, Request
from agentq.wrapping.guide import Guide
from agentq.wrapping.guided import Guided
from agentq.wrapping.rounds import ask_and_choose, ask_and_choose_async


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

        def asking(note: str | None) -> Request[Any]:
            given, named = _noted(arguments, options, note)
            return lambda n, first: [self._function(*given, **named)]

        replies, choice = ask_and_choose(
            self.guide, self._asker, messages, asking, self._candidates, self.guide.n
        )
        return replies.items[choice.index]

    def _candidates(self, replies: Replies[Any]) -> list[Candidate]:
        return [_candidate(reply, self.guide) for reply in replies.items]


class GuidedAsyncFunction(GuidedFunction):
    """The same for a coroutine function; the n calls run concurrently."""

    async def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The chosen reply, as the function gave it."""
        messages = _messages(arguments, options)

        def asking(note: str | None) -> AsyncRequest[Any]:
            given, named = _noted(arguments, options, note)

            async def one(n: int, first: int) -> list[Any]:
                return [await self._function(*given, **named)]

            return one

        replies, choice = await ask_and_choose_async(
            self.guide, self._asker, messages, asking, self._candidates, self.guide.n
        )
        return replies.items[choice.index]


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


def _noted(
    arguments: Sequence[Any], options: Mapping[str, Any], note: str | None
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The arguments of a call with a note behind its text or messages."""
    if note is None:
        return arguments, options
    given = arguments[0] if arguments else options["messages"]
    more = f"{given}\n\n{note}" if isinstance(given, str) else with_note(given, note)
    return ((more, *arguments[1:]), options) if arguments else ((), {**options, "messages": more})


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
