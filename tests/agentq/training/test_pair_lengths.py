"""What trl would cut or drop is an error, and pairs of one length share a batch."""

from __future__ import annotations

import numpy as np
import pytest

from agentq.backbones import BackboneConfig, load_backbone
from agentq.errors import TrainingError
from agentq.training.pair_lengths import check_nothing_lost, length_groups, needed_length, pair_lengths


def prepared(prompt: int, chosen: int, rejected: int) -> dict[str, list[int]]:
    return {"prompt_ids": [1] * prompt, "chosen_ids": [1] * chosen, "rejected_ids": [1] * rejected}


def test_a_dropped_row_or_a_cut_reply_is_an_error() -> None:
    check_nothing_lost([prepared(5, 3, 2)] * 2, 2, 8)
    with pytest.raises(TrainingError, match="1 of 2 pairs"):
        check_nothing_lost([prepared(5, 3, 2)], 2, 8)
    with pytest.raises(TrainingError, match="lose its end"):
        check_nothing_lost([prepared(5, 2, 2), prepared(5, 2, 4)], 2, 8)
    with pytest.raises(TrainingError, match="lose its end"):
        check_nothing_lost([prepared(5, 0, 2)], 1, 8)


def test_the_length_is_that_of_the_longest_pair() -> None:
    backbone = load_backbone(BackboneConfig(device="cpu"))
    prompts = [[{"role": "user", "content": f"Goal: a {word}"}] for word in ("mug", "very large red mug")]
    replies = ["click[second]", "click[first]"]
    rows = [
        {"prompt": prompt, "chosen": [{"content": replies[0]}], "rejected": [{"content": replies[1]}]}
        for prompt in prompts
    ]
    lengths = pair_lengths(rows, backbone)
    reply = max(len(backbone.action_ids(text)) for text in replies)
    assert lengths == [len(backbone.prompt_ids(prompt)) + reply for prompt in prompts]
    assert max(lengths) <= needed_length(lengths, backbone, 0) <= max(lengths) + 8
    with pytest.raises(TrainingError, match="only 20 are allowed"):
        needed_length([25, 12], backbone, 20)
    with pytest.raises(TrainingError, match=f"longest pair has {backbone.max_length + 1} tokens"):
        needed_length([backbone.max_length + 1], backbone, 0)
    with pytest.raises(TrainingError, match="no pairs"):
        needed_length([], backbone, 0)


@pytest.mark.parametrize("count", [0, 1, 8, 203])
def test_groups_hold_every_pair_once(count: int) -> None:
    lengths = list(np.random.default_rng(1).integers(50, 500, count))
    order = length_groups(lengths, 8, seed=3)
    assert sorted(order) == list(range(count))
    assert order == length_groups(lengths, 8, seed=3)
    assert count < 9 or order != length_groups(lengths, 8, seed=4)


def test_pairs_of_a_group_have_about_one_length() -> None:
    lengths = np.random.default_rng(1).integers(50, 500, 803)
    order = np.array(length_groups(list(lengths), 8, seed=0))
    groups = lengths[order[:800]].reshape(-1, 8)
    padded = groups.max(1).sum() * 8 / groups.sum()
    unsorted = lengths[:800].reshape(-1, 8)
    assert padded < 1.15 < 1.5 < unsorted.max(1).sum() * 8 / unsorted.sum()
    means = groups.mean(1)
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3  # groups come in no order of length


def test_a_group_of_no_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="size=0"):
        length_groups([3, 4], 0, seed=0)
