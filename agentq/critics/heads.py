"""Value heads: K independent MLPs on features of (state, action), optional ones on features of the state.

All K heads are evaluated by one batched matrix product per layer. They share nothing, not even an output
layer or an initialisation seed: the minimum over heads is only pessimistic where their errors differ
(A3 of the Hume notes: a shared output layer makes critics less independent than they look).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agentq.errors import ConfigError, FeatureError

Output = Literal["regression", "logit"]
_ACTIVATIONS = {"gelu": functional.gelu, "relu": functional.relu}
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """Shape of the value heads."""

    heads: int = 2  # K, independent Q heads
    hidden: tuple[int, ...] = (256, 256)  # widths of the hidden layers
    activation: Literal["gelu", "relu"] = "gelu"
    input_norm: bool = True  # LayerNorm of the standardised features
    hidden_norm: bool = True  # LayerNorm in front of each activation
    dropout: float = 0.0  # of hidden activations, while training
    output: Output = "regression"  # logit: the value is sigmoid(output), trained with cross entropy
    state_heads: int = 0  # V heads on features of the state alone
    seed: int = 0  # head i is initialised from (seed, i)

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise ConfigError(f"heads={self.heads}: expected at least 1; 2 or more allow pessimism.")
        if any(width < 1 for width in self.hidden):
            raise ConfigError(f"hidden={self.hidden}: every width must be at least 1.")
        if self.activation not in _ACTIVATIONS:
            raise ConfigError(f"activation={self.activation!r}: expected one of {sorted(_ACTIVATIONS)}.")
        if self.output not in ("regression", "logit"):
            raise ConfigError(f"output={self.output!r}: expected 'regression' or 'logit'.")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout={self.dropout}: expected a number in [0, 1).")


class HeadStack(nn.Module):
    """K MLPs on the same input, computed together: features (..., D) -> raw outputs (K, ...)."""

    mean: Tensor  # (D,)
    std: Tensor  # (D,)

    def __init__(self, inputs: int, count: int, settings: HeadSettings, seed: int) -> None:
        super().__init__()
        self.inputs, self.count, self.settings = inputs, count, settings
        widths = [inputs, *settings.hidden, 1]
        generators = [torch.Generator().manual_seed(_stream(seed, head)) for head in range(count)]
        self.weights = nn.ParameterList()  # (K, in, out) each
        self.biases = nn.ParameterList()  # (K, 1, out) each
        self.gains = nn.ParameterList()  # (K, 1, hidden) each, of the hidden norms
        self.shifts = nn.ParameterList()
        for fan_in, fan_out in pairwise(widths):
            bound = 1 / math.sqrt(fan_in)
            for parameters, rows in ((self.weights, fan_in), (self.biases, 1)):
                drawn = [torch.rand(rows, fan_out, generator=g) * 2 * bound - bound for g in generators]
                parameters.append(nn.Parameter(torch.stack(drawn)))
        if settings.hidden_norm:
            for width in settings.hidden:
                self.gains.append(nn.Parameter(torch.ones(count, 1, width)))
                self.shifts.append(nn.Parameter(torch.zeros(count, 1, width)))
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))

    def forward(self, features: Tensor) -> Tensor:
        """(..., D) -> (K, ...)."""
        if features.shape[-1] != self.inputs:
            raise FeatureError(
                f"features have {features.shape[-1]} dimensions, but these heads were made for {self.inputs}. "
                "Use the layer, pooling and backbone the heads were trained with."
            )
        lead = features.shape[:-1]
        x = (features.reshape(-1, self.inputs).float() - self.mean) / self.std  # (B, D)
        if self.settings.input_norm:
            x = functional.layer_norm(x, (self.inputs,))
        h = x.expand(self.count, *x.shape)  # (K, B, D)
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h, weight)
            if layer < last:
                h = self._activate(h, layer)
        return h.squeeze(-1).reshape(self.count, *lead)

    def _activate(self, h: Tensor, layer: int) -> Tensor:
        if self.settings.hidden_norm:
            h = functional.layer_norm(h, h.shape[-1:]) * self.gains[layer] + self.shifts[layer]
        h = _ACTIVATIONS[self.settings.activation](h)
        return functional.dropout(h, self.settings.dropout, self.training)

    def standardise(self, mean: np.ndarray[Any, Any], std: np.ndarray[Any, Any]) -> None:
        """Set what is subtracted from and divided out of every feature: (D,), (D,)."""
        for name, value in (("mean", mean), ("std", std)):
            if not np.isfinite(value).all():
                raise FeatureError(
                    f"the {name} of the training features is not finite in {int((~np.isfinite(value)).sum())} "
                    "dimensions. Look for NaN or infinity in the features; float16 overflows at 65504."
                )
        self.mean.copy_(torch.as_tensor(mean, dtype=torch.float32))
        # A constant feature carries nothing; dividing by its tiny spread would blow up new values.
        spread = torch.as_tensor(std, dtype=torch.float32)
        self.std.copy_(torch.where(spread > _EPSILON, spread, torch.ones_like(spread)))


class QHeads(nn.Module):
    """Q heads on (state, action) features and optional V heads on state features.

    ``forward`` and ``states`` give what a loss needs: raw outputs (logits for ``output="logit"``).
    ``q_values`` and ``state_values`` give values. Shapes: (..., D) -> (K, ...).
    """

    def __init__(self, inputs: int, settings: HeadSettings | None = None, state_inputs: int | None = None):
        super().__init__()
        self.settings = settings or HeadSettings()
        self.inputs = inputs
        self.state_inputs = inputs if state_inputs is None else state_inputs
        self.q = HeadStack(inputs, self.settings.heads, self.settings, self.settings.seed)
        self.v: HeadStack | None = None
        if self.settings.state_heads:
            # An own stream, so that adding V heads leaves the Q heads' start unchanged.
            seed = _stream(self.settings.seed, -1)
            self.v = HeadStack(self.state_inputs, self.settings.state_heads, self.settings, seed)

    def forward(self, features: Tensor) -> Tensor:
        """Raw Q outputs: (..., D) -> (K, ...)."""
        return self.q(features)

    def states(self, features: Tensor) -> Tensor:
        """Raw V outputs: (..., Ds) -> (K_v, ...). Raises ``ConfigError`` without V heads."""
        if self.v is None:
            raise ConfigError("these heads have no state values. Set state_heads to the number of Q heads.")
        return self.v(features)

    def q_values(self, features: Tensor) -> Tensor:
        """Q of each head: (..., D) -> (K, ...); probabilities for logit heads."""
        return self.to_values(self(features))

    def state_values(self, features: Tensor) -> Tensor:
        """V of each head: (..., Ds) -> (K_v, ...)."""
        return self.to_values(self.states(features))

    def to_values(self, raw: Tensor) -> Tensor:
        """Raw outputs as values."""
        return torch.sigmoid(raw) if self.settings.output == "logit" else raw


def _stream(seed: int, index: int) -> int:
    """A seed of its own for stream ``index`` of ``seed``: the same on every machine."""
    return int(np.random.SeedSequence([seed, index + 1]).generate_state(1, np.uint64)[0] >> np.uint64(1))
