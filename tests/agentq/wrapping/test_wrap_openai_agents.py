"""Models of the OpenAI Agents SDK, guided, in its own loop, in front of a local server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from agents import (
    Agent,
    ModelSettings,
    ModelTracing,
    OpenAIChatCompletionsModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from agents.models.interface import Model
from openai import AsyncOpenAI

from agentq.errors import ConfigError
from agentq.wrapping import wrap
from agentq.wrapping.adapters.agents import chat_messages
from tests.agentq.wrapping.preferences import Preferences
from tests.agentq.wrapping.replies import shopping
from tests.servers.scripted_chat import Refused, ScriptedChat, serving

set_tracing_disabled(True)  # traces go to a service


@function_tool
def buy(colour: str) -> str:
    """Buy the one of this colour."""
    return f"bought {colour}"


@pytest.fixture
def server() -> Iterator[ScriptedChat]:
    with serving(ScriptedChat(shopping)) as chat:
        yield chat


def model_of(chat: ScriptedChat) -> OpenAIChatCompletionsModel:
    client = AsyncOpenAI(base_url=chat.url, api_key="secret", max_retries=0)
    return OpenAIChatCompletionsModel("m", openai_client=client)


def guided_of(chat: ScriptedChat, **options: Any) -> Any:
    liked = Preferences({"candidate 1": 2.0, "green": 1.0})
    return wrap(model_of(chat), liked, **{"n": 3, **options})


def test_the_runner_executes_the_chosen_tool_call(server: ScriptedChat) -> None:
    model = guided_of(server)
    assert Model in type(model).__mro__
    agent = Agent("shopper", instructions="Buy well.", model=model, tools=[buy])
    with model.session("hat") as session:
        result = asyncio.run(Runner.run(agent, "Buy a hat"))
        session.reward(1.0)
    assert result.final_output.startswith("I have bought green")
    assert "candidate 1" in result.final_output
    usage = result.context_wrapper.usage
    assert (usage.requests, usage.input_tokens) == (6, 60)
    assert len(server.requests) == 6
    assert [decision.action for decision in model.decisions] == [
        'buy({"colour": "green"})',
        "I have bought green, candidate 1",
    ]
    assert [m["role"] for m in session.steps[1].messages] == ["system", "user", "assistant", "user"]
    assert session.trajectory.score == 1.0


def test_a_streamed_run_executes_the_same(server: ScriptedChat) -> None:
    model = guided_of(server)

    async def run() -> tuple[Any, list[str], str]:
        result = Runner.run_streamed(Agent("shopper", model=model, tools=[buy]), "Buy a hat")
        kinds: list[str] = []
        text = ""
        async for event in result.stream_events():
            if event.type == "raw_response_event":
                kinds.append(event.data.type)
                text += event.data.delta if event.data.type == "response.output_text.delta" else ""
        return result, kinds, text

    result, kinds, text = asyncio.run(run())
    assert result.final_output == text == "I have bought green, candidate 1"
    assert kinds.count("response.completed") == 2
    assert "response.function_call_arguments.delta" in kinds
    assert result.context_wrapper.usage.input_tokens == 60


def test_the_guided_client_asks_in_one_request(server: ScriptedChat) -> None:
    client = wrap(
        AsyncOpenAI(base_url=server.url, api_key="secret"),
        Preferences({"candidate 1": 2.0, "green": 1.0}),
        n=3,
    )
    agent = Agent("shopper", model=OpenAIChatCompletionsModel("m", openai_client=client), tools=[buy])

    async def run() -> list[str]:
        result = await Runner.run(agent, "Buy a hat")
        streamed = Runner.run_streamed(agent, "Buy a hat")
        async for _ in streamed.stream_events():
            pass
        return [result.final_output, streamed.final_output]

    assert asyncio.run(run()) == ["I have bought green, candidate 1"] * 2
    assert [request["n"] for request in server.requests] == [3, 3, 3, 3]


def test_sampling_and_seeds_reach_the_requests(server: ScriptedChat) -> None:
    model = guided_of(server, sampling={"temperature": 0.7, "min_p": 0.1})
    settings = ModelSettings(temperature=0, extra_args={"seed": 5})
    arguments = (settings, [], None, [], ModelTracing.DISABLED)
    options = {"previous_response_id": None, "conversation_id": None, "prompt": None}
    with pytest.raises(TypeError, match="min_p"):  # the client's own word, as without us
        asyncio.run(model.get_response("Buy well.", "Buy a hat", *arguments, **options))
    model = guided_of(server, sampling={"temperature": 0.7})
    asyncio.run(model.get_response("Buy well.", "Buy a hat", *arguments, **options))
    assert sorted(request["seed"] for request in server.requests) == [5, 6, 7]
    assert {request["temperature"] for request in server.requests} == {0.7}


def test_errors_of_the_model_pass_through() -> None:
    def refusing(body: dict[str, Any], number: int) -> str:
        raise Refused(401, "who are you")

    with serving(ScriptedChat(refusing)) as server:
        agent = Agent("shopper", model=guided_of(server))
        with pytest.raises(openai.AuthenticationError, match="who are you"):
            asyncio.run(Runner.run(agent, "Buy a hat"))


def test_input_items_become_chat_messages() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Buy"}]},
        {"type": "reasoning", "id": "r", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "buy", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "bought"},
        {"type": "web_search_call", "id": "w", "status": "completed", "action": {"query": "hats"}},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done"}]},
    ]
    messages = chat_messages("Buy well.", items)
    assert [message["role"] for message in messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "assistant",
    ]
    assert messages[4]["tool_calls"][0]["function"] == {
        "name": "web_search_call",
        "arguments": '{"action": {"query": "hats"}}',
    }
    assert messages[5]["content"] == "Done"


def test_an_agent_is_refused_with_advice() -> None:
    with pytest.raises(ConfigError, match=r"agent\.clone"):
        wrap(Agent("shopper"), Preferences({}))
