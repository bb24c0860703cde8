"""The critic step: accumulation, clipping, what each network is asked, and refusals."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from agentq.errors import TrainingError
from agentq.objectives.critic_step import StepSettings, TransitionBatch, critic_step
from agentq.objectives.polyak import target_copy


class Heads(nn.Module):
    """Two linear Q heads and two linear V heads, counting their calls."""

    def __init__(self) -> None:
        super().__init__()
        self.q_head, self.v_head = nn.Linear(5, 2), nn.Linear(3, 2)
        self.calls: list[tuple[str, bool]] = []

    def q(self, state_action: Tensor) -> Tensor:
        self.calls.append(("q", torch.is_grad_enabled()))
        return self.q_head(state_action).T

    def v(self, state: Tensor) -> Tensor:
        self.calls.append(("v", torch.is_grad_enabled()))
        return self.v_head(state).T


def batch(rows: int, seed: int = 0) -> TransitionBatch:
    g = torch.Generator().manual_seed(seed)
    return TransitionBatch(
        state=torch.randn(rows, 3, generator=g),
        state_action=torch.randn(rows, 5, generator=g),
        next_state=torch.randn(rows, 3, generator=g),
        reward=torch.randn(rows, generator=g),
        terminated=torch.zeros(rows),
    )


def split(whole: TransitionBatch, *sizes: int) -> list[TransitionBatch]:
    edges = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    assert edges[-1] == len(whole)
    return [
        TransitionBatch(
            whole.state[a:b],
            whole.state_action[a:b],
            whole.next_state[a:b],
            whole.reward[a:b],
            whole.terminated[a:b],
        )
        for a, b in pairwise(edges)
    ]


def make() -> tuple[Heads, Heads, torch.optim.Optimizer]:
    torch.manual_seed(0)
    online = Heads()
    return online, target_copy(online), torch.optim.Adam(online.parameters(), lr=0.01)


def train(parts: list[TransitionBatch], settings: StepSettings, steps: int = 3) -> tuple[Heads, Heads]:
    online, target, optimizer = make()
    for _ in range(steps):
        critic_step(online, target, optimizer, parts, settings)
    return online, target


def flat(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.parametrize("sizes", [(4, 4), (2, 2, 2, 2), (1, 7), (3, 3, 2)])
def test_accumulation_equals_one_batch(sizes: tuple[int, ...]) -> None:
    whole, settings = batch(8), StepSettings(max_grad_norm=0.01)
    once, accumulated = train([whole], settings), train(split(whole, *sizes), settings)
    for a, b in zip(once, accumulated, strict=True):
        torch.testing.assert_close(flat(a), flat(b), rtol=1e-5, atol=1e-6)


def test_clipping_each_micro_batch_is_another_step() -> None:
    parts = split(batch(8), 4, 4)
    each, once = StepSettings.digi_q(), StepSettings(max_grad_norm=0.01, bootstrap="own")
    assert (flat(train(parts, each)[0]) - flat(train(parts, once)[0])).abs().max() > 1e-4
    whole = [batch(8)]
    torch.testing.assert_close(flat(train(whole, each)[0]), flat(train(whole, once)[0]))


def test_only_what_is_needed_is_evaluated() -> None:
    online, target, optimizer = make()
    critic_step(online, target, optimizer, [batch(4)], StepSettings())
    assert online.calls == [("q", True), ("v", True)]
    assert target.calls == [("q", False), ("v", False)]


def test_target_follows_and_gradients_are_gone() -> None:
    online, target, optimizer = make()
    before = flat(target)
    critic_step(online, target, optimizer, [batch(4)], StepSettings(tau=0.25))
    torch.testing.assert_close(flat(target), before + 0.25 * (flat(online) - before))
    assert all(p.grad is None for p in online.parameters())


def test_backup_action_replaces_the_logged_one_in_the_v_target() -> None:
    online, target, optimizer = make()
    plain = batch(4)
    other = TransitionBatch(
        plain.state,
        plain.state_action,
        plain.next_state,
        plain.reward,
        plain.terminated,
        plain.state_action + 9,
    )
    a = critic_step(copy.deepcopy(online), copy.deepcopy(target), optimizer, [plain], StepSettings())
    b = critic_step(copy.deepcopy(online), copy.deepcopy(target), optimizer, [other], StepSettings())
    torch.testing.assert_close(a.q_losses, b.q_losses)
    assert (a.v_losses - b.v_losses).abs().max() > 1e-3


def test_training_finds_the_values_of_a_chain() -> None:
    """Three states in a row, reward 1 at the end, gamma 0.5: V = Q = 0.25, 0.5, 1."""
    eye = torch.eye(3)
    chain = TransitionBatch(
        state=eye,
        state_action=torch.cat([eye, torch.zeros(3, 2)], dim=1),
        next_state=torch.cat([eye[1:], torch.zeros(1, 3)]),
        reward=torch.tensor([0.0, 0.0, 1.0]),
        terminated=torch.tensor([0.0, 0.0, 1.0]),
    )
    online, target, optimizer = make()
    for group in optimizer.param_groups:
        group["lr"] = 0.02
    for _ in range(1500):
        critic_step(online, target, optimizer, [chain], StepSettings(gamma=0.5, tau=0.1))
    expected = torch.tensor([0.25, 0.5, 1.0]).expand(2, 3)
    torch.testing.assert_close(online.q(chain.state_action), expected, atol=0.02, rtol=0)
    torch.testing.assert_close(online.v(chain.state), expected, atol=0.02, rtol=0)


def test_bad_steps_are_refused_and_change_nothing() -> None:
    online, target, optimizer = make()
    before = flat(online), flat(target)
    with pytest.raises(TrainingError, match="no transitions"):
        critic_step(online, target, optimizer, [], StepSettings())
    broken = batch(4)
    broken.reward[1] = math.nan
    with pytest.raises(TrainingError, match="gradient norm of the critic is nan"):
        critic_step(online, target, optimizer, [broken], StepSettings())
    torch.testing.assert_close(flat(online), before[0])
    torch.testing.assert_close(flat(target), before[1])
    assert all(p.grad is None for p in online.parameters())
