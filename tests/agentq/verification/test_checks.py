"""Each check on small cases, and the chain of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agentq.errors import ConfigError
from agentq.policies.constrained import FREE_TEXT
from agentq.types import Candidate, Message
from agentq.verification import (
    ALL_REFUSED,
    Admissible,
    Check,
    Grammar,
    HistoryLine,
    NoEffect,
    Repeated,
    Situation,
    chat_actions,
    verified,
)

PAGE = ({"role": "user", "content": "a page"},)
BUTTONS = Situation(PAGE, ("click[red]", "click[Next >]", "search[<keywords>]"))


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def did(action: str) -> Message:
    return {"role": "assistant", "content": f"Thought: why not\nAction: {action}"}


def call(name: str, arguments: str) -> Message:
    return {"role": "assistant", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("click[red]", None),
        ("Click[red]", None),
        ("click[ red ]", "'click[ red ]' is not among the 3 admissible actions; the nearest is 'click[red]'"),
        (
            "click[next >]",
            "'click[next >]' is not among the 3 admissible actions; the nearest is 'click[Next >]'",
        ),
        ("zzz", "'zzz' is not among the 3 admissible actions"),
    ],
)
def test_admissible(action: str, reason: str | None) -> None:
    assert Admissible().reason(action, BUTTONS) == reason
    assert Admissible().reason(action, Situation(PAGE)) is None


def test_a_free_text_slot_takes_any_text() -> None:
    state = Situation(PAGE, (f"search[{FREE_TEXT}]", "click[red]"))
    assert Admissible().reason("Search[a mug]", state) is None
    for action in ("search[]", "search[a mug", "find[a mug]", "click[mug]"):
        assert Admissible().reason(action, state) is not None


def test_grammar() -> None:
    check = Grammar(lambda line: line if line.endswith("]") else None)
    assert check.reason("click[a]", BUTTONS) is None
    assert check.reason("please click", BUTTONS) == "'please click' is no action of this environment"


def test_past_actions_of_a_conversation() -> None:
    messages = [
        {"role": "system", "content": "Action: none of mine"},
        user("Action: neither"),
        did("click[a]"),
        user("..."),
        call("buy", '{"b": 1, "a": 2}'),
        {"role": "assistant", "content": ""},
    ]
    assert chat_actions(messages) == ["click[a]", 'buy({"a": 2, "b": 1})']


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        ("Goal: x\nDone: search[a mug] > click[b1]\nPage", ["search[a mug]", "click[b1]"]),
        ("Goal: x\nDone: nothing", []),
        ("Goal: x", []),
    ],
)
def test_past_actions_of_a_line(text: str, actions: list[str]) -> None:
    assert HistoryLine()((user("Done: old"), user(text))) == actions
    assert HistoryLine()(()) == []


def test_repeats_are_counted_in_a_window() -> None:
    def given(*past: str) -> Repeated:
        return Repeated(times=2, window=3, past=lambda messages: past)

    assert given("a[x]", "A[x]").reason("a[x]", BUTTONS) == "'a[x]' was taken 2 times in the last 2 steps"
    assert given("a[x]", "b[x]").reason("a[x]", BUTTONS) is None
    assert given("a[x]", "a[x]", "b[x]", "c[x]").reason("a[x]", BUTTONS) is None  # out of the window
    assert given("a[x]", "b[x]", "a[x]").reason("a[x]", BUTTONS) is not None
    talk = Situation((user("p"), did("a[x]"), user("q"), did("a[x]"), user("p")))
    assert Repeated().reason("a[x]", talk) is not None
    assert Repeated(times=3).reason("a[x]", talk) is None
    for times, window in ((0, 3), (4, 3)):
        with pytest.raises(ConfigError, match="1 <= times <= window"):
            Repeated(times, window)


def test_what_had_no_effect_here_is_refused_here() -> None:
    def reason(*messages: Message, action: str = "click[a]") -> str | None:
        return NoEffect().reason(action, Situation(messages))

    stuck = (user("page 1"), did("click[a]"), user("page 1"))
    assert reason(*stuck) == "'click[a]' was tried on this page and changed nothing"
    assert reason(*stuck, action="click[b]") is None
    assert reason({"role": "system", "content": "s"}, *stuck) is not None
    assert reason(*stuck, did("click[b]"), user("page 2")) is None  # elsewhere it may do something
    assert reason(*stuck, did("click[b]"), user("page 2"), did("click[c]"), user("page 1")) is not None
    assert reason(user("page 1"), did("click[a]"), user("page 2")) is None
    assert reason(user("page 1")) is None
    assert reason() is None


class Never:
    """Refuses what it is told to, and counts how often it was asked."""

    name = "never"

    def __init__(self, *refused: str) -> None:
        self.refused, self.asked = refused, 0

    def reason(self, action: str, situation: Situation) -> str | None:
        self.asked += 1
        return "because" if action in self.refused else None


def candidates(*actions: str | None) -> list[Candidate]:
    return [Candidate(f"I say {a}", a, None if a else "mumbled", (1, 2), (-0.5, -0.25), 3) for a in actions]


def test_refused_candidates_lose_their_action_and_nothing_else() -> None:
    before = candidates("a", None, "b", "c")
    first, second = Never("a"), Never("a", "c")
    checks: Sequence[Check] = (first, second)
    after = verified(before, BUTTONS, checks)
    assert [c.action for c in after.candidates] == [None, None, "b", None]
    assert [c.error for c in after.candidates] == ["never: because", "mumbled", None, "never: because"]
    assert after.flags == ()
    for was, now in zip(before, after.candidates, strict=True):
        assert (now.text, now.token_ids, now.token_logprobs, now.count) == (
            was.text,
            was.token_ids,
            was.token_logprobs,
            was.count,
        )
    assert (first.asked, second.asked) == (3, 2)  # a refused candidate is not asked about again
    assert verified(before, BUTTONS, ()).candidates is before


@pytest.mark.parametrize(
    ("actions", "put_back", "left", "flags"),
    [
        ((None, "a", "b"), False, [None, None, None], (ALL_REFUSED,)),
        ((None, "a", "b"), True, [None, "a", None], (ALL_REFUSED,)),
        ((None, None), True, [None, None], ()),
        ((None, "a", "ok"), True, [None, None, "ok"], ()),
    ],
)
def test_all_refused(actions: Any, put_back: bool, left: list[str | None], flags: tuple[str, ...]) -> None:
    found = verified(candidates(*actions), BUTTONS, (Never("a", "b"),), put_back=put_back)
    assert ([c.action for c in found.candidates], found.flags) == (left, flags)
