"""LangChain's chat models, guided, alone and in a LangGraph agent, in front of a local server."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any, TypedDict

import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from agentq.errors import ConfigError
from agentq.wrapping import wrap
from tests.agentq.wrapping.preferences import Preferences
from tests.agentq.wrapping.replies import COLOURS, colours, shopping
from tests.servers.scripted_chat import Answer, Refused, ScriptedChat, serving


def model_of(chat: ScriptedChat, **options: Any) -> ChatOpenAI:
    options = {"api_key": "secret", "max_retries": 0, **options}
    return ChatOpenAI(model="m", base_url=chat.url, **options)


def guided_of(chat: ScriptedChat, critic: Any = None, **options: Any) -> Any:
    critic = Preferences({"blue": 1.0}) if critic is None else critic
    return wrap(model_of(chat, **options), critic, n=3)


def test_invoke_answers_with_the_best_of_one_request(server: ScriptedChat) -> None:
    model = guided_of(server)
    message = model.invoke("Which colour?")
    assert isinstance(message, AIMessage)
    assert message.content == "take the blue one"
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_tokens"] == 10
    assert message.response_metadata["finish_reason"] == "stop"
    assert [request["n"] for request in server.requests] == [3]
    assert model.guide.critic.shown == [({"role": "user", "content": "Which colour?"},)]


@pytest.mark.parametrize("streaming", [True, False])
def test_stream_replays_the_chosen_message(server: ScriptedChat, streaming: bool) -> None:
    model = guided_of(server, streaming=streaming)
    chunks = list(model.stream([HumanMessage("Which colour?")]))
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert [chunk.content for chunk in chunks if chunk.content] == ["take", " the", " blue", " one"]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.usage_metadata["input_tokens"] == 10
    assert not any(request.get("stream") for request in server.requests)
    assert model.invoke("Which colour?").content == "take the blue one"


def test_batch_and_the_asynchronous_forms(server: ScriptedChat) -> None:
    model = guided_of(server)
    assert [message.content for message in model.batch(["a", "b"])] == ["take the blue one"] * 2

    async def ask() -> tuple[Any, str]:
        message = await model.ainvoke("c")
        pieces = [chunk.content async for chunk in model.astream("d")]
        return message, "".join(pieces)

    message, streamed = asyncio.run(ask())
    assert message.content == streamed == "take the blue one"
    assert len(model.decisions) == 4


def test_a_server_without_n_is_asked_singly() -> None:
    with serving(ScriptedChat(colours, n="refuses")) as server:
        model = guided_of(server, seed=5)
        assert model.invoke("a").content == "take the blue one"
        message = asyncio.run(model.ainvoke("b"))
        assert message.usage_metadata["input_tokens"] == 30
        assert [request.get("n") for request in server.requests] == [3, *[None] * 6]
        assert sorted(request["seed"] for request in server.requests[4:]) == [5, 6, 7]


def test_errors_of_the_model_pass_through() -> None:
    def refusing(body: dict[str, Any], number: int) -> str:
        raise Refused(401, "who are you")

    with serving(ScriptedChat(refusing)) as server:
        model = guided_of(server)
        with pytest.raises(openai.AuthenticationError, match="who are you"):
            model.invoke("a")
        with pytest.raises(openai.AuthenticationError, match="who are you"):
            asyncio.run(model.ainvoke("a"))


@tool
def buy(colour: str) -> str:
    """Buy the one of this colour."""
    return f"bought {colour}"


def test_tool_calls_stream_whole() -> None:
    with serving(ScriptedChat(shopping)) as server:
        model = guided_of(server).bind_tools([buy])
        whole: Any = None
        for chunk in model.stream("Buy a hat"):
            whole = chunk if whole is None else whole + chunk
        message = model.invoke("Buy a hat")
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("buy", {"colour": "blue"})]
    assert message.tool_calls[0]["args"] == {"colour": "blue"}
    assert message.tool_calls[0]["id"].startswith("call_")
    assert server.requests[0]["tools"][0]["function"]["name"] == "buy"
    assert model.decisions[0].action == 'buy({"colour": "blue"})'


def react_agent(model: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it moved to the package langchain, which is no requirement here
        from langgraph.prebuilt import create_react_agent

        return create_react_agent(model, [buy])


def test_a_langgraph_agent_with_tools() -> None:
    critic = Preferences({"candidate 1": 2.0, "green": 1.0})
    with serving(ScriptedChat(shopping)) as server:
        model = guided_of(server, critic)
        agent = react_agent(model)
        question = {"messages": [("user", "Buy a hat")]}
        with model.session("hat") as session:
            messages = agent.invoke(question)["messages"]
            session.reward(1.0)
        again = asyncio.run(agent.ainvoke(question))["messages"]
    assert [type(message).__name__ for message in messages] == [
        "HumanMessage",
        "AIMessage",
        "ToolMessage",
        "AIMessage",
    ]
    assert messages[2].content == "bought green"
    assert messages[3].content == again[3].content == "I have bought green, candidate 1"
    assert [step.reward for step in session.steps] == [0.0, 1.0]
    assert [message["role"] for message in session.steps[1].messages] == ["user", "assistant", "user"]


def test_the_message_stream_of_a_graph_shows_the_chosen_one_alone() -> None:
    with serving(ScriptedChat(shopping)) as server:
        agent = react_agent(guided_of(server, Preferences({"candidate 1": 2.0, "green": 1.0})))
        parts = list(agent.stream({"messages": [("user", "Buy a hat")]}, stream_mode="messages"))
    spoken = "".join(str(part.content) for part, _ in parts if isinstance(part, AIMessageChunk))
    assert spoken == "I have bought green, candidate 1"


class Colour(TypedDict):
    """The colour to buy."""

    name: str


def test_structured_output_of_the_chosen_message() -> None:
    def naming(body: dict[str, Any], number: int) -> Answer:
        return Answer("", [("Colour", {"name": COLOURS[number % 3]})])

    with serving(ScriptedChat(naming)) as server:
        assert guided_of(server).with_structured_output(Colour).invoke("a") == {"name": "blue"}


def test_a_model_with_bound_tools_keeps_them() -> None:
    with serving(ScriptedChat(shopping)) as server:
        bound = wrap(model_of(server).bind_tools([buy]), Preferences({"blue": 1.0}), n=3)
        assert bound.invoke("Buy a hat").tool_calls[0]["args"] == {"colour": "blue"}
        assert len(bound.decisions) == 1


def test_chains_are_refused_with_advice(server: ScriptedChat) -> None:
    with pytest.raises(ConfigError, match="wrap the chat model inside it"):
        wrap(model_of(server) | (lambda message: message), Preferences({}))


def test_greedy_models_are_asked_once(server: ScriptedChat) -> None:
    model = guided_of(server, temperature=0)
    with pytest.warns(UserWarning, match="temperature 0"):
        model.invoke("a")
    assert "n" not in server.requests[0]
