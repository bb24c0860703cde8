"""Guide the model of a smolagents ToolCallingAgent, which walks through the shop with a tool.

The small model writes plain actions, so a bridge of a few lines packs them into tool calls. Your model calls
tools by itself: ``ToolCallingAgent(tools, model=wrap(OpenAIModel(...), critic))`` is all.

    python examples/wrap_smolagents.py
"""

from __future__ import annotations

from typing import Any

from smolagents import LogLevel, Model, OpenAIModel, Tool, ToolCallingAgent
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
)

from agentq.wrapping import wrap
from shopping import SAMPLING, Shop, close, show
from tiny_server import serving


class Walk(Tool):
    """The agent's tool."""

    name = "walk"
    description = "Takes an action in the shop and returns the next page."
    inputs = {"action": {"type": "string", "description": "search[...] or click[...]"}}  # noqa: RUF012
    output_type = "string"

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self.shop = shop

    def forward(self, action: str) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The page after the action."""
        self.shop.act(action)
        return self.shop.page


class Bridge(Model):
    """Shows the page to the guided model and packs its action into a call of ``walk``."""

    def __init__(self, guided: Any, shop: Shop) -> None:
        super().__init__(model_id="bridge")
        self.guided = guided
        self.shop = shop

    def generate(self, messages: list[Any], *arguments: Any, **options: Any) -> ChatMessage:
        """A tool call: the action, or the final answer when the episode is over."""
        if self.shop.done:
            call = ChatMessageToolCallFunction({"answer": self.shop.score}, "final_answer")
        else:
            page = [ChatMessage(MessageRole.USER, [{"type": "text", "text": self.shop.page}])]
            call = ChatMessageToolCallFunction({"action": self.guided.generate(page).content}, "walk")
        calls = [ChatMessageToolCall(call, f"call-{self.shop.env.steps}", "function")]
        return ChatMessage(MessageRole.ASSISTANT, None, calls)


def main() -> None:
    """Play one episode and show every decision."""
    with serving() as url:
        model = OpenAIModel("embedded", api_base=url, api_key="none")
        guided = wrap(model, critic="embedded-q", sampling=SAMPLING, on_decision=show)
        shop = Shop()
        agent = ToolCallingAgent(
            [Walk(shop)], Bridge(guided, shop), max_steps=20, verbosity_level=LogLevel.OFF
        )
        agent.run("Buy what the page asks for.")
        close(shop)


if __name__ == "__main__":
    main()
