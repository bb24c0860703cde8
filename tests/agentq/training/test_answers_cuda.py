"""On-policy training on a GPU: the answers of the CPU, the same learning, exact resumption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agentq.training.answers import answer_statistics, sample_answers, train_on_answers
from tests.agentq.training.test_answers import END, PROMPTS, SETTINGS, model, threes

pytestmark = pytest.mark.cuda


def test_a_generator_of_the_cpu_draws_the_same_answers(gpu: str) -> None:
    found = []
    for device in ("cpu", gpu):
        lm = model().to(device)
        generator = torch.Generator().manual_seed(1)
        answers = sample_answers(lm, PROMPTS.repeat(8, 1), END, longest=6, generator=generator)
        assert answers.tokens.device.type == answers.mask.device.type == device
        found.append((answers, answer_statistics(lm, answers, 1.0).log_prob.detach()))
    (slow, expected), (fast, log_prob) = found
    assert torch.equal(fast.tokens.cpu(), slow.tokens)
    assert torch.equal(fast.mask.cpu(), slow.mask)
    torch.testing.assert_close(log_prob.cpu(), expected, atol=1e-4, rtol=1e-4)


def test_without_a_generator_the_gpu_draws(gpu: str) -> None:
    answers = sample_answers(model().to(gpu), PROMPTS, END, longest=3)
    assert len(answers.texts(END)) == len(PROMPTS)


@pytest.mark.parametrize("method", ["rover", "grpo"])
def test_both_methods_learn_and_go_on(gpu: str, tmp_path: Path, method: str) -> None:
    settings = replace(SETTINGS, method=method)  # type: ignore[arg-type]
    expected = train_on_answers(model(), PROMPTS, threes, END, replace(settings, iterations=1))
    whole = train_on_answers(model().to(gpu), PROMPTS, threes, END, settings)
    assert whole[0] == pytest.approx(expected[0], rel=1e-2, abs=1e-3)
    assert whole[-1]["reward"] > whole[0]["reward"] + 0.4
    train_on_answers(model().to(gpu), PROMPTS, threes, END, replace(settings, iterations=6), tmp_path)
    resumed = model().to(gpu)
    again = train_on_answers(resumed, PROMPTS, threes, END, settings, tmp_path)
    assert [record["reward"] for record in again] == pytest.approx([r["reward"] for r in whole], abs=0.1)
    assert {p.device.type for p in resumed.parameters()} == {gpu}
