"""Hidden states of N candidate actions at the cost of about one sequence.

The prompt of a state is read once. Its candidates stand behind it in one row, merged where they begin
alike; a mask lets every token see the prompt and its own candidate only, and positions restart behind
the prompt. In exact arithmetic this equals reading every (prompt, candidate) by itself, and in float32
it does to about 1e-6 (``one_by_one`` is the reference that the tests compare with). For L prompt tokens
and N candidates of a tokens it reads L + N a tokens instead of N (L + a).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from agentq.backbones.backbone import Backbone
from agentq.errors import BackboneError, ConfigError
from agentq.scoring.key_values import KeyValueBuffers, additive
from agentq.scoring.packing import PackedCandidates, pack
from agentq.scoring.support import decoder_of, require_sharing

#: (hidden (B, T, D), action mask (B, T)) -> (B, D')
Pooling: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Method = Literal["shared", "one_by_one"]


@dataclass(frozen=True, slots=True)
class _State:
    index: int
    prompt: Sequence[int]
    packed: PackedCandidates

    @property
    def width(self) -> int:
        return len(self.prompt) + len(self.packed.ids)


def score_features(
    backbone: Backbone,
    prompt_ids: Sequence[Sequence[int]],
    candidate_ids: Sequence[Sequence[Sequence[int]]],
    layers: Sequence[int],
    pooling: str | Pooling,
    *,
    method: Method = "shared",
    max_batch_tokens: int = 8192,
) -> list[Tensor]:
    """Pooled hidden states of every candidate: one (N_s, D) tensor per state.

    ``layers`` are hidden-state numbers (0: embeddings, ``backbone.num_layers`` or -1: the last, after the
    final norm); several are joined along D. ``pooling`` is a name of ``agentq.features.pooling`` or a
    function of the hidden states (N, 1 + T, D) and the mask of action tokens (N, 1 + T); column 0 is the
    prompt's last token. ``max_batch_tokens`` bounds the padded tokens of one pass. Gradients flow into
    the backbone when they are enabled. Raises ``BackboneError`` for a model that cannot share a prompt
    unless ``method="one_by_one"``, ``CandidateError`` for a state without candidates or one without tokens.
    """
    if len(prompt_ids) != len(candidate_ids):
        raise ConfigError(f"{len(prompt_ids)} prompts for {len(candidate_ids)} lists of candidates.")
    if method == "one_by_one":
        from agentq.scoring.one_by_one import score_features as reference

        return reference(backbone, prompt_ids, candidate_ids, layers, pooling)
    wanted = layer_numbers(backbone, layers)
    function = pooling_function(pooling)
    states = [
        _State(index, prompt, pack(candidates, index))
        for index, (prompt, candidates) in enumerate(zip(prompt_ids, candidate_ids, strict=True))
    ]
    if not states:
        return []
    check_lengths(backbone, prompt_ids, candidate_ids)
    longest = max(len(s.prompt) + s.packed.longest for s in states)
    require_sharing(backbone, longest, "method='one_by_one'")
    learning = torch.is_grad_enabled() and any(p.requires_grad for p in backbone.model.parameters())
    result: list[Tensor | None] = [None] * len(states)
    for group in _groups(states, max_batch_tokens):
        # One pass works with activation checkpointing, which drops a cache; without gradients two
        # passes save the attention that a masked square computes in vain.
        hidden = _one_pass(backbone, group, wanted) if learning else _two_passes(backbone, group, wanted)
        for state, layered in zip(group, hidden, strict=True):
            result[state.index] = pooled(layered, state.packed, function)
    return [features for features in result if features is not None]


def layer_numbers(backbone: Backbone, layers: Sequence[int]) -> tuple[int, ...]:
    """Hidden-state numbers in [0, num_layers] for ones that may count from the end."""
    count = backbone.num_layers + 1
    if not layers or not all(-count <= layer < count for layer in layers):
        raise BackboneError(
            f"layers={tuple(layers)} do not exist in {backbone.config.name!r}: expected at least one of "
            f"0 (embeddings) to {count - 1}, or -1 to {-count} from the end."
        )
    return tuple(layer % count for layer in layers)


def pooling_function(pooling: str | Pooling) -> Pooling:
    """A pooling by its name, or as it is."""
    if not isinstance(pooling, str):
        return pooling
    from agentq.features.pooling import pool

    return lambda hidden, mask: pool(hidden, mask, pooling)


def check_lengths(
    backbone: Backbone, prompt_ids: Sequence[Sequence[int]], candidate_ids: Sequence[Sequence[Sequence[int]]]
) -> None:
    """Raise ``BackboneError`` for an empty prompt or a sequence longer than the model reads."""
    for index, (prompt, candidates) in enumerate(zip(prompt_ids, candidate_ids, strict=True)):
        longest = len(prompt) + max(map(len, candidates))
        if not prompt or longest > backbone.max_length:
            raise BackboneError(
                f"state {index}: prompt of {len(prompt)} tokens, {longest} with its longest candidate; "
                f"{backbone.config.name!r} reads 1 to {backbone.max_length}. Render shorter observations."
            )


def hidden_layers(decoder: Any, layers: Sequence[int], **inputs: Any) -> Tensor:
    """(B, T, len(layers), D) hidden states of the wanted layers."""
    last = int(decoder.config.num_hidden_layers)
    if all(layer == last for layer in layers):
        return decoder(**inputs).last_hidden_state[:, :, None].expand(-1, -1, len(layers), -1)
    output = decoder(**inputs, output_hidden_states=True)
    states = [output.last_hidden_state if layer == last else output.hidden_states[layer] for layer in layers]
    return torch.stack(states, dim=2)


def _groups(states: Sequence[_State], budget: int) -> Iterator[list[_State]]:
    """States of similar length together, at most ``budget`` padded tokens."""
    group: list[_State] = []
    for state in sorted(states, key=lambda s: s.width):
        if group and (len(group) + 1) * state.width > budget:
            yield group
            group = []
        group.append(state)
    if group:
        yield group


def _one_pass(backbone: Backbone, group: Sequence[_State], layers: Sequence[int]) -> list[Tensor]:
    """Per state (1 + Q, len(layers), D): the prompt's last token, then the candidates' tree."""
    width = max(state.width for state in group)
    ids, positions = (torch.zeros((len(group), width), dtype=torch.long) for _ in range(2))
    mask = torch.eye(width, dtype=torch.bool).repeat(len(group), 1, 1)  # padding sees itself
    causal = torch.ones((width, width), dtype=torch.bool).tril()
    for b, state in enumerate(group):
        start, end = len(state.prompt), state.width
        ids[b, :end] = torch.tensor([*state.prompt, *state.packed.ids])
        positions[b, :end] = torch.tensor([*range(start), *(start + d for d in state.packed.depths)])
        mask[b, :end, :start] = causal[:end, :start]
        mask[b, start:end, start:end] = state.packed.visible
    device = backbone.device
    hidden = hidden_layers(
        decoder_of(backbone.model),
        layers,
        input_ids=ids.to(device),
        position_ids=positions.to(device),
        attention_mask=_to_mask(backbone, mask[:, None]),
        use_cache=False,
    )
    return [hidden[b, len(state.prompt) - 1 : state.width] for b, state in enumerate(group)]


def _two_passes(backbone: Backbone, group: Sequence[_State], layers: Sequence[int]) -> list[Tensor]:
    """As ``_one_pass``: prompts first, by plain causal attention, then the trees against the cache."""
    device, decoder = backbone.device, decoder_of(backbone.model)
    left = max(len(state.prompt) for state in group)
    width = max(len(state.packed.ids) for state in group)
    prompts = torch.zeros((len(group), left), dtype=torch.long)
    ids, positions = (torch.zeros((len(group), width), dtype=torch.long) for _ in range(2))
    mask = torch.zeros((len(group), width, left + width), dtype=torch.bool)
    mask[:, :, left:] = torch.eye(width, dtype=torch.bool)  # padding sees itself
    for b, state in enumerate(group):
        length, count = len(state.prompt), len(state.packed.ids)
        prompts[b, :length] = torch.tensor(state.prompt)
        prompts[b, length:] = state.prompt[-1]  # on the right, where no token of the prompt looks
        ids[b, :count] = torch.tensor(state.packed.ids)
        positions[b, :count] = torch.tensor(state.packed.depths) + length
        mask[b, :count, :length] = True
        mask[b, :count, left : left + count] = state.packed.visible
    cache = KeyValueBuffers(room=width)
    before = hidden_layers(
        decoder,
        layers,
        input_ids=prompts.to(device),
        position_ids=torch.arange(left, device=device)[None],
        past_key_values=cache,
        use_cache=True,
    )
    behind = hidden_layers(
        decoder,
        layers,
        input_ids=ids.to(device),
        position_ids=positions.to(device),
        attention_mask=_to_mask(backbone, mask[:, None]),
        past_key_values=cache,
        use_cache=True,
    )
    return [
        torch.cat([before[b, len(s.prompt) - 1][None], behind[b, : len(s.packed.ids)]])
        for b, s in enumerate(group)
    ]


def _to_mask(backbone: Backbone, mask: Tensor) -> Tensor:
    moved = mask.to(backbone.device)
    eager = decoder_of(backbone.model).config._attn_implementation == "eager"
    return additive(moved, next(backbone.model.parameters()).dtype) if eager else moved


def pooled(hidden: Tensor, packed: PackedCandidates, pooling: Pooling) -> Tensor:
    """(N, D * len(layers)) of the candidates from (1 + Q, len(layers), D) of last prompt token and tree."""
    size = (len(packed.paths), 1 + packed.longest)
    source, action = torch.zeros(size, dtype=torch.long), torch.zeros(size, dtype=torch.bool)
    for row, path in enumerate(packed.paths):
        source[row, 1 : 1 + len(path)] = torch.tensor(path) + 1
        action[row, 1 : 1 + len(path)] = True
    spread = hidden[source.to(hidden.device)]  # (N, 1 + T, len(layers), D)
    mask = action.to(hidden.device)
    return torch.cat([pooling(spread[:, :, i], mask) for i in range(spread.shape[2])], dim=-1)
