"""The policy against servers that behave in ways a real one of this version does not."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from fastapi.responses import JSONResponse, Response

from agentq.agent import Agent
from agentq.errors import CandidateError, ConfigError, ServerError
from agentq.policies.base import Policy
from agentq.policies.openai.client import ServerSettings, sample_seed
from agentq.policies.openai.constraints import admissible_actions
from agentq.policies.openai.policy import OpenAIPolicy
from agentq.policies.requests import FREE_TEXT
from agentq.selectors.best_of_n import BestOfN
from tests.servers.scripted import Answer, choice, completion, scripted_server

STATE = [{"role": "user", "content": "s"}]
MODELS = JSONResponse({"data": [{"id": "m", "owned_by": "vllm", "root": "/models/shop"}]})


def replying(texts: list[str], models: Response = MODELS) -> Answer:
    """Answers with the texts in turn, n at a time."""
    count = 0

    async def answer(path: str, body: dict[str, Any]) -> Response:
        nonlocal count
        if path == "/v1/models":
            return models
        n = body.get("n", 1)
        taken = [texts[(count + i) % len(texts)] for i in range(n)]
        count += n
        return completion(taken, prompt_tokens=10, completion_tokens=2 * n, cached_tokens=4)

    return answer


def test_what_is_sent_and_counted() -> None:
    with scripted_server(replying(["Action: a", "b", "a"])) as server, OpenAIPolicy(server.address) as policy:
        assert isinstance(policy, Policy)
        (candidates,) = policy.propose([STATE], 3, [7])
        assert policy.fingerprint == "vllm:m:shop"
    assert [(c.action, c.count) for c in candidates] == [("a", 2), ("b", 1)]
    sent = next(body for body in server.bodies if body)
    assert sent == {
        "model": "m",
        "messages": STATE,
        "n": 3,
        "seed": sample_seed(7, 0),
        "temperature": 1.0,
        "top_p": 1.0,
        "max_tokens": 32,
        "logprobs": True,
        "return_token_ids": True,
    }
    statistics = policy.statistics
    assert (statistics.states, statistics.candidates, statistics.requests) == (1, 3, 2)
    assert (statistics.computed_tokens, statistics.reused_tokens, statistics.sampled_tokens) == (12, 4, 6)


def test_images_and_further_fields_pass_through() -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    extra = {"max_completion_tokens": 9, "chat_template_kwargs": {"enable_thinking": False}}
    with scripted_server(replying(["a"])) as server:
        policy = OpenAIPolicy(server.address, "m", dialect="openai", extra_body=extra, logprobs=False)
        with policy:
            policy.propose([[{"role": "user", "content": parts}]], 1, [0])
            with pytest.raises(CandidateError, match="what JSON cannot say"):
                policy.propose([[{"role": "user", "content": [object()]}]], 1, [0])
    (sent,) = server.bodies
    assert sent["messages"][0]["content"] == parts
    assert sent["max_completion_tokens"] == 9
    assert not {"max_tokens", "logprobs", "return_token_ids"} & set(sent)


def test_a_server_that_ignores_the_constraint_is_found_out() -> None:
    with (
        scripted_server(replying(["click[a]", "click[c]"])) as server,
        OpenAIPolicy(server.address) as policy,
        pytest.raises(ServerError, match="ignores structured_outputs"),
    ):
        policy.propose([STATE], 2, [0], [["click[a]", "click[b]"]])
    assert server.bodies[-1]["structured_outputs"] == {"choice": ["click[a]", "click[b]"]}


def test_other_servers_are_refused_or_checked() -> None:
    plain = JSONResponse({"data": [{"id": "m", "owned_by": "somebody"}]})
    with scripted_server(replying(["click[a]", "Click[b]", "click[c]"], plain)) as server:
        with OpenAIPolicy(server.address) as policy, pytest.raises(ServerError, match="restrict='check'"):
            policy.propose([STATE], 3, [0], [["click[a]", "click[b]"]])
        with OpenAIPolicy(server.address, restrict="check") as policy:
            (candidates,) = policy.propose([STATE], 3, [0], [["click[a]", "click[b]"]])
        with OpenAIPolicy(server.address, restrict="off") as policy:
            (free,) = policy.propose([STATE], 3, [0], [["click[a]"]])
    assert [c.action for c in candidates] == ["click[a]", "click[b]", None]
    assert candidates[2].error == "'click[c]' is not admissible here"
    assert all(c.valid for c in free)
    assert all("structured_outputs" not in body for body in server.bodies)


def test_seeds_per_sample_take_a_request_each() -> None:
    with scripted_server(replying(["a", "b"])) as server:
        policy = OpenAIPolicy(server.address, "m", dialect="vllm", seeding="sample")
        with policy:
            policy.propose([STATE, STATE], 2, [5, 6])
    seeds = sorted(body["seed"] for body in server.bodies)
    assert seeds == sorted(sample_seed(seed, i) for seed in (5, 6) for i in (0, 1))
    assert all("n" not in body for body in server.bodies)


def test_all_states_are_asked_for_at_once_and_connections_kept() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        await asyncio.sleep(0.05)
        return completion([body["messages"][0]["content"]] * body["n"])

    states = [[{"role": "user", "content": f"s{i}"}] for i in range(12)]
    with scripted_server(answer) as server:
        settings = ServerSettings(server.address, concurrency=4)
        with OpenAIPolicy(settings, "m", dialect="openai") as policy:
            proposals = [policy.propose(states, 2, range(12)) for _ in range(3)]
    assert [c[0].action for c in proposals[-1]] == [f"s{i}" for i in range(12)]
    assert server.most_at_once == 4
    assert len(server.connections) == 4


def test_a_policy_works_from_threads_from_inside_a_loop_and_after_closing() -> None:
    with scripted_server(replying(["a"])) as server, OpenAIPolicy(server.address) as policy:

        async def inside() -> list[Any]:
            return [policy.propose([STATE], 1, [0]), await policy.apropose([STATE], 1, [0])]

        results = asyncio.run(inside())
        threads = [
            threading.Thread(target=lambda: results.append(policy.propose([STATE], 1, [0]))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        policy.close()
        results.append(policy.propose([STATE], 1, [0]))
    assert [result[0][0].action for result in results] == ["a"] * 6


def test_cancelling_gives_up_the_request() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        await asyncio.sleep(0.5)
        return completion(["late"])

    async def impatient(policy: OpenAIPolicy) -> None:
        await asyncio.wait_for(policy.apropose([STATE], 1, [0]), 0.05)

    with scripted_server(answer) as server, OpenAIPolicy(server.address, "m", dialect="openai") as policy:
        with pytest.raises(TimeoutError):
            asyncio.run(impatient(policy))
        assert policy.statistics.candidates == 0


def test_an_agent_acts_through_a_server() -> None:
    with (
        scripted_server(replying(["click[a]", "click[b]"])) as server,
        OpenAIPolicy(server.address) as policy,
    ):
        decision = Agent(policy, BestOfN(), None, 4).act(STATE, seed=1)
    assert decision.action in ("click[a]", "click[b]")
    assert sum(c.count for c in decision.candidates) == 4


def test_a_reply_that_was_cut_off_is_no_breach_of_the_constraint() -> None:
    async def answer(path: str, body: dict[str, Any]) -> Response:
        return JSONResponse({"choices": [choice("search[red m", finish_reason="length")]})

    with scripted_server(answer) as server, OpenAIPolicy(server.address, "m", dialect="vllm") as policy:
        (candidates,) = policy.propose([STATE], 1, [0], [[f"search[{FREE_TEXT}]", "back"]])
    assert [c.valid for c in candidates] == [False]
    assert server.bodies[-1]["structured_outputs"] == {"regex": r"search\[[^\n\r\]]+\]|back"}


def test_models_are_named_where_there_are_several() -> None:
    several = JSONResponse({"data": [{"id": "one"}, {"id": "two"}]})
    for models, error, words in (
        (several, ConfigError, "serves one, two"),
        (Response(status_code=404), ServerError, "without a list of models"),
    ):
        with scripted_server(replying(["a"], models)) as server:
            policy = OpenAIPolicy(server.address)
            with policy, pytest.raises(error, match=words):
                policy.propose([STATE], 1, [0])


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"max_new_tokens": 0},
        {"restrict": "guided_choice"},
        {"tools": [{}], "restrict": "decode"},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        OpenAIPolicy("http://h", **options)


def test_greedy_decoding_has_one_candidate() -> None:
    policy = OpenAIPolicy("http://h", "m", temperature=0, dialect="openai")
    with policy, pytest.raises(CandidateError, match="temperature 0 with n=2"):
        policy.propose([STATE], 2, [0])


def test_slots_and_special_characters() -> None:
    limit = admissible_actions(["a.b (c) [d] é", f'type("{FREE_TEXT}")', f"say {FREE_TEXT}"])
    assert limit.structured_outputs() == {"regex": r'a\.b \(c\) \[d\] é|type\("[^\n\r"]+"\)|say [^\n\r]+'}
    assert limit.find("A.b  (c) [d] é") == "a.b (c) [d] é"
    assert limit.find('type("x y")') == 'type("x y")'
    assert limit.find('type("")') is None
    assert limit.find("say a\nb") is None
    with pytest.raises(CandidateError, match="twice"):
        admissible_actions([f"{FREE_TEXT} and {FREE_TEXT}"])
