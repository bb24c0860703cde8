from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentq_envs.webshop.colors import COLOR_WORDS, normalize_color
from agentq_envs.webshop.matching import matches, token_set_ratio

WORDS = st.lists(
    st.sampled_from(["navy", "blue", "blues", "x-large", "large", "12", "oz", "é", "!", "a_b"]), max_size=5
)


@given(WORDS.map(" ".join), WORDS.map(" ".join))
def test_the_fast_decision_equals_the_score(a: str, b: str) -> None:
    assert matches(a, b) == (token_set_ratio(a, b) > 85)


@given(st.text(max_size=30), st.text(max_size=30))
def test_the_fast_decision_equals_the_score_on_any_text(a: str, b: str) -> None:
    assert matches(a, b) == (token_set_ratio(a, b) > 85)


@pytest.mark.parametrize(
    ("a", "b", "score"),
    [
        ("navy blue", "blue navy", 100),
        ("blue", "navy blue", 100),
        ("", "", 0),
        ("é", "é", 0),  # Latin-1 letters are deleted
        ("!", "mug", 0),
        ("6 pack", "1 pack", 83),
        ("jang ramen 20 pack", "3-pack", 80),
    ],
)
def test_scores(a: str, b: str, score: int) -> None:
    assert token_set_ratio(a, b) == score


def test_pairs_count_by_their_text() -> None:
    assert token_set_ratio("navy blue", ("color", "navy blue")) == 100


def test_colour_words() -> None:
    assert len(COLOR_WORDS) == 102
    assert [normalize_color(v) for v in ("navy blue", "titan", "dark grey", "Red", "plain")] == [
        *("blue", "tan", "dark", "Red", "plain")
    ]
    assert normalize_color(("color", "blue")) == "blue"
    assert normalize_color(("color", "navy blue")) == ("color", "navy blue")
