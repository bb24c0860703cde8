"""Guide the model of an OpenAI Agents SDK agent, run by the SDK's own Runner.

python examples/wrap_openai_agents.py
"""

from __future__ import annotations

import asyncio

from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

from agentq.wrapping import wrap
from shopping import Shop, close, show
from tiny_server import serving

set_tracing_disabled(True)  # this example stays on this machine


async def play(agent: Agent, shop: Shop) -> None:
    """The agent that exists already: each page is one run, whose final output is the action."""
    while not shop.done:
        result = await Runner.run(agent, shop.page)
        shop.act(str(result.final_output))


def main() -> None:
    """Play one episode and show every decision."""
    with serving() as url:
        model = OpenAIChatCompletionsModel(
            "embedded", openai_client=AsyncOpenAI(base_url=url, api_key="none")
        )
        guided = wrap(model, critic="embedded-q", n=6, on_decision=show)
        settings = ModelSettings(temperature=0.8, top_logprobs=0)
        shop = Shop()
        asyncio.run(play(Agent("shopper", model=guided, model_settings=settings), shop))
        close(shop)


if __name__ == "__main__":
    main()
