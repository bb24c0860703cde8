"""Functions from messages to text, guided; what a guide promises whatever it guides."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentq.critics.base import Scores
from agentq.errors import ConfigError, CriticError, LogError, SelectorError
from agentq.selectors.softmax import Softmax
from agentq.trajectories import TrajectoryReader, TrajectoryWriter, transitions
from agentq.types import Candidate, Decision
from agentq.verification import ALL_REFUSED, Repeated
from agentq.wrapping import GuidanceWarning, wrap
from tests.agentq.wrapping.preferences import Batch, Failing, Preferences

ASK = [{"role": "user", "content": "Which colour?"}]
GREEN = Preferences({"green": 1.0})


def speaker(*replies: Any) -> Any:
    """A function that gives the replies in turn; an exception among them is raised."""
    turn: Iterator[Any] = cycle(replies)

    def speak(messages: Any, **options: Any) -> Any:
        reply = next(turn)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return speak


COLOURS = ("red", "green", "blue", "red")


def test_the_best_reply_goes_through_and_equal_ones_are_one_candidate() -> None:
    agent = wrap(speaker(*COLOURS), GREEN, n=4)
    assert agent(ASK) == "green"
    (decision,) = agent.decisions
    assert [(c.action, c.count) for c in decision.candidates] == [("red", 2), ("green", 1), ("blue", 1)]
    assert decision.selector == "best_of_n"
    assert agent.__name__ == "speak"


def test_actions_are_compared_letter_by_letter() -> None:
    agent = wrap(speaker("if a:\n  b\nc", "if a:\n  b\n  c"), Preferences({"\n  c": 1.0}), n=2)
    assert agent("Write code.") == "if a:\n  b\n  c"
    assert len(agent.decisions[0].candidates) == 2


def test_asynchronous_functions_are_asked_concurrently() -> None:
    running = [0, 0]

    class Speaker:
        async def __call__(self, messages: Any) -> str:
            running[0] += 1
            running[1] = max(running)
            await asyncio.sleep(0)
            running[0] -= 1
            return COLOURS[running[0]]

    agent = wrap(Speaker(), GREEN, n=4)
    assert asyncio.run(agent(ASK)) == "green"
    assert running[1] == 4
    partial = wrap(functools.partial(Speaker().__call__), GREEN, n=2)
    assert asyncio.run(partial(messages=ASK)) in COLOURS


def test_threads_on_request() -> None:
    together = threading.Barrier(3)
    numbers = count()

    def speak(messages: Any) -> str:
        together.wait(timeout=10)  # passes only when three calls are inside at once
        return COLOURS[next(numbers)]

    assert wrap(speak, GREEN, n=3, parallel=3)(ASK) == "green"


def test_a_message_with_tool_calls_comes_back_as_it_was() -> None:
    call = {"function": {"name": "buy", "arguments": '{"colour": "green"}'}}
    reply = {"role": "assistant", "content": None, "tool_calls": [call]}
    agent = wrap(speaker("red", reply), GREEN, n=2)
    assert agent(ASK) is reply
    assert agent.decisions[0].action == 'buy({"colour": "green"})'


def test_a_candidate_keeps_its_log_probabilities() -> None:
    reply = Candidate("green", "green", token_logprobs=(-0.5,))
    agent = wrap(speaker("red", reply), GREEN, n=2)
    assert agent(ASK) is reply
    assert agent.decisions[0].chosen.logprob == -0.5


def test_a_parser_reads_the_action_and_a_view_what_the_critic_sees() -> None:
    critic = Preferences({"green": 1.0})
    agent = wrap(
        speaker("Thought: hm\nAction: green", "nothing green"),
        critic,
        n=2,
        parser=lambda line: line if line in COLOURS else None,
        state=lambda messages: messages[-1:],
    )
    assert agent([{"role": "system", "content": "Long."}, *ASK]).startswith("Thought")
    assert critic.actions == [["green", None]]
    assert critic.shown == [({"role": "user", "content": "Which colour?"},)]


def test_errors_of_the_agent_pass_through() -> None:
    with pytest.raises(KeyError, match="lost"):
        wrap(speaker(KeyError("lost")), GREEN)(ASK)
    with pytest.raises(KeyError, match="lost"):
        wrap(speaker(KeyError("lost")), GREEN, parallel=2)(ASK)
    some = wrap(speaker("red", KeyError("lost"), "green"), GREEN, n=3)
    assert some(ASK) == "green"
    assert some.decisions[0].flags == ("fewer_candidates",)


def test_a_failing_critic_lets_the_first_valid_candidate_through() -> None:
    agent = wrap(speaker("", "red", "green"), Failing({}), n=3)
    with pytest.warns(GuidanceWarning, match="ZeroDivisionError: the critic is broken") as caught:
        assert [agent(ASK), agent(ASK)] == ["red", "red"]
    assert len(caught) == 1
    assert agent.guide.statistics.critic_errors == 2
    decision = agent.decisions[-1]
    assert decision.flags == ("critic_error",)
    assert decision.probabilities.tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(ZeroDivisionError):
        wrap(speaker("red"), Failing({}), on_critic_error="raise")(ASK)


def test_values_that_no_selector_can_use_are_a_failure_too() -> None:
    class Nan(Preferences):
        def score_heads(self, batch: Batch) -> list[Scores]:
            return [Scores(np.full(len(candidates), np.nan)) for _, candidates in batch]

    agent = wrap(speaker("red", "green"), Nan({}), n=2)
    with pytest.warns(GuidanceWarning, match="the selector failed"):
        assert agent(ASK) == "red"
    assert agent.decisions[0].flags == ("selector_error",)
    with pytest.raises(SelectorError, match="NaN"):
        wrap(speaker("red"), Nan({}), on_critic_error="raise")(ASK)


def test_without_a_valid_candidate_the_first_goes_through() -> None:
    agent = wrap(speaker("", " "), GREEN, n=2)
    assert agent(ASK) == ""
    assert agent.decisions[0].flags == ("no_valid_candidate",)
    assert agent.guide.statistics.all_invalid == 1
    odd = wrap(speaker(7), GREEN, n=2)
    assert odd(ASK) == 7
    assert "expected text, a chat message or a Candidate" in str(odd.decisions[0].candidates[0].error)


def test_draws_depend_on_the_messages_and_the_seed_alone() -> None:
    def draws(seed: int) -> list[Any]:
        agent = wrap(
            speaker("a", "b", "c", "d"), Preferences({}), n=4, selector=Softmax(temperature=1.0), seed=seed
        )
        return [agent(f"question {i}") for i in range(8)]

    assert draws(0) == draws(0)
    assert draws(0) != draws(1)
    assert len(set(draws(0))) > 1


def test_selectors_and_critics_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    majority = wrap(speaker("red", "green", "green"), n=3, selector="majority")
    assert majority(ASK) == "green"
    with pytest.raises(ConfigError, match="best_of_n"):
        wrap(speaker("red"), selector="best_of_m")
    with pytest.raises(CriticError):
        wrap(speaker("red"), "runs/no/critic/here")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n": 0}, "n=0"),
        ({"parallel": 0}, "parallel=0"),
        ({"on_critic_error": "ignore"}, "'ignore'"),
        ({"critic": 3}, "critic is a int"),
        ({"selector": 3}, "selector is a int"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        wrap(speaker("red"), **options)


def test_a_call_without_messages_is_refused() -> None:
    with pytest.raises(TypeError, match="in place of messages"):
        wrap(speaker("red"), GREEN)(3)


def test_decisions_are_told_and_the_last_ones_kept() -> None:
    told: list[Decision] = []
    agent = wrap(speaker(*COLOURS), GREEN, n=4, on_decision=told.append, keep=2)
    for _ in range(3):
        agent(ASK)
    assert list(agent.decisions) == told[1:]
    assert agent.guide.statistics.candidates == 12


def interrupted(agent: Any) -> None:
    """An episode that an error ends."""
    with agent.session("scarf"):
        agent("third")
        raise KeyError("gone")


def test_sessions_become_episodes_of_a_log(tmp_path: Path) -> None:
    with TrajectoryWriter(tmp_path) as log:
        agent = wrap(speaker("red", "green"), GREEN, n=2, log=log)
        agent("outside of any session")
        with agent.session("hat", 7, environment="shop", metadata={"user": 1}) as session:
            agent("first")
            session.reward(0.25)
            agent("second")
            session.reward(0.5, info={"success": True})
            session.reward(0.25)
        assert session.episode == "0"
        with pytest.raises(KeyError):
            interrupted(agent)
        with agent.session("gloves", episode="mine") as cut:
            agent("fourth")
            cut.truncate()
        with agent.session("nothing"):
            pass
    hat, scarf, gloves = (episode.trajectory for episode in TrajectoryReader(tmp_path))
    assert (hat.task, hat.seed, hat.environment, hat.metadata) == ("hat", 7, "shop", {"user": 1})
    assert [step.reward for step in hat.steps] == [0.25, 0.75]
    assert [step.terminated for step in hat.steps] == [False, True]
    assert hat.success
    assert hat.steps[1].messages == ({"role": "user", "content": "second"},)
    assert hat.steps[1].decision.action == "green"
    assert set(hat.steps[1].timings) == {"candidates", "choice"}
    assert scarf.steps[-1].truncated
    assert scarf.metadata["error"] == "KeyError: 'gone'"
    assert gloves.steps[-1].truncated
    learnt = [item for item in transitions(TrajectoryReader(tmp_path), gamma=0.5) if item.complete]
    assert [item.return_to_go for item in learnt] == [0.625, 0.75]
    with pytest.raises(LogError, match="made 0 decisions"), agent.session("early") as early:
        early.reward(1.0)


def test_concurrent_sessions_stay_apart() -> None:
    async def speak(messages: Any) -> str:
        await asyncio.sleep(0)
        return "green"

    agent = wrap(speak, GREEN, n=2)

    async def episode(name: str, steps: int) -> list[str]:
        with agent.session(name) as session:
            for number in range(steps):
                await agent(f"{name} {number}")
        return [step.messages[0]["content"] for step in session.steps]

    async def both() -> list[list[str]]:
        return list(await asyncio.gather(episode("hat", 3), episode("scarf", 2)))

    assert asyncio.run(both()) == [["hat 0", "hat 1", "hat 2"], ["scarf 0", "scarf 1"]]


def test_checks_refuse_before_the_critic_is_asked() -> None:
    noticed = [*ASK, {"role": "assistant", "content": "green"}, {"role": "user", "content": "Again?"}]
    agent = wrap(speaker(*COLOURS), GREEN, n=4, checks=[Repeated(1)])
    assert agent(noticed) == "red"  # green was said before
    refused = next(c for c in agent.decisions[0].candidates if c.text == "green")
    assert not refused.valid
    assert agent.decisions[0].q[1] == -np.inf


def test_an_agent_whose_candidates_are_all_refused_goes_on_with_the_first_of_them() -> None:
    said = [
        {"role": role, "content": text}
        for colour in ("red", "green", "blue")
        for role, text in (("user", "Which colour?"), ("assistant", colour))
    ]
    agent = wrap(speaker(*COLOURS), GREEN, n=4, checks=[Repeated(1)])
    assert agent([*said, *ASK]) == "red"
    assert ALL_REFUSED in agent.decisions[0].flags
