"""How many states go to the critic in one call depends on what it computes on."""

from __future__ import annotations

import pytest
import torch

from agentq.gateway.critic_service import serve_critic
from agentq.gateway.settings import GatewaySettings
from tests.agentq.search.toy_world import TableCritic


@pytest.mark.parametrize(
    ("device", "accelerator", "batch"),
    [("auto", False, 4), ("auto", True, 32), ("cpu", True, 4), ("cuda", True, 32)],
)
def test_batches_are_small_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, device: str, accelerator: bool, batch: int
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator)
    settings = GatewaySettings("http://127.0.0.1:1", device=device)
    service = serve_critic(settings, TableCritic(lambda page, action: 0.0))
    assert service.batcher.max_batch == batch
    service.close()
