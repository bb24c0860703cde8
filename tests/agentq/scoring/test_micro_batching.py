"""Concurrent requests share calls of the critic, and none of them can tell."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agentq.backbones import BackboneConfig, load_backbone
from agentq.critics.base import Scores
from agentq.critics.heads import HeadSettings, QHeads
from agentq.critics.q_head import QCritic
from agentq.errors import ConfigError, CriticError
from agentq.scoring.micro_batching import MicroBatcher, QueueFullError
from agentq.types import Candidate, FloatArray, Messages

Batch = Sequence[tuple[Messages, Sequence[Candidate]]]


class GatedCritic:
    """Values are lengths; a call waits until the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.calls: list[list[str]] = []

    def score(self, batch: Batch) -> list[FloatArray]:
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Batch) -> list[Scores]:
        self.calls.append([str(messages[0]["content"]) for messages, _ in batch])
        assert self.gate.wait(10)
        if any(messages[0]["content"] == "bad" for messages, _ in batch):
            raise CriticError("bad")
        return [Scores(q=np.array([float(len(c.text)) for c in candidates])) for _, candidates in batch]


def state(name: str, *actions: str) -> tuple[Messages, list[Candidate]]:
    return [{"role": "user", "content": name}], [
        Candidate(action, action) for action in actions or ("a", "bb")
    ]


async def settled(batcher: MicroBatcher, depth: int) -> None:
    for _ in range(500):
        if batcher.depth == depth:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{batcher.depth} wait, expected {depth}")


def test_what_waits_goes_in_one_call_and_a_refused_state_fails_alone() -> None:
    critic = GatedCritic()
    batcher = MicroBatcher(critic, max_batch=4)

    async def run() -> None:
        first = asyncio.create_task(batcher.score(*state("first")))
        while not critic.calls:
            await asyncio.sleep(0.01)
        rest = [asyncio.create_task(batcher.score(*state(name))) for name in ("a", "bad", "c", "d", "e")]
        await settled(batcher, 5)
        critic.gate.set()
        found = await asyncio.gather(first, *rest, return_exceptions=True)
        assert [type(outcome).__name__ for outcome in found] == [
            "Scores",
            "Scores",
            "CriticError",
            *["Scores"] * 3,
        ]
        assert isinstance(found[0], Scores)
        assert found[0].q.tolist() == [1.0, 2.0]

    asyncio.run(run())
    assert critic.calls[:2] == [["first"], ["a", "bad", "c", "d"]]
    assert critic.calls[-1] == ["e"]
    batcher.close()


def test_a_cancelled_request_leaves_the_queue_and_a_full_one_says_when_to_come_back() -> None:
    critic = GatedCritic()
    batcher = MicroBatcher(critic, max_batch=1, limit=2)

    async def run() -> None:
        tasks = [asyncio.create_task(batcher.score(*state("0")))]
        while not critic.calls:
            await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(batcher.score(*state(name))) for name in ("1", "2")]
        await settled(batcher, 2)
        with pytest.raises(QueueFullError, match="2 states wait") as full:
            await batcher.score(*state("3"))
        assert full.value.seconds > 0
        tasks[1].cancel()
        await settled(batcher, 1)
        critic.gate.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[1], asyncio.CancelledError)

    asyncio.run(run())
    assert critic.calls == [["0"], ["2"]]
    batcher.close()


def test_closing_tells_those_who_wait() -> None:
    critic = GatedCritic()
    batcher = MicroBatcher(critic, max_batch=1)

    async def run() -> None:
        tasks = [asyncio.create_task(batcher.score(*state(name))) for name in "ab"]
        await settled(batcher, 1)
        critic.gate.set()
        await asyncio.to_thread(batcher.close)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[0], Scores)
        assert isinstance(found[1], Scores | CriticError)
        with pytest.raises(CriticError, match="stopping"):
            await batcher.score(*state("c"))

    asyncio.run(run())


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(ConfigError, match="limit=0"):
        MicroBatcher(GatedCritic(), limit=0)


