"""Every kind of agent is asked once more when checks refuse all it said, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from agents import ModelSettings, ModelTracing, OpenAIChatCompletionsModel
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from smolagents import OpenAIModel

from agentq.verification import Grammar
from agentq.wrapping import GuidanceWarning, wrap
from tests.agentq.wrapping.preferences import Preferences
from tests.servers.scripted_chat import Refused, ScriptedChat, serving

ASK: list[Any] = [{"role": "user", "content": "Which colour?"}]
GREEN_OR_PINK = Grammar("take the (green|pink) one")
NOTE = (
    "What you proposed for this step was refused:\n- 'take the red one' is no action of this environment\n"
    "Propose another action."
)


def learning(body: dict[str, Any], number: int) -> str:
    """Red until a note says that it was refused; stubborn agents stay with it, others take two colours."""
    said = str(body["messages"])
    if "refused" not in said or "stubborn" in said:
        return "take the red one"
    if "failing" in said:
        raise Refused(503, "not now")
    return f"take the {('green', 'pink')[number % 2]} one"


@pytest.fixture
def server() -> Iterator[ScriptedChat]:
    with serving(ScriptedChat(learning)) as chat:
        yield chat


def guided(agent: Any, **options: Any) -> Any:
    options = {"n": 2, "checks": [GREEN_OR_PINK], "resample": True, **options}
    return wrap(agent, Preferences({"pink": 1.0}), **options)


def by_function(server: ScriptedChat) -> tuple[Any, str]:
    agent = guided(lambda messages: learning({"messages": messages}, len(messages[0]["content"])))
    return agent, agent(ASK)


def by_async_function(server: ScriptedChat) -> tuple[Any, str]:
    async def speak(*, messages: str) -> str:
        return learning({"messages": messages}, 1)

    agent = guided(speak)
    return agent, asyncio.run(agent(messages="Which colour?"))


def by_openai(server: ScriptedChat) -> tuple[Any, str]:
    client = guided(OpenAI(base_url=server.url, api_key="k", max_retries=0))
    completion = client.chat.completions.create(model="m", messages=ASK)
    assert completion.usage.prompt_tokens == 20  # of both requests
    return client, completion.choices[0].message.content


def by_async_openai(server: ScriptedChat) -> tuple[Any, str]:
    client = guided(AsyncOpenAI(base_url=server.url, api_key="k", max_retries=0))
    completion = asyncio.run(client.chat.completions.create(model="m", messages=ASK))
    return client, completion.choices[0].message.content


def by_langchain(server: ScriptedChat) -> tuple[Any, str]:
    options: dict[str, Any] = {"api_key": "k", "max_retries": 0}
    model = guided(ChatOpenAI(model="m", base_url=server.url, **options))
    message = model.invoke([HumanMessage("Which colour?")])
    assert message.usage_metadata["input_tokens"] == 20
    return model, message.content


def by_async_langchain(server: ScriptedChat) -> tuple[Any, str]:
    options: dict[str, Any] = {"api_key": "k", "max_retries": 0}
    model = guided(ChatOpenAI(model="m", base_url=server.url, **options))
    return model, asyncio.run(model.ainvoke("Which colour?")).content


def by_smolagents(server: ScriptedChat) -> tuple[Any, str]:
    model = guided(OpenAIModel("m", api_base=server.url, api_key="k", client_kwargs={"max_retries": 0}))
    message = model.generate(ASK)
    assert message.token_usage.input_tokens == 20
    return model, message.content


def by_openai_agents(server: ScriptedChat) -> tuple[Any, str]:
    client = AsyncOpenAI(base_url=server.url, api_key="k", max_retries=0)
    model = guided(OpenAIChatCompletionsModel("m", openai_client=client))
    response = asyncio.run(
        model.get_response(
            None, "Which colour?", ModelSettings(), [], None, [], ModelTracing.DISABLED,
            previous_response_id=None, conversation_id=None, prompt=None,
        )
    )  # fmt: skip
    assert response.usage.requests == 4
    return model, response.output[0].content[0].text


@pytest.mark.parametrize(
    "play",
    [by_function, by_async_function, by_openai, by_async_openai, by_langchain, by_async_langchain,
     by_smolagents, by_openai_agents],
)  # fmt: skip
def test_an_agent_is_asked_once_more_with_the_reasons(
    server: ScriptedChat, play: Callable[[ScriptedChat], tuple[Any, str]]
) -> None:
    agent, text = play(server)
    assert text in ("take the pink one", "take the green one")
    (decision,) = agent.decisions
    assert decision.flags == ("resampled",)
    assert decision.candidates[0].action is None
    assert decision.candidates[0].count == 2
    assert decision.action == text
    assert agent.guide.statistics.resampled == 1
    assert agent.guide.statistics.candidates == 4
    (shown,) = agent.guide.critic.shown
    assert NOTE not in str(shown[-1]["content"])  # the state is what it was
    if server.requests:
        asked = [
            NOTE in str(request["messages"][-1]["content"]).replace("\\n", "\n")
            for request in server.requests
        ]
        assert asked == sorted(asked)
        assert asked.count(True) * 2 == len(asked)


def test_a_stubborn_agent_is_not_asked_a_third_time(server: ScriptedChat) -> None:
    client = guided(OpenAI(base_url=server.url, api_key="k", max_retries=0))
    asked = [{"role": "user", "content": "stubborn"}]
    completion = client.chat.completions.create(model="m", messages=asked)
    assert completion.choices[0].message.content == "take the red one"
    assert client.decisions[0].flags == ("all_refused", "resampled")
    assert len(server.requests) == 2


def test_a_second_round_that_fails_leaves_the_first_and_says_so(server: ScriptedChat) -> None:
    client = guided(OpenAI(base_url=server.url, api_key="k", max_retries=0))
    asked = [{"role": "user", "content": "failing"}]
    with pytest.warns(GuidanceWarning, match="asking once more failed"):
        completion = client.chat.completions.create(model="m", messages=asked)
    assert completion.choices[0].message.content == "take the red one"
    assert client.decisions[0].flags == ("all_refused", "resampled", "resample_failed")


def test_without_the_option_nobody_is_asked_again(server: ScriptedChat) -> None:
    client = guided(OpenAI(base_url=server.url, api_key="k", max_retries=0), resample=False)
    client.chat.completions.create(model="m", messages=ASK)
    assert client.decisions[0].flags == ("all_refused",)
    assert len(server.requests) == 1
