"""On-policy training on checkable answers: it learns, samples what it says, and resumes exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from agentq.errors import ConfigError, TrainingError
from agentq.training.answers import AnswerSettings, answer_statistics, sample_answers, train_on_answers

END = 0
SETTINGS = AnswerSettings(
    iterations=12, questions=4, samples=8, learning_rate=1e-2, longest=4, checkpoint_every=2, seed=3
)
PROMPTS = torch.tensor([[5, 6], [6, 5], [7, 5], [5, 7]])


def model() -> nn.Module:
    torch.manual_seed(0)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=8,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=32,
            pad_token_id=END,
            eos_token_id=END,
        )
    ).eval()


def threes(question: int, tokens: Sequence[int]) -> float:
    """Right: begin with token 3, whatever the question."""
    return float(bool(tokens) and tokens[0] == 3)


def test_answers_end_and_are_masked_behind_their_end() -> None:
    generator = torch.Generator().manual_seed(1)
    answers = sample_answers(model(), PROMPTS.repeat(20, 1), END, longest=6, generator=generator)
    assert answers.tokens.shape[1] == 2 + answers.mask.shape[1]
    for row, mask, text in zip(
        answers.tokens[:, 2:].tolist(), answers.mask.tolist(), answers.texts(END), strict=True
    ):
        length = sum(mask)
        assert mask == [1] * length + [0] * (len(mask) - length)
        assert END not in text
        assert text == [token for token in row[:length] if token != END]
        assert set(row[length:]) <= {END}
        assert row[length - 1] == END or length == 6


def test_statistics_are_those_of_the_distribution_that_was_sampled() -> None:
    lm = model()
    generator = torch.Generator().manual_seed(2)
    prompts = PROMPTS[:1].repeat(4000, 1)
    answers = sample_answers(lm, prompts, END, longest=1, temperature=0.5, generator=generator)
    log_prob = answer_statistics(lm, answers, 0.5).log_prob.detach()[:, 0]
    tokens = answers.tokens[:, 2]
    for token in tokens.unique().tolist():
        share = float((tokens == token).float().mean())
        assert share == pytest.approx(float(log_prob[tokens == token][0].exp()), abs=0.03)


@pytest.mark.parametrize("method", ["rover", "grpo"])
def test_both_methods_learn_what_is_rewarded(method: str) -> None:
    settings = replace(SETTINGS, method=method)  # type: ignore[arg-type]
    history = train_on_answers(model(), PROMPTS, threes, END, settings)
    assert history[-1]["reward"] > history[0]["reward"] + 0.4
    assert len(history) == 12


@pytest.mark.parametrize("method", ["rover", "grpo"])
def test_a_run_that_was_broken_off_ends_like_one_that_was_not(tmp_path: Path, method: str) -> None:
    settings = replace(SETTINGS, iterations=7, method=method)  # type: ignore[arg-type]
    whole = model()
    expected = train_on_answers(whole, PROMPTS, threes, END, settings)

    class Killed(Exception):
        pass

    def kill(record: dict[str, float]) -> None:
        if record["iteration"] == 5:
            raise Killed

    with pytest.raises(Killed):
        train_on_answers(model(), PROMPTS, threes, END, settings, tmp_path, kill)
    assert [path.name for path in tmp_path.iterdir()] == ["iteration_000004"]
    resumed = model()
    history = train_on_answers(resumed, PROMPTS, threes, END, settings, tmp_path)
    assert history == expected
    pairs: list[tuple[Tensor, Tensor]] = list(zip(whole.parameters(), resumed.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)


def test_other_settings_do_not_continue_a_run(tmp_path: Path) -> None:
    train_on_answers(model(), PROMPTS, threes, END, replace(SETTINGS, iterations=2), tmp_path)
    with pytest.raises(TrainingError, match=r"has beta=1\.0, this one beta=0\.2"):
        train_on_answers(model(), PROMPTS, threes, END, replace(SETTINGS, beta=0.2), tmp_path)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="method='ppo'"):
        AnswerSettings(method="ppo")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="minibatches=3 does not divide"):
        AnswerSettings(minibatches=3)
