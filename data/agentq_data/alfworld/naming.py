"""The names that players see ("mug 2") for the raw ids of a game ("Mug_bar__plus_01_dot_10...")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

_BAR = "_bar_"


def kind_of(raw_id: str) -> str:
    """The word before the number: lower case, up to the first bar; a basin of a sink or tub says so."""
    raw_id = raw_id.lower()
    kind = raw_id.partition(_BAR)[0]
    return kind + "basin" if "basin" in raw_id else kind


def player_names(raw_ids: Iterable[str]) -> dict[str, str]:
    """Raw id in lower case -> name; the alphabetically first id of a kind gets the highest number."""
    ordered = sorted({raw_id.lower() for raw_id in raw_ids})
    left = Counter(map(kind_of, ordered))
    names: dict[str, str] = {}
    for raw_id in ordered:
        kind = kind_of(raw_id)
        names[raw_id] = f"{kind} {left[kind]}"
        left[kind] -= 1
    return names
