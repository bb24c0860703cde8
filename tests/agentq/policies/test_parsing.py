from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentq.policies.parsing import deduplicate, normalised, parse_action
from agentq.types import Candidate


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("click[buy now]", "click[buy now]"),
        ("  click[red] \nsomething else", "click[red]"),
        ("Thought: cheap one first.\nAction: click[b07]\nObservation: a page", "click[b07]"),
        ("Thought 2: x\nAction 2: search[mug]", "search[mug]"),
        ("action:\n\n  search[mug]", "search[mug]"),
        ("click[a]\nObservation: page\nAction: click[b]", "click[a]"),
    ],
)
def test_the_action_is_found_in_plain_and_react_replies(text: str, action: str) -> None:
    assert parse_action(text).action == action
    assert parse_action(text).error is None


@pytest.mark.parametrize("text", ["", " \n\t", "Thought: I wonder", "Observation: a page", "Action:"])
def test_a_reply_without_action_says_why(text: str) -> None:
    parsed = parse_action(text)
    assert parsed.action is None
    assert parsed.error is not None
    assert parsed.error.startswith("the reply ")


def test_the_environments_parser_decides() -> None:
    def only_clicks(line: str) -> str | None:
        return line.lower() if line.lower().startswith("click[") else None

    assert parse_action("Click[Red]", only_clicks).action == "click[red]"
    refused = parse_action("dance" * 40, only_clicks)
    assert refused.action is None
    assert refused.error is not None
    assert "no action of this environment" in refused.error
    assert len(refused.error) < 200


@given(st.text(max_size=300))
def test_any_text_gives_an_action_or_a_reason(text: str) -> None:
    parsed = parse_action(text)
    assert (parsed.action is None) != (parsed.error is None)
    assert normalised(normalised(text)) == normalised(text)


def test_huge_text_parses() -> None:
    assert parse_action("search[" + "x" * 100_000 + "]").action is not None


def test_normalised_lowers_the_verb_and_keeps_the_argument() -> None:
    assert normalised(" Click[ Red   Mug ]") == "click[ Red Mug ]"
    assert normalised("SEARCH[A]") != normalised("search[a]")


def test_deduplicate_keeps_first_occurrence_counts_and_invalid_ones() -> None:
    first = Candidate("Click[a]", "Click[a]", token_ids=(1,))
    candidates = [
        first,
        Candidate("junk", None, "no action", count=2),
        Candidate("click[a] ", "click[a] ", token_ids=(2,)),
        Candidate("junk", "junk"),
        Candidate(" junk", None, "no action"),
    ]
    merged = deduplicate(candidates)
    assert [c.count for c in merged] == [2, 3, 1]
    assert [c.valid for c in merged] == [True, False, True]
    assert merged[0].token_ids == first.token_ids
    assert sum(c.count for c in merged) == sum(c.count for c in candidates)
