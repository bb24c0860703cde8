"""Fuzzy text comparison: token_set_ratio as in thefuzz 0.19.0 with its pure-Python difflib backend."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import lru_cache

from rapidfuzz import fuzz

THRESHOLD = 85  # a pair matches above this score
_NOT_WORD = re.compile(r"\W")
_LATIN_1_SUPPLEMENT = dict.fromkeys(range(0x80, 0x100))  # deleted, as thefuzz's force_ascii does


@lru_cache(maxsize=65536)
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
    sides = _sides(str(a), str(b))
    if sides is None:
        return 0
    common, left, right = sides
    return max(ratio(common, left), ratio(common, right), ratio(left, right))


@lru_cache(maxsize=262144)
def matches(a: str, b: str) -> bool:
    """Whether ``token_set_ratio(a, b) > 85``, usually without running difflib.

    difflib's matching blocks form a common subsequence, so the similarity from the longest common
    subsequence (rapidfuzz) is never below difflib's and can reject a pair safely.
    """
    sides = _sides(a, b)
    if sides is None:
        return False
    common, left, right = sides
    if common and common in (left, right):
        return True
    pairs = ((common, left), (common, right), (left, right))
    return any(_may_match(x, y) and ratio(x, y) > THRESHOLD for x, y in pairs)


def _may_match(a: str, b: str) -> bool:
    return fuzz.ratio(a, b) >= THRESHOLD


def _sides(a: str, b: str) -> tuple[str, str, str] | None:
    """S, A and B of ``token_set_ratio``; None when a side has no word."""
    words_a, words_b = set(clean(a).split()), set(clean(b).split())
    if not words_a or not words_b:
        return None
    common = " ".join(sorted(words_a & words_b))
    left = f"{common} {' '.join(sorted(words_a - words_b))}".strip()
    right = f"{common} {' '.join(sorted(words_b - words_a))}".strip()
    return common, left, right
