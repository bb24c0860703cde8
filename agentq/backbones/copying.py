"""Heads that copy, built into a small Qwen3 before training.

Much of what an agent writes it copies from its prompt: words of the goal into a search, a button of the page
into a click. The circuit for it, a head that looks one token back followed by a head that looks for what
followed an equal token ("induction heads", Olsson et al. 2022, arXiv 2209.11895), forms by itself only after
far more tokens than a small model is worth. Starting from weights that already do something sensible is known
to help ("mimetic initialization", Trockman and Kolter 2023, arXiv 2305.09828); here it is this circuit.
Everything stays trainable, and the architecture is the standard one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from agentq.errors import ConfigError

_CONSTANT = 0.3  # of embedding dimension 0, equal for all tokens: what a position-only query is made from
_CONTENT = 0.08  # standard deviation of the other embedding dimensions
_LOOK_BACK = 4  # highest rotary frequencies that locate the token before
_SHARPNESS = (2.0, 1.5)  # query and key norms of layers 0 and 1
_GAINS = (0.06, 0.25)  # of the outputs of both heads


def build_copying_heads(model: Any, seed: int = 0) -> None:
    """Give head 0 of layers 0 and 1 of an untrained Qwen3 the weights of an induction circuit, in place.

    The last ``head_dim`` dimensions of the residual stream (width D) are set free for what layer 0 writes:
    the embedding of the token before, projected to ``head_dim``. Raises ``ConfigError`` for a model with
    fewer than two layers or too narrow for that.
    """
    config = model.config
    width, head = int(config.hidden_size), int(config.head_dim)
    content = width - head  # dimensions 1..content-1 tell tokens apart
    if config.num_hidden_layers < 2 or head > content - 1 or head % 4:
        raise ConfigError(
            f"copying heads need 2 layers and head_dim <= (hidden_size - 1) / 2, a multiple of 4; this model has "
            f"{config.num_hidden_layers} layers, head_dim={head}, hidden_size={width}. Choose other sizes."
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        embeddings: Tensor = model.get_input_embeddings().weight
        embeddings.normal_(0.0, _CONTENT, generator=generator)
        embeddings[:, 0] = _CONSTANT
        embeddings[:, content:] = 0.0
        read = _rows(content - 1, head, generator)  # (head, content - 1), orthonormal rows
        _look_back(model.model.layers[0].self_attn, read, content, float(_theta(config)))
        _look_up(model.model.layers[1].self_attn, read, content, generator)


def _look_back(attention: Any, read: Tensor, content: int, theta: float) -> None:
    """Head 0 attends to the token before, whatever it is, and writes its content behind ``content``."""
    head = len(read)
    half = head // 2
    frequency = theta ** (-torch.arange(half) / half)[:_LOOK_BACK]
    query, key = torch.zeros(head), torch.zeros(head)
    # Rotated by one position less than the key's: the product is largest at a distance of one.
    query[:_LOOK_BACK], query[half : half + _LOOK_BACK] = torch.cos(frequency), -torch.sin(frequency)
    key[:_LOOK_BACK] = 1.0
    _sharpen(attention, _SHARPNESS[0])
    for projection, vector in ((attention.q_proj, query), (attention.k_proj, key)):
        projection.weight[:head] = 0.0
        projection.weight[:head, 0] = vector
    attention.v_proj.weight[:head] = 0.0
    attention.v_proj.weight[:head, 1:content] = read
    attention.o_proj.weight[:, :head] = 0.0
    attention.o_proj.weight[content:, :head] = _GAINS[0] * torch.eye(head)


def _look_up(attention: Any, read: Tensor, content: int, generator: torch.Generator) -> None:
    """Head 0 attends to tokens whose predecessor equals the current token, and copies their content."""
    head = len(read)
    half = head // 2
    # The lowest frequencies hardly rotate over a prompt, so equal contents match at any distance.
    slow = [*range(half // 2, half), *range(half + half // 2, head)]
    mix = torch.randn((len(slow), head), generator=generator) / head**0.5
    _sharpen(attention, _SHARPNESS[1])
    attention.q_proj.weight[:head] = 0.0
    attention.q_proj.weight[slow, 1:content] = mix @ read
    attention.k_proj.weight[:head] = 0.0
    attention.k_proj.weight[slow, content:] = mix
    copied = _rows(content - 1, head, generator)
    attention.v_proj.weight[:head] = 0.0
    attention.v_proj.weight[:head, 1:content] = copied
    attention.o_proj.weight[:, :head] = 0.0
    attention.o_proj.weight[1:content, :head] = _GAINS[1] * copied.T


def _sharpen(attention: Any, norm: float) -> None:
    attention.q_norm.weight.fill_(norm)
    attention.k_norm.weight.fill_(norm)


def _rows(width: int, count: int, generator: torch.Generator) -> Tensor:
    """(count, width) with orthonormal rows."""
    return torch.linalg.qr(torch.randn((width, count), generator=generator))[0].T


def _theta(config: Any) -> float:
    parameters = getattr(config, "rope_parameters", None)
    return float(parameters["rope_theta"] if parameters else config.rope_theta)
