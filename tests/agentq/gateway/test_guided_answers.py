"""What an agent gets that only changed its base_url."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.agentq.gateway.conftest import LengthCritic, Running
from tests.servers.upstream import StubUpstream, chat_answer

Serve = Callable[..., Running]
Upstream = Callable[..., StubUpstream]


@pytest.fixture
def gateway(serve: Serve, upstream: Upstream) -> Running:
    return serve(upstream().url, LengthCritic())


def client(gateway: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0)


def test_the_best_candidate_comes_back_as_the_only_choice(gateway: Running) -> None:
    answer = gateway.chat()
    assert answer.status_code == 200
    body = answer.json()
    assert [choice["message"]["content"] for choice in body["choices"]] == ["press three"]
    assert body["choices"][0]["index"] == 0
    assert (body["id"], body["model"], body["object"]) == ("chatcmpl-7", "stub", "chat.completion")
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 12, "total_tokens": 22}
    assert "agentq" not in body
    assert answer.headers["x-agentq-guided"] == "true"
    assert answer.headers["x-request-id"] == "req-1"


def test_the_upstream_sees_n_and_everything_else_but_our_key(serve: Serve, upstream: Upstream) -> None:
    stub = upstream()
    gateway = serve(stub.url, LengthCritic())
    gateway.chat(temperature=0.7, made_up={"a": 1}, stream=True, agentq={"n": 3, "metadata": False})
    path, headers, body = stub.seen[-1]
    assert path == "/v1/chat/completions"
    assert body["n"] == 3
    assert body["temperature"] == 0.7
    assert body["made_up"] == {"a": 1}
    assert not {"agentq", "stream", "stream_options"} & set(body)
    assert "authorization" not in headers


def test_metadata_tells_what_was_chosen_among(gateway: Running) -> None:
    told = gateway.chat(agentq={"metadata": True}).json()["agentq"]
    assert [c["action"] for c in told["candidates"]] == ["press one", "press two", "press three"]
    assert [c["count"] for c in told["candidates"]] == [1, 2, 1]
    assert [c["q"] for c in told["candidates"]] == [9.0, 9.0, 11.0]
    assert told["candidates"][0]["head_q"] == [9.0, 9.0]
    assert [c["probability"] for c in told["candidates"]] == [0.0, 0.0, 1.0]
    assert (told["choice"], told["guided"], told["reason"], told["n"]) == (2, True, None, 4)
    assert set(told["latency"]) == {"upstream", "scoring", "total"}


def test_a_request_chooses_its_selector_and_its_options(gateway: Running) -> None:
    options = {"selector": {"name": "softmax", "temperature": 2.0}, "metadata": True}
    told = gateway.chat(seed=1, agentq=options).json()["agentq"]
    assert told["selector"] == "softmax"
    assert 0 < told["candidates"][0]["probability"] < told["candidates"][2]["probability"] < 1
    again = gateway.chat(seed=1, agentq=options).json()["agentq"]
    assert again["draw"] == told["draw"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"upstream": "http://elsewhere"}, "upstream"),
        ({"n": 99}, "max-n"),
        ({"n": 0}, "1 to 32"),
        ({"n": True}, "wrong type"),
        ({"selector": "best_of_m"}, "best_of_n"),
        ({"selector": {"name": "softmax", "temperature": -1}}, "temperature"),
        ({"selector": {"name": "softmax", "heat": 1}}, "heat"),
        ({"session": "a\nb"}, "printable"),
        ([], "object"),
    ],
)
def test_what_cannot_be_overridden_is_refused_by_name(
    serve: Serve, upstream: Upstream, value: Any, said: str
) -> None:
    stub = upstream()
    gateway = serve(stub.url, LengthCritic())
    answer = gateway.chat(agentq=value)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    assert stub.seen == []


def test_tool_calls_are_actions_and_come_back_untouched(serve: Serve, upstream: Upstream) -> None:
    def calls(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        answer = chat_answer(["", "", ""])
        for choice, arguments in zip(
            answer["choices"], ('{"q": "x"}', '{ "q":"much longer" }', "{broken"), strict=True
        ):
            call = {
                "id": f"c{choice['index']}",
                "type": "function",
                "function": {"name": "find", "arguments": arguments},
            }
            choice["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
            choice["finish_reason"] = "tool_calls"
        return 200, answer

    gateway = serve(upstream(calls).url, LengthCritic(), n=3)
    answer = gateway.chat(agentq={"metadata": True}).json()
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call == {
        "id": "c1",
        "type": "function",
        "function": {"name": "find", "arguments": '{ "q":"much longer" }'},
    }
    assert [c["action"] for c in answer["agentq"]["candidates"]] == [
        'find({"q": "x"})',
        'find({"q": "much longer"})',
        None,
    ]
    assert answer["agentq"]["candidates"][2]["q"] is None
    with client(gateway).chat.completions.create(
        model="stub", messages=[{"role": "user", "content": "go"}], stream=True
    ) as stream:
        parts = [chunk.choices[0] for chunk in stream if chunk.choices]
    found = [part.delta.tool_calls[0] for part in parts if part.delta.tool_calls]
    assert found[0].id == "c1"
    assert found[0].function is not None
    assert found[0].function.name == "find"
    assert "".join((c.function and c.function.arguments) or "" for c in found) == '{ "q":"much longer" }'
    assert parts[-1].finish_reason == "tool_calls"


def test_a_stream_has_the_form_that_the_openai_library_reads(gateway: Running) -> None:
    with client(gateway).chat.completions.create(
        model="stub",
        messages=[{"role": "user", "content": "go"}],
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"agentq": {"metadata": True}},
    ) as stream:
        chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "press three"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 22
    assert chunks[-1].model_extra is not None
    assert chunks[-1].model_extra["agentq"]["choice"] == 2
    assert all(chunk.model_extra is None or "agentq" not in chunk.model_extra for chunk in chunks[:-1])
    assert {chunk.id for chunk in chunks} == {"chatcmpl-7"}
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}


def test_a_long_text_is_streamed_whole_and_in_pieces(serve: Serve, upstream: Upstream) -> None:
    text = "ä line\n" * 40
    gateway = serve(upstream(lambda path, body: (200, chat_answer([text] * body["n"]))).url, LengthCritic())
    raw = gateway.chat(stream=True).text
    assert raw.endswith("data: [DONE]\n\n")
    events = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith("data: {")]
    pieces = [event["choices"][0]["delta"].get("content") or "" for event in events]
    assert "".join(pieces) == text
    assert sum(map(bool, pieces)) > 3
    assert all("usage" not in event for event in events)


def test_text_completions_are_guided_and_streamed_alike(gateway: Running) -> None:
    whole = gateway.post("/v1/completions", {"model": "stub", "prompt": "go"}).json()
    assert whole["choices"] == [
        {"index": 0, "text": "press three", "logprobs": None, "finish_reason": "stop"}
    ]
    stream = client(gateway).completions.create(model="stub", prompt="go", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "press three"


def test_models_are_the_upstreams(gateway: Running) -> None:
    assert [model.id for model in client(gateway).models.list()] == ["stub"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [({"n": 2}, "client_n"), ({"temperature": 0}, "greedy"), ({"agentq": {"enabled": False}}, "disabled")],
)
def test_what_asks_for_something_else_goes_through_and_says_so(
    serve: Serve, upstream: Upstream, more: dict[str, Any], reason: str
) -> None:
    stub = upstream()
    gateway = serve(stub.url, LengthCritic())
    answer = gateway.chat(**more)
    assert answer.status_code == 200
    assert (answer.headers["x-agentq-guided"], answer.headers["x-agentq-reason"]) == ("false", reason)
    assert len(answer.json()["choices"]) == more.get("n", 1)
    assert stub.seen[-1][2].get("n", 1) == more.get("n", 1)
    assert gateway.chat(stream=True, **more).text.startswith(
        'data: {"choices":[{"index":0,"delta":{"content":"raw"'
    )
    assert gateway.metric("agentq_decisions_total", guided="false", reason=reason) == 2


def test_greedy_agents_are_guided_when_candidates_have_a_temperature(
    serve: Serve, upstream: Upstream
) -> None:
    stub = upstream()
    gateway = serve(stub.url, LengthCritic(), temperature=0.9)
    assert gateway.chat(temperature=0).headers["x-agentq-guided"] == "true"
    assert stub.seen[-1][2]["temperature"] == 0.9


def test_an_upstream_without_n_is_asked_n_times_and_its_usage_summed(
    serve: Serve, upstream: Upstream
) -> None:
    texts = iter(["a", "abc", "ab", "abcd"])
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "details": {"cached": 2}}
    stub = upstream(lambda path, body: (200, chat_answer([next(texts)], usage=usage)))
    answer = serve(stub.url, LengthCritic()).chat().json()
    assert answer["choices"][0]["message"]["content"] == "abcd"
    assert answer["usage"] == {"prompt_tokens": 20, "completion_tokens": 4, "details": {"cached": 8}}
    assert len(stub.seen) == 4


def test_react_replies_are_valued_by_their_action_line(serve: Serve, upstream: Upstream) -> None:
    texts = ["Thought: a very long thought\nAction: go", "Thought: short\nAction: go far away"]
    stub = upstream(lambda path, body: (200, chat_answer(texts)))
    answer = serve(stub.url, LengthCritic(), n=2, actions="react").chat(agentq={"metadata": True}).json()
    assert [c["action"] for c in answer["agentq"]["candidates"]] == ["go", "go far away"]
    assert answer["choices"][0]["message"]["content"] == texts[1]


def test_logprobs_that_only_the_critic_wanted_are_not_shown(serve: Serve, upstream: Upstream) -> None:
    def scripted(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        answer = chat_answer(["ab", "abc"])
        for choice in answer["choices"]:
            choice["logprobs"] = (
                {"content": [{"token": "x", "logprob": -0.5}]} if body.get("logprobs") else None
            )
        return 200, answer

    stub = upstream(scripted)
    gateway = serve(stub.url, LengthCritic(), n=2, logprobs="always")
    answer = gateway.chat(agentq={"metadata": True}).json()
    assert answer["choices"][0]["logprobs"] is None
    assert [c["logprob"] for c in answer["agentq"]["candidates"]] == [-0.5, -0.5]
    asked = gateway.chat(logprobs=True).json()
    assert asked["choices"][0]["logprobs"] == {"content": [{"token": "x", "logprob": -0.5}]}
