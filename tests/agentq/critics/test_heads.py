from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from agentq.critics.heads import HeadSettings, HeadStack, QHeads
from agentq.errors import ConfigError, FeatureError


def one_by_one(stack: HeadStack, x: torch.Tensor) -> torch.Tensor:
    """Each head as an ordinary torch network."""
    outputs: list[torch.Tensor] = []
    last = len(stack.weights) - 1
    for head in range(stack.count):
        h = nn.functional.layer_norm((x - stack.mean) / stack.std, (x.shape[-1],))
        for layer, (weight, bias) in enumerate(zip(stack.weights, stack.biases, strict=True)):
            h = nn.functional.linear(h, weight[head].T, bias[head, 0])
            if layer < last:
                gain, shift = stack.gains[layer][head, 0], stack.shifts[layer][head, 0]
                h = nn.functional.gelu(nn.functional.layer_norm(h, h.shape[-1:], gain, shift))
        outputs.append(h[:, 0])
    return torch.stack(outputs)


def test_batched_heads_equal_separate_networks() -> None:
    heads = QHeads(12, HeadSettings(heads=3, hidden=(8, 6)))
    heads.q.standardise(np.linspace(-1, 1, 12), np.linspace(0.5, 2, 12))
    with torch.no_grad():
        for parameter in [*heads.q.gains, *heads.q.shifts]:
            parameter.add_(torch.randn(parameter.shape))
    x = torch.randn(7, 12)
    torch.testing.assert_close(heads(x), one_by_one(heads.q, x))


def test_shapes_follow_the_leading_dimensions() -> None:
    heads = QHeads(5, HeadSettings(heads=4, hidden=(3,), state_heads=2), state_inputs=6)
    assert heads(torch.zeros(2, 3, 5)).shape == (4, 2, 3)
    assert heads(torch.zeros(5)).shape == (4,)
    assert heads.states(torch.zeros(9, 6)).shape == (2, 9)
    assert QHeads(5, HeadSettings(hidden=()))(torch.zeros(2, 5)).shape == (2, 2)


def test_heads_differ_from_each_other_and_depend_on_their_own_seed_only() -> None:
    two, four = (QHeads(6, HeadSettings(heads=n, hidden=(4,))) for n in (2, 4))
    with_states = QHeads(6, HeadSettings(heads=2, hidden=(4,), state_heads=2))
    first = two.q.weights[0]
    assert not torch.equal(first[0], first[1])
    assert torch.equal(first, four.q.weights[0][:2])
    assert torch.equal(first, with_states.q.weights[0])
    assert not torch.equal(first, QHeads(6, HeadSettings(hidden=(4,), seed=1)).q.weights[0])
    assert with_states.v is not None
    assert not torch.equal(first, with_states.v.weights[0])


def test_no_head_moves_another() -> None:
    heads = QHeads(6, HeadSettings(heads=3, hidden=(4,)))
    heads(torch.randn(5, 6))[1].sum().backward()
    touched = [
        parameter.grad.abs().sum(dim=(1, 2))
        for parameter in heads.q.parameters()
        if parameter.grad is not None
    ]
    assert all(grad[0] == grad[2] == 0 for grad in touched)
    assert any(grad[1] > 0 for grad in touched)


def test_logit_values_are_probabilities() -> None:
    heads = QHeads(6, HeadSettings(output="logit"))
    x = torch.randn(50, 6) * 10
    torch.testing.assert_close(heads.q_values(x), torch.sigmoid(heads(x)))
    assert torch.equal(QHeads(6).q_values(x), QHeads(6)(x))


def test_constant_features_do_not_blow_up() -> None:
    heads = QHeads(3, HeadSettings(input_norm=False))
    heads.q.standardise(np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 1e-12]))
    assert heads.q.std.tolist() == [1.0, 1.0, 1.0]


def test_dropout_only_while_training() -> None:
    heads = QHeads(6, HeadSettings(dropout=0.5))
    x = torch.randn(4, 6)
    assert not torch.equal(heads(x), heads(x))
    heads.eval()
    assert torch.equal(heads(x), heads(x))


def test_wrong_input_is_named() -> None:
    with pytest.raises(FeatureError, match="7 dimensions, but these heads were made for 6"):
        QHeads(6)(torch.zeros(1, 7))
    with pytest.raises(FeatureError, match="not finite in 1 dimensions"):
        QHeads(2).q.standardise(np.array([0.0, np.nan]), np.ones(2))
    with pytest.raises(ConfigError, match="no state values"):
        QHeads(6).states(torch.zeros(1, 6))


@pytest.mark.parametrize(
    "settings", [{"heads": 0}, {"hidden": (0,)}, {"activation": "tanh"}, {"output": "x"}, {"dropout": 1.0}]
)
def test_impossible_settings(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        HeadSettings(**settings)  # type: ignore[arg-type]
