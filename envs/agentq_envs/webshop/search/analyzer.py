"""Text analysis of the reference index: words, possessives, lower case, stop words, Porter stems.

Source: Lucene's English analyser as Anserini configures it (the defaults of pyserini 0.17.0).
"""

from __future__ import annotations

from functools import lru_cache

from agentq_envs.webshop.search.porter import stem
from agentq_envs.webshop.search.tokenizer import split_words

_STOP_TEXT = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these "
    "they this to was will with"
)
STOP_WORDS = frozenset(_STOP_TEXT.split())
_APOSTROPHES = "'\u2019\uff07"


def _lower(word: str) -> str:
    """Lower case one character at a time, without the final-sigma rule, as Java does."""
    if word.isascii():
        return word.lower()
    return "".join(character.lower()[0] for character in word)


@lru_cache(maxsize=1 << 18)
def term(word: str) -> str:
    """Index term of one raw token; empty when the token is not indexed (stop word, underscores alone)."""
    if word[-1:] in ("s", "S") and word[-2:-1] in _APOSTROPHES and len(word) > 1:
        word = word[:-2]
    word = _lower(word)
    if word in STOP_WORDS or not word.strip("_"):
        return ""
    return stem(word)


def analyze(text: str) -> list[str]:
    """Index terms of a text, in order and with repeats; never raises on any string."""
    return [token for token in map(term, split_words(text)) if token]
