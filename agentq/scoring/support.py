"""Whether a model can compute several continuations behind one prompt."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from agentq.backbones.backbone import Backbone
from agentq.errors import BackboneError


def decoder_of(model: Any) -> Any:
    """The transformer without its output layer."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    return decoder if decoder is not None else getattr(model, model.base_model_prefix)


def sharing_problem(backbone: Backbone, longest: int) -> str | None:
    """Why continuations cannot share a prompt of this model, or None when they can.

    ``longest`` is the longest sequence in tokens: a sliding window at least as wide changes nothing.
    """
    if backbone.kind != "causal":
        return f"{backbone.config.name!r} is an encoder, which reads state and action apart"
    decoder = decoder_of(backbone.model)
    config: Any = decoder.config
    lacking = _lacking(type(decoder))
    if lacking:
        return f"{type(decoder).__name__} takes no {' or '.join(lacking)}"
    attention = getattr(config, "_attn_implementation", "eager")
    if attention not in ("sdpa", "eager"):
        return f"attention {attention!r} takes no mask by token pairs (load with attn_implementation='sdpa')"
    types = set(getattr(config, "layer_types", None) or ["full_attention"])
    odd = sorted(types - {"full_attention", "sliding_attention"})
    if odd:
        return f"{type(decoder).__name__} has layers of type {', '.join(odd)}"
    window = getattr(config, "sliding_window", None)
    if getattr(config, "use_sliding_window", True) and window is not None and window < longest:
        return f"its sliding window of {window} tokens is shorter than a sequence of {longest}"
    return None


def require_sharing(backbone: Backbone, longest: int, option: str) -> None:
    """Raise ``BackboneError`` naming ``option``, the setting that computes every sequence by itself."""
    problem = sharing_problem(backbone, longest)
    if problem is not None:
        raise BackboneError(
            f"continuations cannot share the prompt of {backbone.config.name!r}: {problem}. "
            f"Set {option} to compute every sequence by itself, which is slower and gives the same result."
        )


@cache
def _lacking(cls: type[Any]) -> tuple[str, ...]:
    """Arguments of ``forward`` that sharing needs and a class does not take; inspecting it takes a while."""
    parameters = inspect.signature(inspect.unwrap(cls.forward)).parameters
    return tuple(name for name in ("position_ids", "past_key_values") if name not in parameters)
