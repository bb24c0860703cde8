"""Guide an agent that talks to an OpenAI client, and log its episode.

python examples/wrap_openai.py
"""

from __future__ import annotations

import tempfile

from openai import OpenAI

from agentq import TrajectoryReader, TrajectoryWriter
from agentq.wrapping import wrap
from shopping import SAMPLING, Shop, close, show
from tiny_server import serving


def play(client: OpenAI, shop: Shop) -> None:
    """The agent that exists already: it knows nothing of a critic."""
    while not shop.done:
        completion = client.chat.completions.create(model="embedded", messages=shop.messages)  # pyright: ignore[reportArgumentType]
        shop.act(completion.choices[0].message.content or "")


def main() -> None:
    """Play one episode and show every decision."""
    with serving() as url, tempfile.TemporaryDirectory() as folder, TrajectoryWriter(folder) as log:
        client = OpenAI(base_url=url, api_key="none")
        guided = wrap(client, critic="embedded-q", sampling=SAMPLING, on_decision=show, log=log)
        shop = Shop()
        with guided.session(shop.task, environment="agentq/WebShop-v0") as session:
            play(guided, shop)
            session.reward(shop.score)
            if shop.truncated:
                session.truncate()
        close(shop)
        (episode,) = TrajectoryReader(folder)
        print(f"logged: {len(episode.trajectory.steps)} steps, score {episode.trajectory.score:.2f}")


if __name__ == "__main__":
    main()
