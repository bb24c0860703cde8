"""From an agent that can be asked to the reply that goes through: one round of candidates, or two.

The second one comes when checks refused the whole first and ``resample`` is on; it is the same for every
framework, whose adapter only says how a note gets into its prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from agentq.types import Candidate, Messages
from agentq.verification import RESAMPLE_FAILED, RESAMPLED
from agentq.wrapping.asking import Asker, AsyncRequest, Replies, Request
from agentq.wrapping.guide import Choice, Guide

Reply = TypeVar("Reply")
#: note -> how the agent is asked with that note behind its messages; None: as the caller asked.
Asking: TypeAlias = Callable[[str | None], Request[Reply]]
AsyncAsking: TypeAlias = Callable[[str | None], AsyncRequest[Reply]]
Reading: TypeAlias = Callable[[Replies[Reply]], Sequence[Candidate]]


def ask_and_choose(
    guide: Guide, asker: Asker, messages: Messages, asking: Asking[Reply], reading: Reading[Reply], n: int
) -> tuple[Replies[Reply], Choice]:
    """All replies and which of them goes through; ``reading`` makes one candidate of each.

    Raises the agent's own error when its first round fails, and what ``Guide.choose`` raises.
    """
    replies = asker.ask(asking(None), n)
    candidates = reading(replies)
    note = guide.note(messages, candidates)
    if note is not None:
        try:
            second: Replies[Reply] | None = asker.ask(asking(note), n)
        except Exception as error:  # noqa: BLE001 - any agent's: its first round stands, flagged
            second = guide.failed_round(error)
        replies = _both(replies, second)
        candidates = reading(replies)
    return replies, guide.choose(messages, candidates, replies)


async def ask_and_choose_async(
    guide: Guide,
    asker: Asker,
    messages: Messages,
    asking: AsyncAsking[Reply],
    reading: Reading[Reply],
    n: int,
) -> tuple[Replies[Reply], Choice]:
    """``ask_and_choose`` of an asynchronous agent."""
    replies = await asker.ask_async(asking(None), n)
    candidates = reading(replies)
    note = guide.note(messages, candidates)
    if note is not None:
        try:
            second: Replies[Reply] | None = await asker.ask_async(asking(note), n)
        except Exception as error:  # noqa: BLE001 - any agent's: its first round stands, flagged
            second = guide.failed_round(error)
        replies = _both(replies, second)
        candidates = reading(replies)
    return replies, await guide.choose_async(messages, candidates, replies)


def _both(first: Replies[Reply], second: Replies[Reply] | None) -> Replies[Reply]:
    if second is None:
        return Replies(first.items, (*first.flags, RESAMPLED, RESAMPLE_FAILED), first.seconds)
    flags = tuple(dict.fromkeys((*first.flags, RESAMPLED, *second.flags)))
    return Replies([*first.items, *second.items], flags, first.seconds + second.seconds)
