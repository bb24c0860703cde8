"""An agent that knows nothing of AgentQ's critics: it asks the model behind a base_url what to do next, and does it.

python examples/shopping_agent.py --base-url http://127.0.0.1:8000/v1    # the model alone
python examples/shopping_agent.py --base-url http://127.0.0.1:8080/v1    # the same model behind the gateway
"""

from __future__ import annotations

import argparse

import httpx
from openai import OpenAI

from shopping import Shop


def play(client: OpenAI, model: str, shop: Shop, session: str) -> None:
    """One episode. The header names it where a gateway keeps a log; other servers ignore it."""
    while not shop.done:
        completion = client.chat.completions.create(
            model=model,
            messages=shop.messages,  # pyright: ignore[reportArgumentType]
            temperature=0.8,
            max_tokens=24,
            extra_headers={"x-agentq-session": session},
        )
        action = (completion.choices[0].message.content or "").strip()
        shop.act(action)
        print(f"  {action[:90]}")


def main() -> None:
    """Play some tasks and print the mean score."""
    parser = argparse.ArgumentParser(description="Shop with the model behind a base_url.")
    parser.add_argument("--base-url", default="http://127.0.0.1:8080/v1")
    parser.add_argument("--model", help="default: the first that the server has")
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="seed of the first task")
    parser.add_argument(
        "--feedback", action="store_true", help="tell the gateway how it ended (needs its --log)"
    )
    arguments = parser.parse_args()
    client = OpenAI(base_url=arguments.base_url, api_key="none")
    model = arguments.model or client.models.list().data[0].id
    scores: list[float] = []
    for seed in range(arguments.first, arguments.first + arguments.tasks):
        shop = Shop(seed)
        print(f"task {shop.task}")
        play(client, model, shop, f"shopping-{seed}")
        scores.append(shop.score)
        print(f"  score {shop.score:.2f}")
        if arguments.feedback:
            end = {"truncated": True} if shop.truncated else {"done": True, "success": shop.score == 1}
            told = {"session": f"shopping-{seed}", "reward": shop.score, **end}
            httpx.post(f"{arguments.base_url}/agentq/feedback", json=told, timeout=60).raise_for_status()
    print(f"mean score of {len(scores)} tasks: {sum(scores) / len(scores):.3f}")


if __name__ == "__main__":
    main()
