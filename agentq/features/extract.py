"""Hidden states of a frozen backbone as features of (state, action) pairs and of states."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agentq.backbones.backbone import Backbone
from agentq.errors import ConfigError, FeatureError
from agentq.features.batches import evaluating, length_batches
from agentq.features.encoder import TextEncoder, Truncation
from agentq.features.key import Content, FeatureKey, id_of_texts, id_of_tokens
from agentq.features.pooling import check_pooling, pool, reads_action_only
from agentq.scoring.shared_prefix import score_features
from agentq.scoring.support import sharing_problem
from agentq.types import Messages

#: (messages, action text) -> text that is put behind the action, on a line of its own; "" adds nothing.
Grounding: TypeAlias = Callable[[Messages, str], str]
#: An action as text, or as the token ids that were sampled.
Action: TypeAlias = str | Sequence[int]
#: A state with an action, or alone (None).
Pair: TypeAlias = tuple[Messages, Action | None]
Features: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the backbone reads for one pair: two token sequences (causal) or two texts (encoder)."""

    id: bytes  # 16-byte address
    state: Any
    action: Any  # empty when the state is alone
    alone: bool


class FeatureExtractor:
    """Pooled hidden states of ``backbone``, right-padded in batches of similar length; no output layer.

    ``layer``: hidden-state number(s), 0 the embeddings, -1 the last after the final norm; several are joined.
    ``pooling``: see ``agentq.features.pooling``; an encoder takes "mean" or "cls". ``batch_tokens`` bounds
    the padded tokens of one forward pass. ``sharing`` reads a prompt once for all of its actions where the
    model and the pooling allow it, with the same result to about 1e-6. ``grounding`` adds text behind every
    action given as text, and ``grounding_name`` identifies it in the store. Width of a pair: layers x
    poolings x D (causal), 4 D for an encoder: [s, a, s*a, |s-a|]; of a state: layers x D at the prompt's
    last token, D for an encoder.
    Raises ``ConfigError`` for a layer or pooling that does not exist.
    """

    def __init__(
        self,
        backbone: Backbone,
        layer: int | Sequence[int] = -1,
        pooling: str = "last",
        batch_tokens: int = 4096,
        grounding: Grounding | None = None,
        grounding_name: str | None = None,
        truncation: Truncation = "error",
        dtype: Literal["float32", "float16"] = "float32",
        sharing: bool = True,
    ) -> None:
        self.backbone = backbone
        self.sharing = sharing
        self.layers = _layer_numbers((layer,) if isinstance(layer, int) else tuple(layer), backbone)
        self.pooling = "+".join(check_pooling(pooling))
        self.batch_tokens = batch_tokens
        self.grounding = grounding
        self.grounding_name = _name_of(grounding) if grounding_name is None else grounding_name
        self.truncation = truncation
        self.dtype: Literal["float32", "float16"] = dtype
        self._encoder = (
            TextEncoder(backbone, self.layers, self.pooling, batch_tokens, truncation)
            if backbone.kind == "encoder"
            else None
        )

    def key(self, content: Content = "pairs") -> FeatureKey:
        """The key of the store for these features. One pass over the weights: they may have been trained."""
        backbone = self.backbone
        return FeatureKey(
            backbone=backbone.hash_weights(),
            adapter=adapter_fingerprint(backbone.model),
            template=backbone.template_fingerprint,
            layers=self.layers,
            pooling=self.pooling if content == "pairs" or self._encoder else "last",
            content=content,
            grounding=self.grounding_name if content == "pairs" else "",
            truncation=self.truncation if self._encoder else "",
            dtype=self.dtype,
        )

    def prepare(self, pair: Pair) -> Prepared:
        """Tokens (or texts) and the address of a pair; ``FeatureError`` when it is too long or empty."""
        messages, action = pair
        if isinstance(action, str) and self.grounding is not None:
            behind = self.grounding(messages, action)
            action = f"{action}\n{behind}" if behind else action
        if self._encoder is not None:
            return self._prepare_texts(messages, action)
        prompt = self.backbone.prompt_ids(messages)
        ids = self.backbone.action_ids(action) if isinstance(action, str) else list(action or ())
        if not prompt or (action is not None and not ids):
            raise FeatureError(
                f"{_shown(pair)} has no tokens. Give a state, and at least the end-of-turn token."
            )
        if len(prompt) + len(ids) > self.backbone.max_length:
            raise FeatureError(
                f"{_shown(pair)} has {len(prompt)} + {len(ids)} tokens, but {self.backbone.config.name!r} "
                f"reads {self.backbone.max_length}. Render shorter observations or use a longer backbone."
            )
        return Prepared(id_of_tokens(prompt, ids), prompt, ids, action is None)

    def pairs(self, pairs: Sequence[Pair]) -> Features:
        """(n, width) float32 features of (messages, action) pairs, in order."""
        return self.compute([self.prepare(pair) for pair in pairs])

    def states(self, states: Sequence[Messages]) -> Features:
        """(n, width) float32 features of states alone, for V heads."""
        return self.compute([self.prepare((messages, None)) for messages in states])

    def compute(self, prepared: Sequence[Prepared]) -> Features:
        """(n, width) features of what ``prepare`` returned, in order; pairs and states are not mixed."""
        if not prepared:
            return np.zeros((0, 0), dtype=np.float32)
        if len({item.alone for item in prepared}) > 1:
            raise FeatureError("pairs and states have different features. Compute them in two calls.")
        if self._encoder is not None:
            return self._encoder.combine([(item.state, item.action) for item in prepared])
        siblings = self._siblings(prepared)
        together = {index for group in siblings for index in group}
        single = [index for index in range(len(prepared)) if index not in together]
        found: dict[int, Features] = {}
        with evaluating(self.backbone.model):
            for group, features in zip(siblings, self._shared(siblings, prepared), strict=True):
                found.update(zip(group, features, strict=True))
            lengths = [len(prepared[i].state) + len(prepared[i].action) for i in single]
            for batch in length_batches(lengths, self.batch_tokens):
                rows = [single[i] for i in batch]
                features = self._forward([prepared[i] for i in rows]).float().cpu().numpy()
                found.update(zip(rows, features, strict=True))
        return np.stack([found[index] for index in range(len(prepared))])

    def _siblings(self, prepared: Sequence[Prepared]) -> list[list[int]]:
        """Numbers of pairs that stand behind one prompt, where that saves anything and is possible."""
        if not self.sharing or prepared[0].alone or not reads_action_only(self.pooling):
            return []
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, item in enumerate(prepared):
            groups.setdefault(tuple(item.state), []).append(index)
        several = [group for group in groups.values() if len(group) > 1]
        longest = max(len(item.state) + len(item.action) for item in prepared)
        return [] if not several or sharing_problem(self.backbone, longest) else several

    def _shared(self, siblings: Sequence[Sequence[int]], prepared: Sequence[Prepared]) -> list[Features]:
        """(pairs, width) per group of pairs behind one prompt."""
        found = score_features(
            self.backbone,
            [prepared[group[0]].state for group in siblings],
            [[prepared[index].action for index in group] for group in siblings],
            self.layers,
            self.pooling,
            max_batch_tokens=self.batch_tokens,
        )
        return [features.float().cpu().numpy() for features in found]

    def _prepare_texts(self, messages: Messages, action: Action | None) -> Prepared:
        if not isinstance(action, str | None):
            action = self.backbone.decode(list(action))
        state = render_state(messages)
        texts = (state,) if action is None else (state, action)
        return Prepared(id_of_texts(*texts), state, action, action is None)

    def _forward(self, batch: Sequence[Prepared]) -> Tensor:
        """(B, width) of one batch."""
        device = self.backbone.device
        lengths = torch.tensor([len(item.state) + len(item.action) for item in batch])
        starts = torch.tensor([len(item.state) - int(item.alone) for item in batch])
        ids = np.full((len(batch), int(lengths.max())), self.backbone.pad_id, dtype=np.int64)
        for row, item in enumerate(batch):
            ids[row, : lengths[row]] = [*item.state, *item.action]
        positions = torch.arange(ids.shape[1])
        attention = (positions < lengths[:, None]).to(device)  # (B, T)
        action = attention & (positions >= starts[:, None]).to(device)  # a state alone: its last token
        pooling = "last" if batch[0].alone else self.pooling
        # No attention mask: padding stands on the right, where no token of a causal model looks.
        states = hidden_states(self.backbone.model, self.layers, input_ids=torch.from_numpy(ids).to(device))
        return torch.cat([pool(state, action, pooling, attention) for state in states], dim=-1)


