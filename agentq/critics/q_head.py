"""A critic that is a language model's hidden state with value heads on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agentq.critics.base import Scores
from agentq.critics.groundings import resolve_grounding
from agentq.critics.requests import ScoreRequest, request_scores, request_tokens, score_request
from agentq.errors import ConfigError, CriticError
from agentq.features.encoder import Truncation
from agentq.features.proposal import Proposal
from agentq.objectives.aggregation import Aggregation
from agentq.types import Candidate, FloatArray, Messages

if TYPE_CHECKING:
    from agentq.backbones.backbone import Backbone
    from agentq.critics.heads import QHeads
    from agentq.critics.support import SupportIndex
    from agentq.features.extract import FeatureExtractor
    from agentq.scoring.prompt_reader import PromptReader

Batch = Sequence[tuple[Messages, Sequence[Candidate]]]


class FeatureFunction(Protocol):
    """Hidden states of S states with N_s actions each, the prompt of a state computed once."""

    def __call__(
        self,
        backbone: Backbone,
        prompt_ids: Sequence[Sequence[int]],
        candidate_ids: Sequence[Sequence[Sequence[int]]],
        layers: Sequence[int],
        pooling: str,
    ) -> list[Tensor]:
        """One (N_s, D) tensor per state."""
        ...


@dataclass(frozen=True, slots=True)
class QCriticConfig:
    """Which features the heads read and how K values become one."""

    layers: tuple[int, ...] = (-1,)  # hidden states, 0: embeddings, -1: last layer; several are joined
    pooling: str = "last"  # over the action's tokens
    aggregation: Aggregation = "min"  # over heads: min, mean, mean_std, soft_low
    pessimism: float = 1.0  # standard deviations taken off by mean_std
    #: shared: the prompt of a state is read once; one_by_one: for models that cannot, same values, slower.
    method: Literal["shared", "one_by_one"] = "shared"
    truncation: Truncation = "error"  # which end of a text that is too long for an encoder is cut
    grounding: str = ""  # entry point of `agentq.groundings` or module:function; "": the action alone
    proposal: Proposal = "none"  # likelihood: heads also read the policy's log-probability
    #: How the heads were trained: objective and its settings, hash of the data.
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Valued:
    """Heads and distances of the distinct actions of one state."""

    heads: FloatArray  # (K, distinct actions)
    distances: FloatArray | None = None  # (distinct actions,)


class QCritic:
    """Values candidates by K heads on hidden states of ``backbone``; implements ``agentq.critics.base.Critic``.

    ``max_batch_tokens`` bounds the padded tokens of one forward (raise it on a GPU); ``features`` replaces
    ``agentq.scoring.score_features``. With ``support`` scores say how far each candidate is from the log.
    """

    def __init__(
        self,
        backbone: Backbone,
        heads: QHeads,
        config: QCriticConfig | None = None,
        *,
        features: FeatureFunction | None = None,
        max_batch_tokens: int = 8192,
        trust_grounding: bool = True,
        support: SupportIndex | None = None,
    ) -> None:
        self.backbone = backbone
        self.support = support
        self.heads = heads.to(backbone.device).eval()
        self.config = config or QCriticConfig()
        self.layers = tuple(absolute_layer(layer, backbone.num_layers) for layer in self.config.layers)
        self.grounding = resolve_grounding(self.config.grounding, trusted=trust_grounding)
        self._features = features or self._hidden_states
        self._reader: PromptReader | None = None
        self._texts = self._text_features(max_batch_tokens) if backbone.kind == "encoder" else None
        self.max_batch_tokens = max_batch_tokens
        #: Distinct tokens scored since the critic was made: every prompt once, and its actions (causal).
        self.tokens = 0

    def score(self, batch: Batch) -> list[FloatArray]:
        """One (N,) float64 array per state; -inf for a candidate that did not parse.

        Raises ``CriticError`` for an empty candidate list and for values that are not finite.
        """
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Batch) -> list[Scores]:
        """Like ``score`` with the value of each head (K, N) and why a candidate is -inf."""
        requests = [score_request(number, *state, self.config.proposal) for number, state in enumerate(batch)]
        live = [number for number, request in enumerate(requests) if request.actions]
        found = self._values([requests[number] for number in live]) if live else []
        by_state = dict(zip(live, found, strict=True))
        return [self._scores(request, by_state.get(request.number)) for request in requests]

    def cache_prompts(self, budget: int) -> None:
        """Keep keys and values of prompts within ``budget`` bytes from now on; 0: none. For serving.

        ``prefill`` then reads a state before its candidates are known, and a conversation that only grows costs
        what is new. Critics that cannot share prompts, or whose features are computed elsewhere, keep none.
        """
        from agentq.scoring.prompt_reader import PromptReader

        able = (
            self._texts is None and self.config.method == "shared" and self._features == self._hidden_states
        )
        reader = PromptReader(self.backbone, budget, self.max_batch_tokens)
        self._reader = reader if able and budget > 0 else None

    def prefill(self, messages: Messages) -> None:
        """Read a state ahead; without ``cache_prompts`` nothing is done. Raises ``BackboneError`` if it is too long."""
        if self._reader is not None:
            self._reader.read(self.backbone.prompt_ids(messages))

    def state_values(self, batch: Sequence[Messages]) -> FloatArray:
        """(S, K_v) values of states from the V heads, on hidden states of the prompt's last token.

        Raises ``ConfigError`` when the critic has no V heads, ``CriticError`` for values that are not finite.
        """
        if not batch:
            return np.zeros((0, self.heads.settings.state_heads))
        with torch.no_grad():
            values = self.heads.state_values(self._state_features(batch)).T.double().cpu().numpy()
        if not np.isfinite(values).all():
            raise CriticError(
                f"state {int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])}: its value is not finite. "
                "Try float32 or bfloat16, or check the training."
            )
        return values

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the heads' weights, of how they read the backbone, and of its weights and adapters."""
        from agentq.features.extract import adapter_fingerprint

        digest = hashlib.sha256(self.backbone.fingerprint.encode())
        digest.update(adapter_fingerprint(self.backbone.model).encode())
        reading = {name: value for name, value in asdict(self.config).items() if name != "training"}
        digest.update(json.dumps(reading, sort_keys=True).encode())
        for name, tensor in sorted(self.heads.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        if self.support is not None:
            digest.update(self.support.digest.encode())
        return digest.hexdigest()

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Weights of the heads, and of the backbone where it learns too (LoRA adapters, full tuning)."""
        yield from self.heads.parameters()
        yield from (p for p in self.backbone.model.parameters() if p.requires_grad)

    def save_pretrained(self, folder: str | Path, save_backbone: bool = False) -> Path:
        """Write the critic as a folder: config.json, heads.safetensors, support.safetensors, adapter/, README.md.

        ``save_backbone`` adds the backbone's own weights and tokenizer: needed when it was fine-tuned in
        full. Raises ``CheckpointError`` when the folder cannot be written.
        """
        from agentq.critics.checkpoint import save_critic

        return save_critic(self, Path(folder), save_backbone)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        backbone: Backbone | None = None,
        *,
        device: str = "auto",
        revision: str | None = None,
        features: FeatureFunction | None = None,
        trust_grounding: bool = False,
    ) -> QCritic:
        """Load a critic from a folder or the hub; its backbone too unless one is given.

        Nothing is unpickled and no code of the folder runs. Raises ``CheckpointError`` for another
        backbone or chat template, a newer format, a missing or broken file.
        """
        from agentq.critics.checkpoint import load_critic

        return load_critic(cls, folder, backbone, device, revision, features, trust_grounding)

    def push_to_hub(
        self, repo: str, *, private: bool = False, save_backbone: bool = False, api: Any = None
    ) -> str:
        """Upload the folder of ``save_pretrained`` to a hub repository; returns its address.

        ``api`` is a ``huggingface_hub.HfApi`` (default: one with the stored login).
        """
        from agentq.critics.checkpoint import push_critic

        return push_critic(self, repo, private, save_backbone, api)

    def _text_features(self, batch_tokens: int) -> FeatureExtractor:
        from agentq.features.extract import FeatureExtractor

        config = self.config
        return FeatureExtractor(
            self.backbone,
            config.layers,
            config.pooling,
            batch_tokens,
            self.grounding,
            config.grounding,
            config.truncation,
        )

    def _values(self, requests: Sequence[ScoreRequest]) -> list[_Valued]:
        """What is known about the distinct actions of each state."""
        proposals = torch.from_numpy(np.concatenate([request.proposals for request in requests]))
        with torch.no_grad():
            features = self._request_features(requests).to(self.backbone.device)  # (all, D)
            q = self.heads.q_values(torch.cat([features.float(), proposals.to(features.device)], dim=1))
        sizes = [len(request.actions) for request in requests]
        parts = [part.double().cpu().numpy() for part in q.split(sizes, dim=1)]
        if self.support is None:
            return [_Valued(part) for part in parts]
        distances = self._distances(self.support, requests, features.float().cpu().numpy())
        borders = np.cumsum(sizes)[:-1]
        return [_Valued(*pair) for pair in zip(parts, np.split(distances, borders), strict=True)]

    def _distances(
        self, support: SupportIndex, requests: Sequence[ScoreRequest], features: NDArray[np.float32]
    ) -> FloatArray:
        """(all distinct actions,) in radii of the support index."""
        if not support.reads_states:
            return support.distances(features)
        with torch.no_grad():
            states = self._state_features([request.messages for request in requests]).float().cpu().numpy()
        sizes = [len(request.actions) for request in requests]
        return support.distances(features, np.repeat(states, sizes, axis=0))

    def _request_features(self, requests: Sequence[ScoreRequest]) -> Tensor:
        """(all distinct actions of all states, D)."""
        if self._texts is not None:
            pairs = [(request.messages, action) for request in requests for action in request.actions]
            return torch.from_numpy(self._texts.pairs(pairs))
        backbone = self.backbone
        tokens = [request_tokens(r, backbone, self.grounding, backbone.max_length) for r in requests]
        self.tokens += sum(len(prompt) + sum(map(len, actions)) for prompt, actions in tokens)
        found = self._features(
            backbone,
            [prompt for prompt, _ in tokens],
            [actions for _, actions in tokens],
            self.layers,
            self.config.pooling,
        )
        return torch.cat([f.to(self.backbone.device) for f in found])

    def _state_features(self, batch: Sequence[Messages]) -> Tensor:
        """(S, D) of states alone."""
        from agentq.scoring.shared_prefix import score_features

        if self._texts is not None:
            return torch.from_numpy(self._texts.states(batch)).to(self.backbone.device)
        prompts = [self.backbone.prompt_ids(messages) for messages in batch]
        behind = [[[self.backbone.end_id]]] * len(batch)  # any token: what is read stands before it

        def before(hidden: Tensor, mask: Tensor) -> Tensor:
            return hidden[:, 0]

        if self._reader is not None:
            return torch.cat(self._reader.features(prompts, behind, self.layers, before))
        found = score_features(
            self.backbone,
            prompts,
            behind,
            self.layers,
            before,
            method=self.config.method,
            max_batch_tokens=self.max_batch_tokens,
        )
        return torch.cat(found)

    def _hidden_states(
        self,
        backbone: Backbone,
        prompt_ids: Sequence[Sequence[int]],
        candidate_ids: Sequence[Sequence[Sequence[int]]],
        layers: Sequence[int],
        pooling: str,
    ) -> list[Tensor]:
        from agentq.scoring.shared_prefix import score_features

        if self._reader is not None:
            return self._reader.features(prompt_ids, candidate_ids, layers, pooling)
        return score_features(
            backbone,
            prompt_ids,
            candidate_ids,
            layers,
            pooling,
            method=self.config.method,
            max_batch_tokens=self.max_batch_tokens,
        )

    def _scores(self, request: ScoreRequest, valued: _Valued | None) -> Scores:
        config = self.config
        scores = request_scores(
            request,
            None if valued is None else valued.heads,
            self.heads.settings.heads,
            config.aggregation,
            config.pessimism,
        )
        if self.support is None:
            return scores
        column = np.array(request.column)
        support = np.full(len(column), np.inf)
        if valued is not None and valued.distances is not None:
            support[column >= 0] = valued.distances[column[column >= 0]]
        return replace(scores, support=support)


def absolute_layer(layer: int, layers: int) -> int:
    """A hidden-state number in [0, layers] for one that may count from the end (-1: the last).

    Raises ``ConfigError`` outside of that.
    """
    if not -layers - 1 <= layer <= layers:
        raise ConfigError(
            f"layer {layer} does not exist: expected 0 (embeddings) to {layers}, or -1 to {-layers - 1}."
        )
    return layer if layer >= 0 else layers + 1 + layer
