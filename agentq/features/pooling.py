"""From hidden states of a sequence to one vector: pure functions, joined by name ("last+mean")."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from agentq.errors import ConfigError, FeatureError

#: (hidden (B, T, D), mask (B, T)) -> (B, D)
_Pool = Callable[[Tensor, Tensor], Tensor]


def last(hidden: Tensor, mask: Tensor) -> Tensor:
    """The hidden state of the last token in ``mask`` (B, T): (B, T, D) -> (B, D)."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    index = torch.where(mask, positions, -1).amax(dim=1)  # (B,)
    return hidden[torch.arange(len(hidden), device=hidden.device), index]


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens in ``mask`` (B, T), in float32 or wider: (B, T, D) -> (B, D)."""
    wide = hidden if hidden.dtype == torch.float64 else hidden.float()
    weight = mask.to(wide.dtype)[..., None]  # (B, T, 1)
    # where, not a product: a padding token may hold NaN, and NaN times zero is NaN
    total = torch.where(mask[..., None], wide, torch.zeros((), dtype=wide.dtype, device=wide.device)).sum(
        dim=1
    )
    return total / weight.sum(dim=1)


def first(hidden: Tensor, mask: Tensor) -> Tensor:
    """The first token in ``mask`` (B, T), an encoder's CLS: (B, T, D) -> (B, D)."""
    return hidden[torch.arange(len(hidden), device=hidden.device), mask.int().argmax(dim=1)]


_OF_ACTION: dict[str, _Pool] = {"last": last, "mean": mean}  # over the action's tokens
_OF_ALL: dict[str, _Pool] = {"mean_all": mean, "first": first, "cls": first}  # over all real tokens


def check_pooling(name: str) -> tuple[str, ...]:
    """The parts of a pooling's name. Raises ``ConfigError`` for an unknown one."""
    parts = tuple(part.strip() for part in name.split("+"))
    for part in parts:
        if part not in _OF_ACTION and part not in _OF_ALL:
            known = ", ".join([*_OF_ACTION, *_OF_ALL])
            raise ConfigError(
                f"pooling {part!r} is unknown. Expected one of {known}, or several joined by '+'."
            )
    return parts


def reads_action_only(name: str) -> bool:
    """Whether every part of a pooling looks at the action's tokens alone."""
    return all(part in _OF_ACTION for part in check_pooling(name))


def pool(hidden: Tensor, mask: Tensor, name: str, attention: Tensor | None = None) -> Tensor:
    """Pool (B, T, D) to (B, D * parts); ``mask`` (B, T) marks action tokens, ``attention`` all real ones.

    "last" and "mean" look at the action, "mean_all" and "first" (or "cls") at the whole sequence. Raises
    ``FeatureError`` for a row without tokens, or when "mean_all" or "first" is asked for but only a part of
    the sequence is here (``attention`` is None); ``ConfigError`` for an unknown name.
    """
    parts = check_pooling(name)
    if not bool(mask.any(dim=1).all()):
        row = int((~mask.any(dim=1)).nonzero()[0])
        raise FeatureError(
            f"row {row} has no tokens to pool. Give every action at least its end-of-turn token."
        )
    pooled: list[Tensor] = []
    for part in parts:
        if part in _OF_ACTION:
            pooled.append(_OF_ACTION[part](hidden, mask))
        elif attention is None:
            raise FeatureError(
                f"pooling {part!r} needs the whole sequence, but with a shared prefix only the action's "
                "hidden states are computed. Use last or mean, or score one by one."
            )
        else:
            pooled.append(_OF_ALL[part](hidden, attention))
    return torch.cat([part.to(pooled[0].dtype) for part in pooled], dim=-1) if len(pooled) > 1 else pooled[0]
