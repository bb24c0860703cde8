"""Models of smolagents, guided, in its own agents, in front of a local server."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from smolagents import CodeAgent, LogLevel, Model, OpenAIModel, ToolCallingAgent, tool
from smolagents.models import ChatMessage, MessageRole, agglomerate_stream_deltas

from agentq.errors import ConfigError
from agentq.wrapping import wrap
from tests.agentq.wrapping.preferences import Preferences
from tests.agentq.wrapping.replies import COLOURS, colours
from tests.servers.scripted_chat import Answer, Refused, ScriptedChat, serving

ASK = [ChatMessage(MessageRole.USER, [{"type": "text", "text": "Which colour?"}])]


@tool
def buy(colour: str) -> str:
    """Buy the one of this colour.

    Args:
        colour: The colour.
    """
    return f"bought {colour}"


def calling(body: dict[str, Any], number: int) -> Answer:
    """Buys first, then answers with what it has."""
    spoken = str(body["messages"][-1]["content"])
    if "bought" in spoken:
        colour = next(c for c in COLOURS if f"bought {c}" in spoken)
        return Answer(None, [("final_answer", {"answer": f"{colour}, candidate {number % 3}"})])
    return Answer(None, [("buy", {"colour": COLOURS[number % 3]})])


def guided_of(chat: ScriptedChat, liked: dict[str, float] | None = None, **options: Any) -> Any:
    model = OpenAIModel("m", api_base=chat.url, api_key="secret", client_kwargs={"max_retries": 0}, **options)
    return wrap(model, Preferences(liked or {"blue": 1.0}), n=3)


def test_generate_answers_with_the_best_of_one_request(server: ScriptedChat) -> None:
    model = guided_of(server)
    assert Model in type(model).__mro__
    message = model.generate(ASK)
    assert message.content == "take the blue one"
    assert message.token_usage.input_tokens == 10
    assert [choice.message.content for choice in message.raw.choices] == ["take the blue one"]
    assert model(ASK).content == "take the blue one"
    assert [request["n"] for request in server.requests] == [3, 3]
    assert model.guide.critic.shown[0] == ({"role": "user", "content": "Which colour?"},)
    assert model.model_id == "m"


def test_the_stream_adds_up_to_the_chosen_message(server: ScriptedChat) -> None:
    deltas = list(guided_of(server).generate_stream(ASK))
    assert [delta.content for delta in deltas if delta.content] == ["take", " the", " blue", " one"]
    whole = agglomerate_stream_deltas(deltas)
    assert whole.content == "take the blue one"
    assert whole.token_usage is not None
    assert whole.token_usage.input_tokens == 10


def test_a_server_without_n_is_asked_singly() -> None:
    with serving(ScriptedChat(colours, n="refuses")) as server:
        message = guided_of(server, seed=5).generate(ASK)
    assert message.content == "take the blue one"
    assert message.token_usage.input_tokens == 30
    assert [request.get("n") for request in server.requests] == [3, None, None, None]
    assert [request["seed"] for request in server.requests] == [5, 5, 6, 7]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_calling_agent_executes_the_chosen_call(streamed: bool) -> None:
    with serving(ScriptedChat(calling)) as server:
        model = guided_of(server, {"candidate 1": 2.0, "green": 1.0})
        agent = ToolCallingAgent(
            [buy], model, stream_outputs=streamed, verbosity_level=LogLevel.OFF, max_steps=3
        )
        with model.session("hat") as session:
            answer = agent.run("Buy a hat")
            session.reward(1.0)
    assert answer == "green, candidate 1"
    assert [decision.action for decision in model.decisions] == [
        'buy({"colour": "green"})',
        'final_answer({"answer": "green, candidate 1"})',
    ]
    assert len(session.steps) == 2
    assert agent.monitor.get_total_token_counts().input_tokens == 20


def test_replies_that_are_no_tool_call_lose() -> None:
    texts = [
        "I am not sure.",
        'Action: {"name": "final_answer", "arguments": {"answer": "green"}}',
        'Action: {"name": "final_answer", "arguments": ',
    ]
    with serving(ScriptedChat(lambda body, number: texts[number % 3])) as server:
        model = guided_of(server, {"sure": 9.0})
        agent = ToolCallingAgent([buy], model, verbosity_level=LogLevel.OFF, max_steps=1)
        assert agent.run("Buy a hat") == "green"
    decision = model.decisions[0]
    assert [candidate.valid for candidate in decision.candidates] == [False, True, False]
    assert decision.action == 'final_answer({"answer": "green"})'


def test_a_code_agent_runs_the_chosen_code() -> None:
    def coding(body: dict[str, Any], number: int) -> str:
        return f"Thoughts: buy.\n<code>\nfinal_answer(buy('{COLOURS[number % 3]}'))\n</code>"

    with serving(ScriptedChat(coding)) as server:
        model = guided_of(server, {"green": 1.0})
        agent = CodeAgent([buy], model, stream_outputs=True, verbosity_level=LogLevel.OFF, max_steps=2)
        assert agent.run("Buy a hat") == "bought green"


class Counting(Model):
    """A local model that answers differently each time, without n."""

    calls = 0

    def generate(self, messages: list[Any], **options: Any) -> ChatMessage:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.calls += 1
        assert "n" not in options
        return ChatMessage(MessageRole.ASSISTANT, f"take the {COLOURS[self.calls % 3]} one")


def test_models_of_others_are_called_n_times() -> None:
    inner = Counting()
    model = wrap(inner, Preferences({"green": 1.0}), n=3)
    assert model.generate(ASK).content == "take the green one"
    assert inner.calls == 3


def test_errors_of_the_model_pass_through() -> None:
    def refusing(body: dict[str, Any], number: int) -> str:
        raise Refused(401, "who are you")

    with (
        serving(ScriptedChat(refusing)) as server,
        pytest.raises(openai.AuthenticationError, match="who are you"),
    ):
        guided_of(server).generate(ASK)


def test_an_agent_is_refused_with_advice(server: ScriptedChat) -> None:
    agent = ToolCallingAgent([buy], guided_of(server), verbosity_level=LogLevel.OFF)
    with pytest.raises(ConfigError, match=r"agent\.model = wrap"):
        wrap(agent, Preferences({}))
    assert agent.model.to_dict()["model_id"] == "m"
