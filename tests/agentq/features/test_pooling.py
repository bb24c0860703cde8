from __future__ import annotations

import pytest
import torch

from agentq.errors import ConfigError, FeatureError
from agentq.features.pooling import pool

HIDDEN = torch.arange(24, dtype=torch.float32).reshape(2, 4, 3)  # (B, T, D)
ACTION = torch.tensor([[False, True, True, False], [False, False, True, True]])
ATTENTION = torch.tensor([[True, True, True, False], [True, True, True, True]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("last", [[6, 7, 8], [21, 22, 23]]),
        ("mean", [[4.5, 5.5, 6.5], [19.5, 20.5, 21.5]]),
        ("mean_all", [[3, 4, 5], [16.5, 17.5, 18.5]]),
        ("first", [[0, 1, 2], [12, 13, 14]]),
        ("cls", [[0, 1, 2], [12, 13, 14]]),
        ("last+mean", [[6, 7, 8, 4.5, 5.5, 6.5], [21, 22, 23, 19.5, 20.5, 21.5]]),
    ],
)
def test_each_pooling_reads_its_tokens(name: str, expected: list[list[float]]) -> None:
    assert pool(HIDDEN, ACTION, name, ATTENTION).tolist() == expected


@pytest.mark.parametrize("name", ["last", "mean", "mean_all", "first"])
def test_padding_never_leaks(name: str) -> None:
    dirty = HIDDEN.masked_fill(~ATTENTION[..., None], float("nan"))
    assert torch.equal(pool(dirty, ACTION, name, ATTENTION), pool(HIDDEN, ACTION, name, ATTENTION))


def test_impossible_poolings_are_named() -> None:
    with pytest.raises(ConfigError, match="pooling 'max' is unknown"):
        pool(HIDDEN, ACTION, "last+max")
    with pytest.raises(FeatureError, match="'mean_all' needs the whole sequence"):
        pool(HIDDEN, ACTION, "mean_all")
    with pytest.raises(FeatureError, match="row 1 has no tokens"):
        pool(HIDDEN, torch.tensor([[True] * 4, [False] * 4]), "mean")
