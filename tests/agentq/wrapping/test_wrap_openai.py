"""Clients of the package openai, guided, in front of a local server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, BaseModel, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from agentq.wrapping import wrap
from tests.agentq.wrapping.preferences import Preferences
from tests.agentq.wrapping.replies import COLOURS, colours
from tests.servers.scripted_chat import Answer, Refused, ScriptedChat, serving

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Which colour?"}]}


def client_of(chat: ScriptedChat) -> OpenAI:
    return OpenAI(base_url=chat.url, api_key="secret", max_retries=0)


def guided_of(chat: ScriptedChat, critic: Any = None, **options: Any) -> Any:
    critic = Preferences({"blue": 1.0}) if critic is None else critic
    return wrap(client_of(chat), critic, **{"n": 3, **options})


def test_create_answers_with_the_best_choice_of_one_request(server: ScriptedChat) -> None:
    client = guided_of(server)
    completion = client.chat.completions.create(**ASK, temperature=0.9)
    assert type(completion) is ChatCompletion
    assert [choice.message.content for choice in completion.choices] == ["take the blue one"]
    assert completion.choices[0].index == 0
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 10  # of the request for all
    assert completion._request_id == "request-1"
    (request,) = server.requests
    assert request == {**ASK, "temperature": 0.9, "n": 3}
    (decision,) = client.decisions
    assert decision.action == "take the blue one"
    assert decision.q.tolist() == [0.0, 0.0, 1.0]


def test_the_guided_client_is_a_client_and_the_other_stays_as_it_was(server: ScriptedChat) -> None:
    client = client_of(server)
    assert client.chat.completions.create(**ASK).choices[0].message.content == "take the red one"
    guided = wrap(client, Preferences({"blue": 1.0}), n=3)
    assert isinstance(guided, OpenAI)
    assert [model.id for model in guided.models.list()] == ["scripted"]
    guided.chat.completions.create(**ASK)
    client.chat.completions.create(**ASK)
    assert [request.get("n") for request in server.requests] == [None, 3, None]


def test_with_options_stays_guided(server: ScriptedChat) -> None:
    client = guided_of(server)
    other = client.with_options(default_headers={"x-agent": "shopper"}, timeout=5)
    assert other.chat.completions.create(**ASK).choices[0].message.content == "take the blue one"
    assert server.headers[-1]["x-agent"] == "shopper"
    assert len(client.decisions) == 1  # one guide for both


@pytest.mark.parametrize(
    ("n", "requests"), [("refuses", [3, None, None, None]), ("ignores", [3, None, None])]
)
def test_a_server_without_n_is_asked_singly(n: Any, requests: list[int | None]) -> None:
    with serving(ScriptedChat(colours, n=n)) as server:
        client = guided_of(server)
        completion = client.chat.completions.create(**ASK, seed=5)
        assert completion.choices[0].message.content == "take the blue one"
        assert [request.get("n") for request in server.requests] == requests
        assert {request["seed"] for request in server.requests} == {5, 6, 7}  # else all would be the same
        assert completion.usage.prompt_tokens == 30
        server.requests.clear()
        client.chat.completions.create(**ASK)
        assert [request.get("n") for request in server.requests] == [None] * 3  # remembered


def test_errors_of_the_server_pass_through() -> None:
    def refusing(body: dict[str, Any], number: int) -> str:
        raise Refused(body["status"], "no such luck")

    with serving(ScriptedChat(refusing)) as server:
        client = guided_of(server)
        for status, error in {401: openai.AuthenticationError, 400: openai.BadRequestError}.items():
            with pytest.raises(error, match="no such luck"):
                client.chat.completions.create(**ASK, extra_body={"status": status})
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**ASK, extra_body={"status": 500})
    assert client.guide.statistics.decisions == 0
    with pytest.raises(openai.APIConnectionError):  # the server is gone
        client.chat.completions.create(**ASK)


def test_some_failed_requests_leave_fewer_candidates() -> None:
    def flaky(body: dict[str, Any], number: int) -> str:
        if number == 1:
            raise Refused(503, "busy")
        return colours(body, number)

    with serving(ScriptedChat(flaky, n="ignores")) as server:
        client = guided_of(server)
        assert client.chat.completions.create(**ASK).choices[0].message.content == "take the blue one"
    (decision,) = client.decisions
    assert decision.flags == ("fewer_candidates",)
    assert len(decision.candidates) == 2
    assert client.guide.statistics.incomplete == 1


def test_tool_calls_survive_and_are_the_actions() -> None:
    def buying(body: dict[str, Any], number: int) -> Answer:
        broken = ("buy", "{colour:")
        return Answer("Let me see.", [broken if number == 2 else ("buy", {"colour": COLOURS[number % 3]})])

    tools = [{"type": "function", "function": {"name": "buy", "parameters": {"type": "object"}}}]
    critic = Preferences({"green": 2.0, "blue": 9.0})
    with serving(ScriptedChat(buying)) as server:
        message = guided_of(server, critic).chat.completions.create(**ASK, tools=tools).choices[0].message
        follow_up = [*ASK["messages"], message, {"role": "tool", "tool_call_id": "call_1", "content": "done"}]
        guided_of(server, critic).chat.completions.create(model="m", messages=follow_up)
    (call,) = message.tool_calls
    assert json.loads(call.function.arguments) == {"colour": "green"}
    assert call.id.startswith("call_")
    assert critic.actions[0] == ['buy({"colour": "red"})', 'buy({"colour": "green"})', None]
    assert [m["role"] for m in critic.shown[1]] == ["user", "assistant", "user"]
    assert 'buy({"colour": "green"})' in critic.shown[1][1]["content"]
    assert server.requests[1]["messages"][1]["tool_calls"][0]["id"] == call.id


def test_a_stream_replays_the_chosen_choice(server: ScriptedChat) -> None:
    client = guided_of(server)
    stream = client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    assert isinstance(stream, openai.Stream)
    with stream:
        chunks = list(stream)
    assert all(type(chunk) is ChatCompletionChunk for chunk in chunks)
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [piece for piece in pieces if piece] == ["take", " the", " blue", " one"]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert not {"stream", "stream_options"} & set(server.requests[0])
    last = list(client.chat.completions.create(**ASK, stream=True))[-1]
    assert last.usage is None  # not asked for


def test_the_stream_helper_sees_what_it_sees_unguided() -> None:
    answer = Answer("I buy it.", [("buy", {"colour": "blue"}), ("pay", {})])
    with serving(ScriptedChat(lambda body, number: answer)) as server:
        messages: list[Any] = []
        for client in (client_of(server), guided_of(server)):
            with client.chat.completions.stream(**ASK) as stream:
                kinds = [event.type for event in stream]
                message: dict[str, Any] = stream.get_final_completion().choices[0].message.to_dict()
            assert "content.done" in kinds
            assert "tool_calls.function.arguments.done" in kinds
            for call in message["tool_calls"]:
                call.pop("id")
            messages.append(message)
    assert messages[0] == messages[1]


def test_log_probabilities_reach_the_candidates_and_the_stream() -> None:
    answer = Answer("red hat", logprobs=[("red", -0.5), (" hat", -0.25)])
    with serving(ScriptedChat(lambda body, number: answer)) as server:
        client = guided_of(server, sampling={"logprobs": True})
        chunks = list(client.chat.completions.create(**ASK, stream=True))
    assert server.requests[0]["logprobs"] is True
    assert client.decisions[0].chosen.logprob == -0.75
    assert client.decisions[0].chosen.count == 3
    spoken = [c.choices[0] for c in chunks if c.choices[0].logprobs is not None]
    assert [choice.logprobs.content[0].logprob for choice in spoken] == [-0.5, -0.25]


class Colour(BaseModel):
    name: str


def test_parse_parses_the_chosen_choice_alone() -> None:
    texts = ['{"name": "red"}', '{"name": "blue"}', '{"na']

    def writing(body: dict[str, Any], number: int) -> Answer:
        return Answer(texts[number % 3], finish="length" if number % 3 == 2 else "stop")

    with serving(ScriptedChat(writing)) as server:
        client = guided_of(server)
        parsed = client.chat.completions.parse(**ASK, response_format=Colour)
        assert parsed.choices[0].message.parsed == Colour(name="blue")
        assert server.requests[0]["response_format"]["type"] == "json_schema"
    assert client.decisions[0].candidates[2].error == (
        "the reply was cut off by the token limit: raise max_tokens"
    )


def test_raw_responses_hold_the_chosen_choice(server: ScriptedChat) -> None:
    client = guided_of(server)
    raw = client.chat.completions.with_raw_response.create(**ASK)
    assert raw.headers["x-request-id"] == "request-1"
    assert raw.parse().choices[0].message.content == "take the blue one"
    with client.chat.completions.with_streaming_response.create(**ASK) as response:
        content = json.loads(response.read())  # the bytes themselves: unguided
    assert content["choices"][0]["message"]["content"] == "take the red one"
    assert client.guide.statistics.unguided == 1


def test_a_caller_who_wants_several_choices_gets_them(server: ScriptedChat) -> None:
    client = guided_of(server)
    assert len(client.chat.completions.create(**ASK, n=2).choices) == 2
    assert client.guide.statistics.unguided == 1
    assert not client.decisions


def test_greedy_sampling_is_not_multiplied(server: ScriptedChat) -> None:
    client = guided_of(server)
    with pytest.warns(UserWarning, match="temperature 0: all 3 candidates"):
        client.chat.completions.create(**ASK, temperature=0)
    assert "n" not in server.requests[0]
    warm = guided_of(server, sampling={"temperature": 0.7})
    warm.chat.completions.create(**ASK, temperature=0)
    assert (server.requests[1]["n"], server.requests[1]["temperature"]) == (3, 0.7)


def test_the_asynchronous_client(server: ScriptedChat) -> None:
    async def ask() -> tuple[Any, ...]:
        async with AsyncOpenAI(base_url=server.url, api_key="secret", max_retries=0) as plain:
            client = wrap(plain, Preferences({"blue": 1.0}), n=3)
            assert isinstance(client, AsyncOpenAI)
            completion = await client.chat.completions.create(**ASK)
            stream = await client.with_options(timeout=5).chat.completions.create(**ASK, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            async with client.chat.completions.stream(**ASK) as events:
                final = await events.get_final_completion()
            raw = await client.chat.completions.with_raw_response.create(**ASK)
            return completion, "".join(pieces), final, raw.parse(), client

    completion, streamed, final, raw, client = asyncio.run(ask())
    assert completion.choices[0].message.content == streamed == "take the blue one"
    assert final.choices[0].message.content == raw.choices[0].message.content == streamed
    assert len(client.decisions) == 4


def test_the_asynchronous_client_parses_and_asks_singly() -> None:
    def naming(body: dict[str, Any], number: int) -> str:
        return json.dumps({"name": COLOURS[number % 3]})

    async def ask(url: str) -> tuple[Any, Any]:
        async with AsyncOpenAI(base_url=url, api_key="secret", max_retries=0) as plain:
            client = wrap(plain, Preferences({"blue": 1.0}), n=3)
            return await client.chat.completions.parse(**ASK, response_format=Colour), client

    with serving(ScriptedChat(naming, n="refuses")) as server:
        parsed, client = asyncio.run(ask(server.url))
    assert parsed.choices[0].message.parsed == Colour(name="blue")
    assert len(client.decisions[0].candidates) == 3
    assert parsed.usage.prompt_tokens == 30
