"""A linear layer for wide heads trained on a CPU, where memory traffic costs as much as arithmetic.

Same parameters, initialisation, outputs and gradients as ``nn.Linear`` (to rounding). Two things differ:

* the product of a small batch with a large weight goes to oneDNN, which keeps a CPU busy with as few as
  32 rows;
* the weight's gradient is written, and over micro-batches added, into one buffer that the layer keeps.
  Autograd would allocate the product (200 MB for a 7232 x 7232 weight, whose pages the system must clear)
  and add it up in another pass.

Hence the weight's gradient does not pass through autograd: hooks on the weight do not fire,
``torch.autograd.grad`` cannot ask for it, and distributed wrappers do not see it. Use it in one process,
with ``backward()``.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class WideLinear(nn.Linear):
    """y = x W^T + b for (B, in) float32 inputs on a CPU; any other case is ``nn.Linear``'s own."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)  # pyright: ignore[reportUnknownMemberType]
        self._gradient: Tensor | None = None  # reused after every zero_grad(set_to_none=True)

    def forward(self, input: Tensor) -> Tensor:
        """(B, in) -> (B, out)."""
        if not _is_wide_case(input, self.weight):
            return super().forward(input)
        if not (torch.is_grad_enabled() and self.weight.requires_grad):
            if torch.is_grad_enabled() and input.requires_grad:
                return super().forward(input)
            return _product(input, self.weight, self.bias)
        product = cast(Any, _WideProduct).apply  # torch's stub of apply is untyped
        return product(input, self.weight, self.bias, self)

    def add_weight_gradient(self, grad_output: Tensor, input: Tensor) -> None:
        """weight.grad += grad_output^T input, without a temporary of the weight's size."""
        with torch.no_grad():
            left = grad_output.T.contiguous()  # a copy of (B, out) is cheap and the product then faster
            if self.weight.grad is not None:
                self.weight.grad.addmm_(left, input)
                return
            if self._gradient is None or self._gradient.shape != self.weight.shape:
                self._gradient = torch.empty_like(self.weight)
            torch.mm(left, input, out=self._gradient)
            self.weight.grad = self._gradient

    def __getstate__(self) -> dict[str, Any]:
        # Copies (target networks) and pickles need no gradient buffer of the weight's size.
        return {**super().__getstate__(), "_gradient": None}


class _WideProduct(torch.autograd.Function):
    """The layer's product; gradients of input and bias are returned, that of the weight is added in place."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, layer: WideLinear) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.layer = layer
        return _product(input, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor | None, None, Tensor | None, None]:
        input, weight = ctx.saved_tensors
        ctx.layer.add_weight_gradient(grad, input)
        to_input = grad @ weight if ctx.needs_input_grad[0] else None
        return to_input, None, grad.sum(dim=0) if ctx.needs_input_grad[2] else None, None


def _is_wide_case(input: Tensor, weight: Tensor) -> bool:
    plain = input.ndim == 2 and input.dtype == weight.dtype == torch.float32
    return plain and input.device.type == weight.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def _product(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if _ONEDNN:
        return torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
    # Weight first: MKL splits the long side of the weight over threads, not the few rows of the batch.
    product = torch.mm(weight, input.T).T
    return product if bias is None else product + bias


_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
