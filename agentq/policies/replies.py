"""From sampled token ids to text and action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from agentq.policies.constrained import ActionVocabulary, Grammar
from agentq.policies.parsing import ActionParser, parse_action

#: A distinct reply: the grammar it was sampled under and its token ids.
ReplyKey: TypeAlias = tuple[Grammar, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What sampled ids say."""

    text: str
    action: str | None
    error: str | None = None


class Reader:
    """Decodes and parses replies, and counts those that would be tokenised differently again.

    A drifted reply is legitimate (the ids were sampled), but its text stands for other ids than those
    whose probabilities are known, so text alone must not be used to score or train on it.
    """

    def __init__(
        self, vocabulary: ActionVocabulary, parser: ActionParser | None, max_new_tokens: int
    ) -> None:
        self.drifted = 0
        self._vocabulary = vocabulary
        self._parser = parser
        self._unfinished = f"the reply has no end within max_new_tokens={max_new_tokens}"

    def read(self, distinct: Mapping[ReplyKey, bool]) -> dict[ReplyKey, Reply]:
        """The replies; the value says whether it is complete. Free texts are decoded in one call."""
        replies: dict[ReplyKey, Reply] = {}
        free: list[ReplyKey] = []
        for key in distinct:
            literal = key[0].literal(key[1])
            if literal is None:
                free.append(key)
            else:
                replies[key] = Reply(literal, literal)
        texts = self._vocabulary.decode([ids for _, ids in free])
        ended: list[tuple[tuple[int, ...], str]] = []
        for key, text in zip(free, texts, strict=True):
            if not distinct[key]:
                replies[key] = Reply(text, None, self._unfinished)
                continue
            parsed = parse_action(text, self._parser)
            replies[key] = Reply(text, parsed.action, parsed.error)
            ended.append((key[1], text))
        again = self._vocabulary.action_ids([text for _, text in ended])
        self.drifted += sum(ids[:-1] != spelt[:-1] for (ids, _), spelt in zip(ended, again, strict=True))
        return replies
