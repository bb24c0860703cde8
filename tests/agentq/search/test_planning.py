"""Beam search and minimax: known best plans, the reference vectors where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import ConfigError, CriticError
from agentq.search.beam import BeamSearch, BeamSettings
from agentq.search.forest import Forest
from agentq.search.minimax import MinimaxSearch, MinimaxSettings, Reply
from agentq.types import Candidate
from tests.agentq.search.toy_world import AllActions, PathWorld, TableCritic

VECTORS = Path(__file__).resolve().parents[4] / "shared" / "data" / "seed_methods" / "vectors"


def late(path: tuple[int, ...]) -> float | None:
    """Action 1 first, then 0, ends with 1; everything else ends with little after two steps."""
    return None if len(path) < 2 else (1.0 if path == (1, 0) else 0.1)


def planned(settings: BeamSettings, critic: TableCritic) -> BeamSearch:
    world = PathWorld(late, 2)
    search = BeamSearch(world, world.root("t", 0), "t", 0, settings)
    assert list(Forest(AllActions(), critic).run([search])) == [search]
    return search


def test_looking_ahead_corrects_a_wrong_critic() -> None:
    critic = TableCritic(lambda text, action: {"0": 0.5, "1": 0.3}[action])
    greedy = planned(BeamSettings(width=2, depth=0), critic)
    ahead = planned(BeamSettings(width=2, depth=2), critic)
    assert greedy.choice.action == "0"
    assert [c.action for c in ahead.best.path] == ["1", "0"]
    assert ahead.best.score == pytest.approx(0.98)  # its rewards alone: the task has ended


def test_a_beam_makes_one_call_of_each_kind_per_depth() -> None:
    critic, policy = TableCritic(lambda text, action: float(action)), AllActions()
    world = PathWorld(lambda path: None, 3)
    search = BeamSearch(world, world.root("t", 0), "t", 0, BeamSettings(width=3, depth=3))
    list(Forest(policy, critic).run([search]))
    assert (policy.calls, critic.calls) == (4, 4)
    assert len(search.kept) == 3
    assert all(len(node.path) == 3 for node in search.kept)


class Babble(AllActions):
    def _draw(self, n: int, seed: int, actions: Any) -> list[Candidate]:
        return [Candidate("?", None, "no action")]


def test_no_valid_candidate_is_an_error_of_the_choice_alone() -> None:
    world = PathWorld(late, 2)
    beam = BeamSearch(world, world.root("t", 0), "t", 0)
    game = MinimaxSearch(world, world.root("t", 0), "t", 0)
    list(Forest(Babble(), TableCritic(lambda text, action: 0.0), opponent=Babble()).run([beam, game]))
    for search in (beam, game):
        with pytest.raises(CriticError, match="no candidate is valid"):
            _ = search.choice


def played(payoff: Any, reply: Reply, depth: int = 1) -> MinimaxSearch:
    """A game whose states are paths through nested lists of pay-offs."""

    def reward(path: tuple[int, ...]) -> float | None:
        value = payoff
        for number in path:
            value = value[number]
        return None if isinstance(value, list) else value

    def width(path: tuple[str, ...]) -> int:
        value = payoff
        for number in path:
            value = value[int(number)]
        return len(value) if isinstance(value, list) else 0

    class Game(PathWorld):
        def _state(self, actions: tuple[str, ...], task: str) -> Any:
            self.branching = width(actions)
            return super()._state(actions, task)

    world = Game(reward)
    search = MinimaxSearch(
        world,
        world.root("t", 0),
        "t",
        0,
        MinimaxSettings(depth, reply=reply, least_likely=0.0),
        leaves="reward",
    )
    list(Forest(AllActions(), opponent=AllActions()).run([search]))
    return search


def test_the_worst_reply_counts() -> None:
    payoff = [[0.9, -1.0], [0.2, 0.3]]
    assert played(payoff, "min").choice.action == "1"
    assert played(payoff, "max").choice.action == "0"
    assert played(payoff, "mean").best.value == pytest.approx(0.25)
    soft = played(payoff, "soft").best
    assert soft.candidate is not None
    assert soft.candidate.action == "1"
    assert 0.2 < soft.value < 0.25


class Biased(AllActions):
    def _draw(self, n: int, seed: int, actions: Any) -> list[Candidate]:
        return [Candidate(a, a, count=99 if a == "0" else 1) for a in actions]


def test_hardly_likely_replies_do_not_count() -> None:
    payoff = [[0.9, -1.0], [0.2, 0.3]]
    world = PathWorld(lambda path: payoff[path[0]][path[1]] if len(path) == 2 else None, 2)
    values = {}
    for least in (0.0, 0.05):
        search = MinimaxSearch(
            world, world.root("t", 0), "t", 0, MinimaxSettings(least_likely=least), leaves="reward"
        )
        list(Forest(AllActions(), opponent=Biased()).run([search]))
        values[least] = [move.value for move in search.root.children]
    assert values == {0.0: [-1.0, 0.2], 0.05: [0.9, 0.2]}


def test_leaves_are_valued_by_the_critic() -> None:
    world = PathWorld(lambda path: None, 2)
    search = MinimaxSearch(world, world.root("t", 0), "t", 0, MinimaxSettings(depth=1))
    critic = TableCritic(
        lambda text, action: 1.0 if text.endswith("1 0") else (2.0 if text.endswith("1 1") else 0.5)
    )
    list(Forest(AllActions(), critic, opponent=AllActions()).run([search]))
    assert [move.value for move in search.root.children] == [0.5, 1.0]


def test_a_missing_opponent_is_named() -> None:
    world = PathWorld(late, 2)
    search = MinimaxSearch(world, world.root("t", 0), "t", 0)
    with pytest.raises(ConfigError, match="opponent"):
        list(Forest(AllActions()).run([search]))


BEAM: list[dict[str, Any]] = [{"width": 0}, {"depth": -1}, {"gamma": 1.5}]
MINIMAX: list[dict[str, Any]] = [{"depth": 0}, {"eta": 0.0}, {"reply": "best"}]


def test_impossible_settings_are_refused() -> None:
    for wrong in BEAM:
        with pytest.raises(ConfigError):
            BeamSettings(**wrong)
    for wrong in MINIMAX:
        with pytest.raises(ConfigError):
            MinimaxSettings(**wrong)


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the reference vectors (shared/data) are not here")
def test_minimax_vectors() -> None:
    rows = [json.loads(line) for line in (VECTORS / "planning_explain.jsonl").read_text().splitlines()]
    games = [row for row in rows if row["fn"] == "minimax"]
    assert games
    for row in games:
        payoff, expected = row["inputs"]["payoff"], row["expected"]
        depth, inner = 0, payoff
        while isinstance(inner, list):
            depth, inner = depth + 1, inner[0]
        plain = played(payoff, "min", depth // 2)
        assert [move.value for move in plain.root.children] == pytest.approx(
            expected["row_values"], abs=1e-12
        )
        assert plain.best.value == pytest.approx(expected["value"], abs=1e-12)
        keys: dict[Reply, str] = {
            "min": "action",
            "max": "action_if_opponent_max",
            "mean": "action_if_opponent_mean",
        }
        for reply, key in keys.items():
            assert played(payoff, reply, depth // 2).choice.action == str(expected[key])
