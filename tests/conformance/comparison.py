"""Comparing nested results with reference values, to a tolerance, with the path of each difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

#: How vector files that must stay strict JSON spell the values that JSON lacks.
_SPELLED: dict[str, float] = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def close(got: float, want: float, absolute: float, relative: float) -> bool:
    """Whether two numbers agree within the looser of both tolerances; NaN equals NaN, inf equals inf."""
    if math.isnan(want) or math.isnan(got):
        return math.isnan(want) and math.isnan(got)
    if math.isinf(want) or math.isinf(got):
        return got == want
    return abs(got - want) <= max(absolute, relative * abs(want))


def compare(
    got: Any, want: Any, *, absolute: float = 1e-9, relative: float = 0.0, path: str = ""
) -> list[str]:
    """Differences between a result and its reference, one line each; an empty list means equal.

    Descends into mappings (same keys required) and sequences (same length required); anything with
    ``tolist`` (array, tensor) counts as nested lists. Numbers are compared with ``close``; the strings
    "inf", "-inf" and "nan" in ``want`` stand for numbers when ``got`` is a number. Booleans, strings and
    None are compared exactly.
    """
    if hasattr(got, "tolist"):
        got = got.tolist()
    if isinstance(want, Mapping):
        return _compare_mappings(got, want, absolute, relative, path)
    if isinstance(want, Sequence) and not isinstance(want, str):
        return _compare_sequences(got, want, absolute, relative, path)
    if _is_number(got):
        number = _SPELLED.get(want) if isinstance(want, str) else want
        if number is not None and _is_number(number):
            return [] if close(got, number, absolute, relative) else [_difference(path, got, want)]
    same = type(got) is type(want) and got == want
    return [] if same else [_difference(path, got, want)]


def _compare_mappings(
    got: Any, want: Mapping[Any, Any], absolute: float, relative: float, path: str
) -> list[str]:
    if not isinstance(got, Mapping):
        return [_difference(path, got, want)]
    missing, extra = [k for k in want if k not in got], [k for k in got if k not in want]
    lines = [f"{path or 'result'}: missing keys {missing}"] if missing else []
    lines += [f"{path or 'result'}: unexpected keys {extra}"] if extra else []
    for key in want:
        if key in got:
            lines += compare(got[key], want[key], absolute=absolute, relative=relative, path=f"{path}.{key}")
    return lines


def _compare_sequences(
    got: Any, want: Sequence[Any], absolute: float, relative: float, path: str
) -> list[str]:
    if isinstance(got, str) or not isinstance(got, Sequence):
        return [_difference(path, got, want)]
    if len(got) != len(want):
        return [f"{path or 'result'}: {len(got)} entries, expected {len(want)}"]
    lines: list[str] = []
    for index, (mine, theirs) in enumerate(zip(got, want, strict=True)):
        lines += compare(mine, theirs, absolute=absolute, relative=relative, path=f"{path}[{index}]")
    return lines


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _difference(path: str, got: Any, want: Any) -> str:
    return f"{path or 'result'}: got {_short(got)}, expected {_short(want)}"


def _short(value: Any, width: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= width else f"{text[:width]}... ({len(text)} characters)"
