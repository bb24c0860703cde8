"""What an action has to do with the question and with what was read, to be read right behind the action.

"finish[1962]" does not say who was born in 1962, nor whether that was read at all; a sentence far away in the prompt
does. A model has to find it for every action, which small ones learn slowly. This text puts the sentences side by
side. It repeats what the prompt holds and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentq.features.grounding import newest_text
from agentq.types import Messages
from agentq_envs.hotpotqa.comparison import compared

_QUESTION = "Question: "
_ACTION = re.compile(r"(search|lookup|finish)\[(.*)\]", re.DOTALL)
_SENTENCE = re.compile(r"[^.]+(?:\.(?!\s|$)[^.]*)*\.*")
_WORD = re.compile(r"[^\W_]+")
_LIST = "Similar: "  # titles that a search offers instead of a page
_NOT_FOUND = "Could not find"  # how such a line begins
_FOUND = re.compile(r"\(Result \d+ / \d+\) ")  # in front of a sentence that a lookup shows
_STEM = 5  # letters by which words are the same: "direct-ed" and "direct-or"
_NAMED, _RELATED = 2, 2  # sentences at most


def facts(messages: Messages, action: str) -> str:
    """Whether it was done before, the sentences that hold its words, and those that share a word with the question.

    Returns "" when the newest message is not a compact prompt. Never raises on text.
    """
    if (prompt := _read(messages)) is None:
        return ""
    question, lines = prompt
    done = [line for line in lines if _ACTION.fullmatch(line)]
    read = [s for line in lines if line not in done for s in map(str.strip, _SENTENCE.findall(line)) if s]
    read = [s for s in dict.fromkeys(read) if not s.startswith(_LIST)]
    argument = _argument(action)
    holding = [sentence for sentence in read if _within(argument, sentence)][:_NAMED]
    asked = _stems(question)
    ranked = sorted(read, key=lambda sentence: -len(_stems(sentence) & asked))  # stable: earlier ones first
    related = [s for s in ranked[:_RELATED] if _stems(s) & asked and s not in holding]
    parts = [
        *(["done before"] if action.strip() in done else []),
        *(["in the question"] if _within(argument, question) else []),
        f"read: {' '.join(holding) or 'nowhere'}",
        *([f"related: {' '.join(related)}"] if related else []),
        f"question: {question}",
    ]
    return " | ".join(parts)


def compared_facts(messages: Messages, action: str) -> str:
    """`facts`, and how the pages that the question names compare: their numbers, and the names that both hold.

    Returns "" when the newest message is not a compact prompt. Never raises on text.
    """
    if (prompt := _read(messages)) is None:
        return ""
    question, lines = prompt
    argument = _argument(action)
    return " | ".join([facts(messages, action), *compared(question, _pages(lines), argument)])


def _read(messages: Messages) -> tuple[str, list[str]] | None:
    """The question of a compact prompt and the lines behind it; None: the newest message is no such prompt."""
    content = newest_text(messages)
    if not content.startswith(_QUESTION):
        return None
    question, *lines = content.removeprefix(_QUESTION).splitlines() or [""]
    return question, lines


def _argument(action: str) -> str:
    found = _ACTION.fullmatch(action.strip())
    return found[2].strip() if found else action.strip()


def _pages(lines: Sequence[str]) -> dict[str, list[str]]:
    """The sentences that were read, by the title of the page that was open; "" for any before the first one."""
    pages: dict[str, list[str]] = {}
    title = sought = ""
    for line in lines:
        if action := _ACTION.fullmatch(line):
            sought = action[2].strip() if action[1] == "search" else ""
        elif not line.startswith(_NOT_FOUND):
            title = sought or title
            page = pages.setdefault(title, [])
            page += [
                s for s in map(str.strip, _SENTENCE.findall(_FOUND.sub("", line))) if s and s not in page
            ]
    return pages


def _within(words: str, text: str) -> bool:
    """Whether ``words`` stand in ``text``, as whole words, in any case."""
    return bool(words) and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE) is not None


def _stems(text: str) -> set[str]:
    """The beginnings of words that carry meaning: of four letters and more, without names."""
    return {word.lower()[:_STEM] for word in _WORD.findall(text) if len(word) > 3 and word[0].islower()}
