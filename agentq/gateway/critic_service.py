"""The gateway's critic: loaded here or in a child process, behind the queue that batches its calls."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from agentq.critics.base import Critic
from agentq.critics.child_process import ChildCritic, CriticFactory, about_critic
from agentq.gateway.settings import GatewaySettings
from agentq.scoring.micro_batching import MicroBatcher

_LOADING = 600.0  # seconds until a child must have loaded its critic


@dataclass(frozen=True)
class CriticService:
    """A critic, how its calls are batched, and what it says of itself."""

    name: str
    critic: Critic
    batcher: MicroBatcher
    about: dict[str, Any]

    @property
    def state(self) -> str:
        """ready, or what the child process is."""
        return self.critic.state if isinstance(self.critic, ChildCritic) else "ready"

    @property
    def restarts(self) -> int:
        """Times that the child was started again."""
        return self.critic.restarts if isinstance(self.critic, ChildCritic) else 0

    @property
    def reads_logprobs(self) -> bool:
        """Whether its values depend on the candidates' log-probabilities."""
        return self.about.get("proposal", "none") != "none"

    def close(self) -> None:
        """Stop the queue, and the child."""
        if isinstance(self.critic, ChildCritic):
            self.critic.close()  # first: a batch that hangs in it ends
        self.batcher.close()


def start_critic(settings: GatewaySettings) -> CriticService | None:
    """Load the critic that the settings name; None for "none".

    Raises ``CheckpointError`` or ``BackboneError`` when it does not load, ``CriticDownError`` from the child.
    """
    if settings.critic == "none":
        return None
    names = ("device", "threads", "prefix_cache")
    arguments = {"name": settings.critic, **{name: getattr(settings, name) for name in names}}
    factory = CriticFactory("agentq.gateway.critic_service:serving_critic", arguments)
    if not settings.critic_process:
        return serve_critic(settings, factory())
    child = ChildCritic(factory)
    try:
        child.wait_ready(_LOADING)
    except BaseException:
        child.close()
        raise
    return serve_critic(settings, child, child.about)


def serve_critic(
    settings: GatewaySettings, critic: Critic, about: dict[str, Any] | None = None
) -> CriticService:
    """A critic that is loaded already."""
    on_cpu = settings.device == "cpu" or (settings.device == "auto" and not _has_accelerator())
    batcher = MicroBatcher(
        critic,
        # A large batch costs a CPU as much as its states one by one, and all of them wait for the last.
        settings.max_batch or (4 if on_cpu else 32),
        settings.max_queue,
        read_ahead=settings.prefix_cache > 0,
    )
    return CriticService(settings.critic, critic, batcher, about or about_critic(critic))


def serving_critic(name: str, device: str = "auto", threads: int = 0, prefix_cache: int = 0) -> Critic:
    """A saved critic by folder, name or ``FOLDER@URL``, set up for serving.

    ``threads`` 0 leaves a core to the server: a thread too many makes torch wait for it at every operation.
    """
    import torch

    from agentq.critics.loading import load_critic
    from agentq.critics.q_head import QCritic

    torch.set_num_threads(threads or max(1, (os.cpu_count() or 2) - 1))
    critic = load_critic(name, device=device)
    if isinstance(critic, QCritic):
        if critic.backbone.device.type == "cpu":
            # States of one pass are padded to the longest. Without a GPU's idle units that is time lost.
            critic.max_batch_tokens = 512
        critic.cache_prompts(prefix_cache)
    return critic


def _has_accelerator() -> bool:
    """Whether "auto" means one, as for a backbone."""
    import torch

    return torch.accelerator.is_available()
