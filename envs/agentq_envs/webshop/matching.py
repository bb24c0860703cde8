"""Fuzzy text comparison: token_set_ratio as in thefuzz 0.19.0 with its pure-Python difflib backend."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from rapidfuzz import fuzz

THRESHOLD = 85  # a pair matches above this score
_NOT_WORD = re.compile(r"\W")
_LATIN_1_SUPPLEMENT = dict.fromkeys(range(0x80, 0x100))  # deleted, as thefuzz's force_ascii does


@dataclass(frozen=True, slots=True)
class _Words:
    """The distinct words of a cleaned text, and the words sorted and joined."""

    distinct: frozenset[str]
    joined: str


def clean(text: str) -> str:
    """Drop U+0080-U+00FF, turn every non-word character into a space, lower-case, strip."""
    return _NOT_WORD.sub(" ", text.translate(_LATIN_1_SUPPLEMENT)).lower().strip()


def ratio(a: str, b: str) -> int:
    """100 x difflib's similarity, rounded to an integer; 0 when a text is empty."""
    if a == b:
        return 100
    if not a or not b:
        return 0
    return round(100 * SequenceMatcher(None, a, b).ratio())


def token_set_ratio(a: object, b: object) -> int:
    """Similarity of the word sets of two texts, 0-100; other objects count by their ``str``.

    With S the sorted common words, A and B = S plus the sorted rest of each side, the largest of
    ratio(S, A), ratio(S, B) and ratio(A, B).
    """
    words_a, words_b = _words(str(a)), _words(str(b))
    if not words_a.joined or not words_b.joined:
        return 0
    common, left, right = _sides(words_a, words_b)
    return max(ratio(common, left), ratio(common, right), ratio(left, right))


@lru_cache(maxsize=262144)
def matches(a: str, b: str) -> bool:
    """Whether ``token_set_ratio(a, b) > 85``, usually without running difflib.

    difflib's matching blocks form a common subsequence, so the similarity from the longest common
    subsequence (rapidfuzz) is never below difflib's and can reject a pair safely.
    """
    words_a, words_b = _words(a), _words(b)
    if not words_a.joined or not words_b.joined:
        return False
    if words_a.distinct.isdisjoint(words_b.distinct):
        left, right = words_a.joined, words_b.joined
        return _may_match(left, right) and ratio(left, right) > THRESHOLD
    common, left, right = _sides(words_a, words_b)
    if common in (left, right):
        return True
    pairs = ((common, left), (common, right), (left, right))
    return any(_may_match(x, y) and ratio(x, y) > THRESHOLD for x, y in pairs)


def _may_match(a: str, b: str) -> bool:
    return fuzz.ratio(a, b, score_cutoff=THRESHOLD) > 0


@lru_cache(maxsize=65536)
def _words(text: str) -> _Words:
    distinct = frozenset(clean(text).split())
    return _Words(distinct, " ".join(sorted(distinct)))


def _sides(a: _Words, b: _Words) -> tuple[str, str, str]:
    """S, A and B of ``token_set_ratio``."""
    common = " ".join(sorted(a.distinct & b.distinct))
    left = f"{common} {' '.join(sorted(a.distinct - b.distinct))}".strip()
    right = f"{common} {' '.join(sorted(b.distinct - a.distinct))}".strip()
    return common, left, right