def render_state(messages: Messages) -> str:
    """A state as plain text for an encoder: the messages' contents, a blank line between them."""
    for position, message in enumerate(messages):
        if not isinstance(message.get("content"), str):
            raise FeatureError(
                f"message {position} holds {type(message.get('content')).__name__} content; an encoder reads "
                "text. Render the observation as text."
            )
    return "\n\n".join(str(message["content"]) for message in messages)


def hidden_states(model: Any, layers: Sequence[int], **inputs: Tensor) -> list[Tensor]:
    """Hidden states (B, T, D) of ``layers`` without the output layer."""
    decoder = decoder_of(model)
    count = int(decoder.config.num_hidden_layers)
    if set(layers) == {count}:
        return [decoder(**inputs, use_cache=False).last_hidden_state] * len(layers)
    output = decoder(**inputs, use_cache=False, output_hidden_states=True)
    return [output.last_hidden_state if i == count else output.hidden_states[i] for i in layers]


def decoder_of(model: Any) -> Any:
    """The transformer of a causal LM without its output layer."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    return decoder if decoder not in (None, model) else getattr(model, model.base_model_prefix)


def adapter_fingerprint(model: nn.Module) -> str:
    """SHA-256 over low-rank adapter weights, which a backbone's fingerprint leaves out; "" without any."""
    tensors = {name: tensor for name, tensor in model.state_dict().items() if "lora_" in name}
    if not tensors:
        return ""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu").contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _layer_numbers(layers: Sequence[int], backbone: Backbone) -> tuple[int, ...]:
    count = backbone.num_layers + 1
    if not layers or not all(-count <= layer < count for layer in layers):
        raise ConfigError(
            f"layer {tuple(layers)} does not exist in {backbone.config.name!r}: expected 0 (embeddings) to "
            f"{count - 1}, or -1 (the last) to {-count}."
        )
    return tuple(layer % count for layer in layers)


def _name_of(grounding: Grounding | None) -> str:
    if grounding is None:
        return ""
    name = f"{grounding.__module__}:{getattr(grounding, '__qualname__', '')}"
    if "<" in name or name.endswith(":"):
        raise ConfigError(
            f"grounding {grounding!r} has no name that stays the same between runs. Pass grounding_name=..."
        )
    return name


def _shown(pair: Pair) -> str:
    messages, action = pair
    newest = str(messages[-1].get("content")) if messages else ""
    return f"pair (state ending in {newest[-40:]!r}, action {str(action)[:60]!r})"
