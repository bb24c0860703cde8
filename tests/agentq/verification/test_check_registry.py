"""Checks by name, as a command line spells them."""

from __future__ import annotations

from typing import Any

import pytest

from agentq.errors import ConfigError
from agentq.verification import (
    Admissible,
    Check,
    Grammar,
    NoEffect,
    Repeated,
    Situation,
    check_names,
    check_of,
    load_check,
    registry,
)


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("admissible", Admissible()),
        ("no_effect", NoEffect()),
        ("repeated", Repeated()),
        ("repeated:times=3,window=4", Repeated(3, 4)),
        ("repeated:past='Done: ',times=1", Repeated(1, past="Done: ")),
        (r"grammar:parser=(buy|sell)\[.{1,3}\]", Grammar(r"(buy|sell)\[.{1,3}\]")),
        (r"grammar:parser=[a-z]+", Grammar("[a-z]+")),  # read as YAML it is a list
        ("grammar:parser=go: .+", Grammar("go: .+")),  # and this a mapping
    ],
)
def test_a_check_is_spelt_with_its_options(text: str, check: Check) -> None:
    assert check_of(text) == check


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("repeatd", "Did you mean 'repeated'"),
        ("repeated:tmes=2", "Did you mean 'times'"),
        ("repeated:2", "key=value"),
        ("repeated:times=9,window=2", "1 <= times <= window"),
        ("repeated:times=often", "repeated"),
        ("grammar", "parser"),
        ("grammar:parser=(", "regular expression"),
        ("base", "unknown"),
        ("", "unknown"),
    ],
)
def test_what_is_no_check_is_told(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_of(text)


def test_every_file_of_the_package_but_its_machinery_is_a_check() -> None:
    assert check_names() == ("admissible", "grammar", "no_effect", "repeated")
    for name in check_names():
        check = load_check(name, **({"parser": ".*"} if name == "grammar" else {}))
        assert isinstance(check, Check)
        assert check.name == name


class _Point:
    """An entry point of another package."""

    name, value = "theirs", "package:Theirs"

    def load(self) -> Any:
        return Repeated


def test_checks_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [_Point()] if group == registry.GROUP else [])
    assert check_of("theirs:times=1") == Repeated(1)


def test_a_pattern_must_match_whole_actions_and_a_prefix_names_the_line_of_past_ones() -> None:
    page = Situation(({"role": "user", "content": "Goal: x\nDone: a[1] > b[2]\nPage"},))
    assert Grammar(r"[a-z]\[\d\]").reason("a[1]", page) is None
    assert Grammar(r"[a-z]\[\d\]").reason("a[1] b", page) is not None
    assert Repeated(1, past="Done: ").reason("b[2]", page) is not None
    assert Repeated(1, past="Seen: ").reason("b[2]", page) is None


def test_the_nearest_of_very_many_actions_is_not_looked_for() -> None:
    many = Situation((), tuple(f"click[{i}]" for i in range(1001)))
    assert Admissible().reason("click[x]", many) == "'click[x]' is not among the 1001 admissible actions"
