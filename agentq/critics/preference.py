"""A critic that is a preference model: the log-ratio of a tuned language model and its reference is the Q-value.

"Enhancing Decision-Making for LLM Agents via Step-Level Q-Value Models" (arXiv 2409.09345). Usually both are one
model with a LoRA adapter, the reference being the same weights with the adapter off, so nothing is held twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from agentq.critics.base import Scores
from agentq.critics.groundings import grounded_text, resolve_grounding
from agentq.critics.requests import request_scores, request_tokens, score_request
from agentq.errors import ConfigError
from agentq.objectives.dpo import ReadOut, read_q
from agentq.scoring.replies import output_logits, reply_logprobs, reply_states, reply_tokens
from agentq.types import Candidate, FloatArray, Messages

if TYPE_CHECKING:
    from agentq.backbones.backbone import Backbone

Batch = Sequence[tuple[Messages, Sequence[Candidate]]]


@dataclass(frozen=True, slots=True)
class PreferenceConfig:
    """How a Q-value is read out of the two models."""

    read_out: ReadOut = "sum_logratio"  # or mean_logratio, official_logit_diff
    beta: float = 0.1  # of the training; scales sum_logratio
    reply: Literal["text", "action"] = "text"  # what is scored: the whole reply, or the parsed action alone
    grounding: str = ""  # text behind a reply, see agentq.critics.groundings; as it was trained
    #: shared: the prompt of a state is read once; one_by_one: for models that cannot, same values, slower.
    method: Literal["shared", "one_by_one"] = "shared"
    training: Mapping[str, Any] = field(
        default_factory=dict[str, Any]
    )  # objective, settings, hash of the data


class PreferenceCritic:
    """Values replies by beta (log pi - log pi_ref); implements ``agentq.critics.base.Critic``.

    Without ``reference`` the backbone must carry a LoRA adapter, and with the adapter off it is the reference.
    ``max_batch_tokens`` bounds the padded tokens of one forward. Raises ``ConfigError`` where there is neither, for
    two models that turn messages into different tokens, and for a grounding that cannot be imported.
    """

    def __init__(
        self,
        backbone: Backbone,
        reference: Backbone | None = None,
        config: PreferenceConfig | None = None,
        *,
        max_batch_tokens: int = 8192,
        trust_grounding: bool = True,
    ) -> None:
        self.backbone = backbone
        self.reference = reference
        self.config = config or PreferenceConfig()
        self.grounding = resolve_grounding(self.config.grounding, trusted=trust_grounding)
        _check(backbone, reference)
        backbone.model.eval()
        if reference is not None:
            reference.model.eval()
        self._max_batch_tokens = max_batch_tokens
        #: Distinct tokens read since the critic was made, by the policy and by the reference.
        self.tokens = 0

    def score(self, batch: Batch) -> list[FloatArray]:
        """One (N,) float64 array per state; -inf for a candidate that did not parse.

        Raises ``CriticError`` for an empty candidate list and for values that are not finite.
        """
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Batch) -> list[Scores]:
        """Like ``score`` with why a candidate is -inf; there is one head, (1, N)."""
        requests = [
            score_request(number, messages, [self._scored(messages, c) for c in candidates], "none")
            for number, (messages, candidates) in enumerate(batch)
        ]
        live = [request for request in requests if request.actions]
        tokens = [request_tokens(r, self.backbone, None, self.backbone.max_length) for r in live]
        values = self._values([prompt for prompt, _ in tokens], [replies for _, replies in tokens])
        by_state = {
            request.number: found.double().cpu().numpy()[None]
            for request, found in zip(live, values, strict=True)
        }
        return [request_scores(r, by_state.get(r.number), 1, "mean", 0.0) for r in requests]

    @contextmanager
    def as_reference(self) -> Iterator[Backbone]:
        """The reference model: the other backbone, or this one while its adapter is off."""
        if self.reference is not None:
            yield self.reference
            return
        model: Any = self.backbone.model
        with model.disable_adapter():
            yield self.backbone

    @property
    def fingerprint(self) -> str:
        """SHA-256 of both models' weights, the adapter's, and of how they are read."""
        digest = hashlib.sha256(self.backbone.fingerprint.encode())
        digest.update((self.reference.fingerprint if self.reference is not None else "").encode())
        reading = {name: value for name, value in asdict(self.config).items() if name != "training"}
        if not self.config.grounding:
            del reading["grounding"]  # critics from before there was one keep their fingerprint
        digest.update(json.dumps(reading, sort_keys=True).encode())
        for name, tensor in sorted(self.backbone.model.named_parameters()):
            if "lora_" in name:
                digest.update(name.encode() + tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def save_pretrained(self, folder: str | Path, save_backbone: bool = False) -> Path:
        """Write the critic as a folder: config.json, adapter/, README.md, with ``save_backbone`` also backbone/.

        A policy that was tuned in full needs ``save_backbone``; a reference is always stored by name and hash.
        Raises ``CheckpointError`` when the folder cannot be written.
        """
        from agentq.critics.preference_checkpoint import save_preference

        return save_preference(self, Path(folder), save_backbone)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        backbone: Backbone | None = None,
        *,
        reference: Backbone | None = None,
        device: str = "auto",
        revision: str | None = None,
        read_out: ReadOut | None = None,
        trust_grounding: bool = False,
    ) -> PreferenceCritic:
        """Load a critic from a folder or the hub; its models too unless they are given.

        ``read_out`` replaces the stored one. Nothing is unpickled and no code of the folder runs; a grounding outside
        AgentQ is imported with ``trust_grounding`` alone. Raises ``CheckpointError`` for other weights, another chat
        template, a newer format, a missing or broken file.
        """
        from agentq.critics.preference_checkpoint import load_preference

        critic = load_preference(cls, folder, backbone, reference, device, revision, trust_grounding)
        if read_out is not None:
            critic.config = replace(critic.config, read_out=read_out)
        return critic

    def push_to_hub(
        self, repo: str, *, private: bool = False, save_backbone: bool = False, api: Any = None
    ) -> str:
        """Upload the folder of ``save_pretrained`` to a hub repository; returns its address."""
        from agentq.critics.checkpoint import push_critic

        return push_critic(self, repo, private, save_backbone, api)

    def _scored(self, messages: Messages, candidate: Candidate) -> Candidate:
        """The candidate with what is scored of it as its action; equal ones are computed once."""
        if candidate.action is None:
            return candidate
        reply = candidate.action if self.config.reply == "action" else candidate.text
        return replace(candidate, action=grounded_text(messages, candidate.action, self.grounding, reply))

    @torch.no_grad()
    def _values(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[Sequence[int]]]
    ) -> list[Tensor]:
        """Q of the distinct replies of each state, (N_s,)."""
        if not prompts:
            return []
        self.tokens += 2 * sum(map(len, prompts)) + 2 * sum(len(r) for some in replies for r in some)
        config = self.config
        reading: dict[str, Any] = {"method": config.method, "max_batch_tokens": self._max_batch_tokens}
        if config.read_out == "official_logit_diff":
            return self._official(prompts, replies, reading)
        policy = reply_logprobs(self.backbone, prompts, replies, **reading)
        with self.as_reference() as reference:
            before = reply_logprobs(reference, prompts, replies, **reading)
        ratios = [
            (p.double() - r.to(p.device).double()).sum(dim=1) for p, r in zip(policy, before, strict=True)
        ]
        if config.read_out == "sum_logratio":
            return [config.beta * ratio for ratio in ratios]
        counts = [torch.tensor([len(reply) for reply in some]) for some in replies]
        return [ratio / count.to(ratio.device) for ratio, count in zip(ratios, counts, strict=True)]

    def _official(
        self,
        prompts: Sequence[Sequence[int]],
        replies: Sequence[Sequence[Sequence[int]]],
        reading: Mapping[str, Any],
    ) -> list[Tensor]:
        policy = reply_states(self.backbone, prompts, replies, **reading)
        with self.as_reference() as reference:
            before = reply_states(reference, prompts, replies, **reading)
        values: list[Tensor] = []
        for hidden, other, some in zip(policy, before, replies, strict=True):
            logits = output_logits(self.backbone, hidden)
            with self.as_reference() as reference:
                reference_logits = output_logits(reference, other).to(logits.device)
            tokens, mask = reply_tokens(some, hidden.shape[1], logits.device)
            values.append(
                read_q(
                    logits.double(), reference_logits.double(), tokens, mask, read_out="official_logit_diff"
                )
            )
        return values


def _check(backbone: Backbone, reference: Backbone | None) -> None:
    if backbone.kind != "causal" or (reference is not None and reference.kind != "causal"):
        raise ConfigError(
            f"a preference critic reads log-probabilities, but {backbone.config.name!r} or its reference is an "
            "encoder. Use causal language models."
        )
    if reference is None:
        from agentq.critics.checkpoint import adapter_of

        if adapter_of(backbone) is None:
            raise ConfigError(
                f"{backbone.config.name!r} has no LoRA adapter and there is no reference, so both models would be the "
                "same and every value 0. Pass reference=, or a backbone with an adapter."
            )
    elif reference.template_fingerprint != backbone.template_fingerprint:
        raise ConfigError(
            f"{backbone.config.name!r} and the reference {reference.config.name!r} turn messages into different tokens "
            "(tokenizer or chat template), so their log-probabilities cannot be compared. Use two models of one family."
        )
