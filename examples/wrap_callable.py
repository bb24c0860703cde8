"""Guide a plain function from messages to text.

python examples/wrap_callable.py
"""

from __future__ import annotations

import itertools

from agentq import BackboneConfig, Candidate, HuggingFacePolicy, load_backbone
from agentq.types import Messages
from agentq.wrapping import wrap
from shopping import Shop, close, show

seeds = itertools.count()
policy = HuggingFacePolicy(
    load_backbone(BackboneConfig(name="embedded")), temperature=0.8, max_new_tokens=24, restrict=False
)


def agent(messages: Messages) -> Candidate:
    """The agent that exists already: it answers with one action, another one each time.

    A plain text would do. A candidate keeps log-probabilities besides, which this small critic reads.
    """
    ((candidate,),) = policy.propose([messages], n=1, seeds=[next(seeds)])
    return candidate


def main() -> None:
    """Play one episode and show every decision."""
    guided = wrap(agent, critic="embedded-q", n=6, on_decision=show)
    shop = Shop()
    while not shop.done:
        shop.act(guided(shop.messages).text)
    close(shop)


if __name__ == "__main__":
    main()
