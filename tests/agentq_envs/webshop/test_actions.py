from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentq_envs.webshop.actions import ParsedAction, can_click, click, parse_action

PATTERN = re.compile(r"(.+)\[(.+)\]")  # the reference


@given(st.text(alphabet="[]a \n\r", max_size=12))
def test_equals_the_pattern_of_the_reference(text: str) -> None:
    match = PATTERN.match(text)
    expected = (text, None) if match is None else match.groups()
    parsed = parse_action(text)
    assert (parsed.name, parsed.argument) == expected


@pytest.mark.parametrize("text", ["[" * 100_000, "a[" * 50_000, "a[b" * 30_000 + "]"])
def test_hostile_texts_take_linear_time(text: str) -> None:
    started = time.perf_counter()
    parse_action(text)
    assert time.perf_counter() - started < 0.5  # the pattern needs minutes for the first


@given(st.one_of(st.text(), st.text(alphabet="[]a \n", max_size=6)))
def test_clickable_elements_survive_the_way_through_an_action(element: str) -> None:
    survives = parse_action(click(element)) == ParsedAction("click", element)
    assert survives == can_click(element)