def test_batched_values_equal_those_alone(tiny_model_folder: Path) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))
    critic = QCritic(backbone, QHeads(32, HeadSettings(heads=3, hidden=(16,))))
    states = [state("x" * (7 * k + 1), *(f"go {k} {i}" for i in range(1 + k % 4))) for k in range(24)]
    alone = [critic.score_heads([one])[0] for one in states]
    batcher = MicroBatcher(critic, max_batch=16)

    async def run() -> list[Scores]:
        return await asyncio.gather(*(batcher.score(*one) for one in states))

    together = asyncio.run(run())
    assert batcher.states == 24
    assert batcher.batches < 24
    batcher.close()
    for one, many in zip(alone, together, strict=True):
        np.testing.assert_allclose(many.q, one.q, atol=1e-5)
        assert one.head_q is not None
        assert many.head_q is not None
        np.testing.assert_allclose(many.head_q, one.head_q, atol=1e-5)


class Reading(GatedCritic):
    """Notes what it reads ahead, between the calls."""

    def prefill(self, messages: Messages) -> None:
        self.calls.append([f"ahead {messages[0]['content']}"])
        if messages[0]["content"] == "too long":
            raise CriticError("too long")


def test_states_are_read_ahead_only_while_nothing_waits() -> None:
    critic = Reading()
    batcher = MicroBatcher(critic, max_batch=2, limit=4)

    async def run() -> None:
        first = asyncio.ensure_future(batcher.score(*state("first")))
        while not critic.calls:
            await asyncio.sleep(0.01)
        ahead = [batcher.prefill(state(name)[0]) for name in ("a", "b", "c")]
        second = asyncio.ensure_future(batcher.score(*state("second")))
        await settled(batcher, 1)
        ahead.append(batcher.prefill(state("d")[0]))  # somebody waits: it is read after that
        assert None not in ahead
        assert batcher.prefill(state("e")[0]) is None  # so many as may wait
        batcher.drop(ahead[1])
        batcher.drop(ahead[2])
        critic.gate.set()
        await asyncio.gather(first, second)
        while batcher.prefilled < 2:
            await asyncio.sleep(0.01)
        job = batcher.prefill(state("too long")[0])
        assert job is not None
        await batcher.score(*state("third"))
        batcher.drop(job)  # read already: nothing to take back

    asyncio.run(run())
    batcher.close()
    assert critic.calls[:4] == [["first"], ["second"], ["ahead a"], ["ahead d"]]
    assert ["third"] in critic.calls
    assert ["ahead b"] not in critic.calls
    assert batcher.prefilled == 2


def test_critics_that_cannot_read_ahead_are_left_alone() -> None:
    batcher = MicroBatcher(GatedCritic())
    assert batcher.prefill(state("a")[0]) is None
    batcher.close()


def test_states_read_ahead_have_the_values_of_others(tiny_model_folder: Path) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))
    critic = QCritic(backbone, QHeads(32, HeadSettings(heads=3, hidden=(16,))), max_batch_tokens=128)
    states = [state("x" * (7 * k + 1), *(f"go {k} {i}" for i in range(1 + k % 4))) for k in range(12)]
    plain = critic.score_heads(states)
    critic.cache_prompts(1 << 20)
    for messages, _ in states[::2]:
        critic.prefill(messages)
    for one, many in zip(plain, critic.score_heads(states), strict=True):
        np.testing.assert_allclose(many.q, one.q, atol=1e-5)


def test_values_of_states_use_what_was_read_ahead(tiny_model_folder: Path) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))
    critic = QCritic(backbone, QHeads(32, HeadSettings(heads=2, hidden=(16,), state_heads=2)))
    messages = [state("x" * 9 * k, "go")[0] for k in range(1, 4)]
    plain = critic.state_values(messages)
    critic.cache_prompts(1 << 20)
    for one in messages:
        critic.prefill(one)
    reader = critic._reader
    assert reader is not None
    before = reader.computed
    np.testing.assert_allclose(critic.state_values(messages), plain, atol=1e-5)
    assert reader.computed - before == 2 * len(messages)  # the last token and one behind it
