from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from agentq.backbones import Backbone, BackboneConfig, load_backbone
from agentq.errors import CandidateError, ConfigError
from agentq.policies.base import Policy
from agentq.policies.constrained import FREE_TEXT
from agentq.policies.huggingface import HuggingFacePolicy
from agentq.types import Candidate, Messages

ACTIONS = ("click[buy now]", "click[back]", "click[b07]", "click[b08]", "click[next >]")
SEARCH = (f"search[{FREE_TEXT}]", "click[back]")
BATCH: list[Messages] = [
    [{"role": "user", "content": text}]
    for text in ("page one", "a much longer page " * 6, "x", "page three [buy now]", "page one!")
]
ADMISSIBLE: list[Any] = [ACTIONS, SEARCH, None, ("click[only]",), ACTIONS[:2]]
SEEDS = [11, 12, 13, 14, 15]


@pytest.fixture(scope="module")
def backbone(tiny_model_folder: Path) -> Backbone:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    for parameter in backbone.model.parameters():  # a random model is flat: sharpen its choices
        parameter.data.mul_(3.0)
    return backbone


def _assert_same(left: list[list[Candidate]], right: list[list[Candidate]]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert [(c.text, c.action, c.count, c.token_ids) for c in a] == [
            (c.text, c.action, c.count, c.token_ids) for c in b
        ]
        for x, y in zip(a, b, strict=True):
            assert x.token_logprobs == pytest.approx(y.token_logprobs, abs=1e-4)


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_a_batch_equals_one_by_one_and_the_slow_reference(backbone: Backbone, top_p: float) -> None:
    policy = HuggingFacePolicy(backbone, temperature=1.5, top_p=top_p, max_new_tokens=12)
    assert isinstance(policy, Policy)
    together = policy.propose(BATCH, 8, SEEDS, ADMISSIBLE)
    alone = [
        HuggingFacePolicy(backbone, temperature=1.5, top_p=top_p, max_new_tokens=12).propose(
            [messages], 8, [seed], [actions]
        )[0]
        for messages, seed, actions in zip(BATCH, SEEDS, ADMISSIBLE, strict=True)
    ]
    slow = HuggingFacePolicy(
        backbone, temperature=1.5, top_p=top_p, max_new_tokens=12, decoding="recompute"
    ).propose(BATCH, 8, SEEDS, ADMISSIBLE)
    _assert_same(together, alone)
    _assert_same(together, slow)
    assert all(sum(c.count for c in candidates) == 8 for candidates in together)
    assert any(len(candidates) > 1 for candidates in together)


def test_small_token_budget_and_equal_states_change_nothing(backbone: Backbone) -> None:
    plain = HuggingFacePolicy(backbone, max_new_tokens=8).propose(BATCH, 4, SEEDS, ADMISSIBLE)
    tight = HuggingFacePolicy(backbone, max_new_tokens=8, max_batch_tokens=1)
    _assert_same(plain, tight.propose(BATCH, 4, SEEDS, ADMISSIBLE))
    twice = HuggingFacePolicy(backbone, max_new_tokens=8, prefix_cache_bytes=0)
    doubled = twice.propose([BATCH[0]] * 2, 4, [SEEDS[0], 99], [ACTIONS] * 2)
    _assert_same(doubled[:1], plain[:1])
    once = HuggingFacePolicy(backbone, max_new_tokens=8, prefix_cache_bytes=0)
    once.propose([BATCH[0]], 4, [SEEDS[0]], [ACTIONS])
    prompt = len(backbone.prompt_ids(BATCH[0]))
    assert twice.statistics.computed_tokens < once.statistics.computed_tokens + prompt


def test_samples_of_a_smaller_n_come_first(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone, temperature=2.0)
    (many,) = policy.propose(BATCH[:1], 8, [5], [ACTIONS])
    (one,) = policy.propose(BATCH[:1], 1, [5], [ACTIONS])
    assert one[0].token_ids == many[0].token_ids


def test_restricted_samples_follow_the_renormalised_token_probabilities(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone, temperature=1.3)
    n = 400
    (candidates,) = policy.propose(BATCH[:1], n, [0], [ACTIONS])
    expected = _trie_probabilities(backbone, BATCH[0], ACTIONS, temperature=1.3)
    assert sum(expected.values()) == pytest.approx(1.0)
    for candidate in candidates:
        p = expected[candidate.text]
        assert candidate.logprob == pytest.approx(math.log(p), abs=1e-3)
        assert abs(candidate.count / n - p) < 5 * math.sqrt(p * (1 - p) / n) + 1e-9
        assert list(candidate.token_ids) == backbone.action_ids(candidate.text)


def _trie_probabilities(
    backbone: Backbone, messages: Messages, actions: tuple[str, ...], temperature: float
) -> dict[str, float]:
    """By definition: at each token, the model's probabilities over the tokens that some action has there."""
    spelt = {action: backbone.action_ids(action) for action in actions}
    result: dict[str, float] = {}
    for action, ids in spelt.items():
        total = 1.0
        for i, token in enumerate(ids):
            nexts = sorted({other[i] for other in spelt.values() if other[:i] == ids[:i]})
            rows = torch.tensor([[*backbone.prompt_ids(messages), *ids[:i]]])
            with torch.no_grad():
                logits = backbone.model(input_ids=rows).logits[0, -1].double() / temperature
            total *= float(torch.softmax(logits[nexts], 0)[nexts.index(token)])
        result[action] = total
    return result


def test_free_samples_follow_the_models_distribution(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone, max_new_tokens=1, restrict=False)
    (candidates,) = policy.propose(BATCH[:1], 500, [0], [ACTIONS])
    with torch.no_grad():
        logits = backbone.model(input_ids=torch.tensor([backbone.prompt_ids(BATCH[0])])).logits[0, -1]
    logprobs = torch.log_softmax(logits.double(), 0)
    counts: Counter[int] = Counter()
    for candidate in candidates:
        assert candidate.token_logprobs[0] == pytest.approx(float(logprobs[candidate.token_ids[0]]), abs=1e-4)
        counts[candidate.token_ids[0]] += candidate.count
    best = int(logprobs.argmax())
    p = math.exp(float(logprobs[best]))
    assert abs(counts[best] / 500 - p) < 5 * math.sqrt(p * (1 - p) / 500)


def test_greedy_takes_the_most_likely_tokens(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone, temperature=0, max_new_tokens=6, restrict=False)
    (candidates,) = policy.propose(BATCH[:1], 1, [0])
    ids = backbone.prompt_ids(BATCH[0])
    for token in candidates[0].token_ids:
        with torch.no_grad():
            assert token == int(backbone.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        ids = [*ids, token]
    assert candidates[0].logprob == 0.0


def test_prefix_cache_reuses_growing_contexts_and_changes_nothing(backbone: Backbone) -> None:
    first = [{"role": "user", "content": "Goal: a red mug. " * 4}]
    second = [*first, {"role": "assistant", "content": "click[back]"}, {"role": "user", "content": "page 2"}]
    cached = HuggingFacePolicy(backbone, max_new_tokens=6)
    plain = HuggingFacePolicy(backbone, max_new_tokens=6, prefix_cache_bytes=0)
    other = [{"role": "user", "content": "nothing alike"}]
    for states in ([first, other], [second, other], [second, first]):
        seeds = list(range(len(states)))
        _assert_same(
            cached.propose(states, 6, seeds, [SEARCH] * 2), plain.propose(states, 6, seeds, [SEARCH] * 2)
        )
    shared = len(backbone.prompt_ids(first)) - 1
    assert cached.statistics.reused_tokens >= 2 * shared
    assert plain.statistics.reused_tokens == 0
    assert cached.statistics.computed_tokens < plain.statistics.computed_tokens - 2 * shared


def test_changed_weights_empty_the_prefix_cache(tiny_model_folder: Path) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    policy = HuggingFacePolicy(backbone, restrict=False, max_new_tokens=4)
    policy.propose(BATCH[:1], 2, [0])
    with torch.no_grad():
        for parameter in backbone.model.parameters():
            parameter.mul_(2.0)
    changed = policy.propose(BATCH[:1], 2, [0])
    assert policy.statistics.reused_tokens == 0
    _assert_same(
        changed, HuggingFacePolicy(backbone, restrict=False, max_new_tokens=4).propose(BATCH[:1], 2, [0])
    )


def test_training_mode_is_left_as_it_was(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone, max_new_tokens=4)
    backbone.model.train()
    try:
        policy.propose(BATCH[:1], 1, [0])
        assert backbone.model.training
    finally:
        backbone.model.eval()


def test_ids_that_would_be_spelt_differently_again_are_counted(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone, temperature=3.0, max_new_tokens=40)
    (candidates,) = policy.propose(BATCH[:1], 60, [0], [[f"search[{FREE_TEXT}]"]])
    ended = [c for c in candidates if c.token_ids[-1] == backbone.end_id]
    drifted = [c for c in ended if tuple(backbone.action_ids(c.text)) != c.token_ids]  # broken UTF-8
    assert 0 < len(drifted) <= policy.statistics.drifted
    assert policy.statistics.candidates == 60
    assert policy.statistics.sampled_tokens == sum(len(c.token_ids) * c.count for c in candidates)


def test_a_reply_without_end_is_kept_and_marked(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone, max_new_tokens=2)
    (candidates,) = policy.propose(BATCH[:1], 4, [0], [[f"search[{FREE_TEXT}]"]])
    assert all("no end within max_new_tokens=2" in str(c.error) for c in candidates if not c.valid)
    assert any(not c.valid for c in candidates)


def test_states_without_a_choice_never_reach_the_model(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone)
    (candidates,) = policy.propose(BATCH[:1], 8, [0], [["click[only]"]])
    assert [(c.action, c.count, c.logprob) for c in candidates] == [("click[only]", 8, 0.0)]
    assert policy.statistics.forwards == 0


def test_impossible_settings_and_requests_are_refused(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone)
    with pytest.raises(CandidateError, match="n=0"):
        policy.propose(BATCH[:1], 0, [0])
    with pytest.raises(CandidateError, match="state 1: the list of admissible actions is empty"):
        policy.propose(BATCH[:2], 1, [0, 1], [None, []])
    with pytest.raises(CandidateError, match=r"temperature 0 with n=2.*n=1"):
        HuggingFacePolicy(backbone, temperature=0).propose(BATCH[:1], 2, [0])
    with pytest.raises(CandidateError, match="temperature=-1"):
        HuggingFacePolicy(backbone, temperature=-1)
    for top_p in (0.0, 1.5, -0.1):
        with pytest.raises(CandidateError, match="top_p="):
            HuggingFacePolicy(backbone, top_p=top_p)
    with pytest.raises(ConfigError, match="max_new_tokens=0"):
        HuggingFacePolicy(backbone, max_new_tokens=0)
    assert policy.propose([], 3, []) == []


def test_a_prompt_that_does_not_fit_is_refused_not_cut(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone)
    long = [{"role": "user", "content": "y" * 2040}]
    with pytest.raises(
        CandidateError, match=r"state 0: its prompt has 20\d\d tokens, but the model has 2048"
    ):
        policy.propose([long], 1, [0])
