"""The wide layer equals nn.Linear: outputs, gradients, accumulation, copies."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from agentq.objectives import wide_linear
from agentq.objectives.polyak import target_copy
from agentq.objectives.wide_linear import WideLinear


def pair(bias: bool = True) -> tuple[nn.Linear, WideLinear]:
    torch.manual_seed(0)
    plain = nn.Linear(33, 17, bias=bias)
    wide = WideLinear(33, 17, bias=bias)
    wide.load_state_dict(plain.state_dict())
    return plain, wide


def loss(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.relu(layer(x)).square().sum()


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_linear_over_steps_and_micro_batches(
    bias: bool, onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide_linear, "_ONEDNN", onednn and wide_linear._ONEDNN)
    layers = pair(bias)
    optimizers = [torch.optim.Adam(layer.parameters(), lr=0.01) for layer in layers]
    for step in range(3):
        inputs = [
            torch.randn(8, 33, generator=torch.Generator().manual_seed(10 * step + i)) for i in range(2)
        ]
        leaves = [[x.clone().requires_grad_() for x in inputs] for _ in layers]
        for layer, xs in zip(layers, leaves, strict=True):
            for x in xs:
                loss(layer, x).backward()
        for mine, theirs in zip(*leaves, strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5)
        for a, b in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    for a, b in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_gradient_buffer_is_reused_and_starts_afresh() -> None:
    _, wide = pair()
    x = torch.randn(4, 33)
    loss(wide, x).backward()
    assert wide.weight.grad is not None
    first, place = wide.weight.grad.clone(), wide.weight.grad.data_ptr()
    wide.zero_grad(set_to_none=True)
    loss(wide, x).backward()
    assert wide.weight.grad is not None
    assert wide.weight.grad.data_ptr() == place
    torch.testing.assert_close(wide.weight.grad, first)


def test_frozen_weights_still_pass_gradients_on() -> None:
    plain, wide = pair()
    wide.requires_grad_(False)
    x, y = (torch.randn(4, 33, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2))
    loss(plain, x).backward()
    loss(wide, y).backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-5)
    assert wide.weight.grad is None


@pytest.mark.parametrize(
    "x", [torch.randn(2, 3, 33), torch.randn(4, 33, dtype=torch.float64)], ids=["3d", "f64"]
)
def test_other_inputs_take_the_ordinary_path(x: Tensor) -> None:
    plain, wide = pair()
    plain, wide = plain.to(x.dtype), wide.to(x.dtype)
    torch.testing.assert_close(wide(x), plain(x))
    loss(wide, x).backward()
    assert wide.weight.grad is not None


def test_copies_leave_the_buffer_behind() -> None:
    _, wide = pair()
    loss(wide, torch.randn(4, 33)).backward()
    assert copy.deepcopy(wide)._gradient is None
    assert target_copy(wide).weight.grad is None
    assert list(wide.state_dict()) == ["weight", "bias"]
