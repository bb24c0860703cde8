"""Checks before scoring, and the second round where they leave nothing, at a real gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentq.trajectories import TrajectoryReader
from agentq.types import Messages
from agentq.verification import Repeated, Situation
from tests.agentq.gateway.conftest import LengthCritic, Running
from tests.servers.upstream import StubUpstream, chat_answer, text_answer

Serve = Callable[..., Running]
Upstream = Callable[..., StubUpstream]
ALLOWED = ["press one", "press two"]
USAGE = {"prompt_tokens": 10, "completion_tokens": 12, "total_tokens": 22}


class Seeing(LengthCritic):
    """Keeps the actions and states that it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Messages, list[str | None]]] = []

    def score_heads(self, batch: Any) -> Any:
        self.seen += [(messages, [c.action for c in candidates]) for messages, candidates in batch]
        return super().score_heads(batch)


def told(answer: Any) -> dict[str, Any]:
    return answer.json()["agentq"]


def asking(**more: Any) -> dict[str, Any]:
    return {"metadata": True, "admissible": ALLOWED, **more}


def learning(path: str, body: dict[str, Any]) -> tuple[int, Any]:
    """Proposes what nobody allows until it reads that this was refused."""
    said = str(body.get("messages", body.get("prompt")))
    if "broken" in said and "refused" in said:
        return 503, {"error": {"message": "later"}}
    good = "refused" in said and "stubborn" not in said
    texts = ["press two" if good else "press nine", "press ten"] * (body["n"] // 2)
    if path == "/v1/completions":
        return 200, text_answer(texts, usage=USAGE)
    return 200, chat_answer(texts)


@pytest.mark.parametrize("stream", [False, True])
def test_refused_candidates_are_neither_scored_nor_chosen(
    serve: Serve, upstream: Upstream, stream: bool
) -> None:
    critic = Seeing()
    gateway = serve(upstream().url, critic, checks=("admissible", "grammar:parser=press .+"))
    answer = gateway.chat(agentq=asking(), stream=stream)
    assert answer.headers["x-agentq-guided"] == "true"
    assert critic.seen[0][1] == ["press one", "press two", None]  # the longest was refused
    assert gateway.metric("agentq_refused_total", check="admissible") == 1
    assert gateway.metric("agentq_refused_total", check="grammar") == 0
    if stream:
        assert '"content":"press one"' in answer.text
        return
    assert answer.json()["choices"][0]["message"]["content"] == "press one"
    refused = told(answer)["candidates"][2]
    assert (refused["text"], refused["action"], refused["q"]) == ("press three", None, None)
    assert refused["error"] == (
        "admissible: 'press three' is not among the 2 admissible actions; the nearest is 'press two'"
    )
    free = gateway.chat(agentq={"metadata": True})  # nothing is known about what is admissible
    assert free.json()["choices"][0]["message"]["content"] == "press three"


def test_tool_calls_are_checked_by_their_canonical_text(serve: Serve, upstream: Upstream) -> None:
    def calls(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        answer = chat_answer(["", ""])
        for choice, arguments in zip(answer["choices"], ('{"q": "x"}', '{"q":"much longer"}'), strict=True):
            function = {"name": "find", "arguments": arguments}
            call = {"id": f"c{choice['index']}", "type": "function", "function": function}
            choice["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
        return 200, answer

    stub = upstream(calls)
    gateway = serve(stub.url, LengthCritic(), n=2, checks=(Repeated(1),))
    done = {
        "type": "function",
        "id": "0",
        "function": {"name": "find", "arguments": '{ "q": "much longer" }'},
    }
    body = {
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "I look.", "tool_calls": [done]},
            {"role": "tool", "tool_call_id": "0", "content": "nothing"},
        ],
        "agentq": {"metadata": True},
    }
    answer = gateway.post("/v1/chat/completions", body)
    assert answer.json()["choices"][0]["message"]["tool_calls"][0]["id"] == "c0"
    assert [c["action"] for c in told(answer)["candidates"]] == ['find({"q": "x"})', None]
    assert "was taken 1 times" in told(answer)["candidates"][1]["error"]
    assert stub.seen[-1][2]["messages"] == body["messages"]


@pytest.mark.parametrize("critic", [LengthCritic(), None])
def test_where_all_are_refused_the_first_goes_through_and_says_so(
    serve: Serve, upstream: Upstream, critic: Any, tmp_path: Path
) -> None:
    stub = upstream()
    gateway = serve(stub.url, critic, checks=("grammar:parser=never",), log=tmp_path)
    answer = gateway.chat(agentq={"metadata": True, "session": "s"})
    assert answer.json()["choices"][0]["message"]["content"] == "press one"
    assert answer.headers["x-agentq-reason"] == "all_refused"
    assert told(answer)["flags"] == ["unguided", "all_refused"]
    assert [c["action"] for c in told(answer)["candidates"]] == ["press one", None, None]
    assert gateway.metric("agentq_refused_total", check="grammar") == 4  # equal ones are counted
    assert gateway.metric("agentq_decisions_total", guided="false", reason="all_refused") == 1
    assert len(stub.seen) == 1
    gateway.post("/v1/agentq/feedback", {"session": "s", "done": True})
    (episode,) = TrajectoryReader(tmp_path)
    trajectory = episode.trajectory
    logged = trajectory.steps[0].decision
    assert [c.error for c in logged.candidates] == [
        None,
        *[f"grammar: 'press {word}' is no action of this environment" for word in ("two", "three")],
    ]
    assert trajectory.metadata["checks"] == ["grammar:parser=never"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_upstream_is_asked_once_more_with_the_reasons(
    serve: Serve, upstream: Upstream, path: str, stream: bool, tmp_path: Path
) -> None:
    stub, critic = upstream(learning), Seeing()
    gateway = serve(stub.url, critic, checks=("admissible",), resample=True, log=tmp_path)
    asked: dict[str, Any] = {"prompt": "go"} if path == "/v1/completions" else {}
    body = {
        "messages": [{"role": "user", "content": "go"}],
        "stream": stream,
        "agentq": asking(session="s"),
        **asked,
    }
    if asked:
        del body["messages"]
    answer = gateway.post(path, body)
    assert "press two" in answer.text
    assert answer.headers["x-agentq-guided"] == "true"
    first, second = (seen[2] for seen in stub.seen)
    said = second["prompt"] if asked else second["messages"][0]["content"]
    assert said.startswith(
        "go\n\nWhat you proposed for this step was refused:\n- 'press nine' is not among the 2"
    )
    assert {k: v for k, v in second.items() if k not in ("prompt", "messages")} == {
        k: v for k, v in first.items() if k not in ("prompt", "messages")
    }
    assert [state[0]["content"] for state, _ in critic.seen] == ["go"]  # the state is what it was
    assert gateway.metric("agentq_resampled_total", outcome="helped") == 1
    assert gateway.metric("agentq_candidates_total") == 8
    if not stream:
        assert told(answer)["flags"] == ["resampled"]
        assert told(answer)["n"] == 8
        assert [c["action"] for c in told(answer)["candidates"]] == [None, None, "press two"]
        assert answer.json()["usage"]["prompt_tokens"] == 20  # both rounds
    gateway.post("/v1/agentq/feedback", {"session": "s", "done": True})
    (episode,) = TrajectoryReader(tmp_path)
    trajectory = episode.trajectory
    assert trajectory.steps[0].messages == ({"role": "user", "content": "go"},)
    assert trajectory.steps[0].decision.flags == ("resampled",)
    assert trajectory.steps[0].decision.action == "press two"


@pytest.mark.parametrize(
    ("content", "outcome", "flags", "requests"),
    [
        ("stubborn", "refused", ["resampled", "unguided", "all_refused"], 2),
        ("broken", "failed", ["resampled", "resample_failed", "unguided", "all_refused"], 2),
    ],
)
def test_there_is_no_third_round(
    serve: Serve, upstream: Upstream, content: str, outcome: str, flags: list[str], requests: int
) -> None:
    stub = upstream(learning)
    gateway = serve(stub.url, LengthCritic(), checks=("admissible",), resample=True)
    answer = gateway.chat(content, agentq=asking())
    assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "press nine")
    assert told(answer)["flags"] == flags
    assert answer.headers["x-agentq-reason"] == "all_refused"
    assert len(stub.seen) == requests
    assert gateway.metric("agentq_resampled_total", outcome=outcome) == 1
    assert gateway.metric("agentq_upstream_errors_total", kind="503") == (outcome == "failed")


@dataclass(frozen=True)
class Broken:
    """A check that cannot."""

    name = "broken"

    def reason(self, action: str, situation: Situation) -> str | None:
        raise ZeroDivisionError("no")


def test_a_check_that_fails_costs_guidance_and_not_the_answer(serve: Serve, upstream: Upstream) -> None:
    gateway = serve(upstream().url, LengthCritic(), checks=(Broken(),), resample=True)
    answer = gateway.chat()
    assert (answer.status_code, answer.headers["x-agentq-reason"]) == (200, "check_error")
    assert answer.json()["choices"][0]["message"]["content"] == "press one"


@pytest.mark.parametrize("value", ["press one", [1], ["a"] * 10_001])
def test_a_list_of_admissible_actions_is_a_list_of_texts(
    serve: Serve, upstream: Upstream, value: Any
) -> None:
    stub = upstream()
    gateway = serve(stub.url, LengthCritic(), checks=("admissible",))
    answer = gateway.chat(agentq={"admissible": value})
    assert answer.status_code == 400
    assert "agentq.admissible" in answer.json()["error"]["message"]
    assert stub.seen == []
