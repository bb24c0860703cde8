"""From candidates to the distinct actions that must be computed, and from their values back to scores."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from agentq.backbones.tokens import ChatTokenizer
from agentq.critics.base import Scores
from agentq.critics.groundings import Grounding, grounded_text
from agentq.errors import CriticError
from agentq.features.proposal import Proposal, proposal_features
from agentq.objectives.aggregation import Aggregation, aggregate
from agentq.types import Candidate, FloatArray, Messages


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """The distinct valid actions of one state."""

    number: int
    messages: Messages
    actions: list[str]
    column: list[int]  # (N,) which distinct action a candidate is, -1: invalid
    reasons: tuple[str | None, ...]  # (N,)
    proposals: NDArray[np.float32]  # (distinct actions, P) how the policy proposed them


def score_request(
    number: int, messages: Messages, candidates: Sequence[Candidate], proposal: Proposal
) -> ScoreRequest:
    """What state ``number`` of a batch needs computed. Raises ``CriticError`` for an empty list."""
    if not candidates:
        raise CriticError(
            f"state {number} has no candidates to score. Expected at least one; "
            "check what the policy returned for it (max_new_tokens, admissible actions)."
        )
    distinct: dict[str, int] = {}
    column = [-1 if c.action is None else distinct.setdefault(c.action, len(distinct)) for c in candidates]
    reasons = tuple(
        None if c.action is not None else c.error or "the text does not parse into an action"
        for c in candidates
    )
    proposals = proposal_features(proposal, candidates, list(distinct))
    if proposals.size and not proposals[:, 1].all():
        warnings.warn(  # one text for all states, so that Python shows it once
            "candidates without log-probabilities, which this critic learnt to read; its "
            'choices are worse without. Keep token_logprobs in the policy, or train with proposal="none".',
            stacklevel=4,
        )
    return ScoreRequest(number, messages, list(distinct), column, reasons, proposals)


def request_tokens(
    request: ScoreRequest, tokens: ChatTokenizer, grounding: Grounding | None, max_length: int
) -> tuple[list[int], list[list[int]]]:
    """Token ids of the state and of its actions, each with what it refers to.

    Raises ``CriticError`` for a sequence longer than ``max_length`` tokens.
    """
    prompt = tokens.prompt_ids(request.messages)
    texts = [grounded_text(request.messages, action, grounding) for action in request.actions]
    actions = [tokens.action_ids(text) for text in texts]
    longest = len(prompt) + max(map(len, actions))
    if longest > max_length:
        raise CriticError(
            f"state {request.number} has {longest} tokens with its longest action, but "
            f"{tokens.name!r} reads {max_length}. Render shorter observations or use a "
            "longer backbone."
        )
    return prompt, actions


def request_scores(
    request: ScoreRequest, distinct: FloatArray | None, heads: int, how: Aggregation, pessimism: float
) -> Scores:
    """Scores of all N candidates from the (``heads``, distinct actions) values, None where none is valid.

    Raises ``CriticError`` for a value that is not finite.
    """
    column = np.array(request.column)
    valid = column >= 0
    head_q = np.full((heads, len(column)), -np.inf)
    if distinct is not None:
        if not np.isfinite(distinct).all():
            bad = int(np.flatnonzero(~np.isfinite(distinct).all(axis=0))[0])
            raise CriticError(
                f"state {request.number}: head values of action {bad} are {distinct[:, bad].tolist()}. The backbone's "
                "hidden states or the heads are not finite; try float32 or bfloat16, or check the training."
            )
        head_q[:, valid] = distinct[:, column[valid]]
    q = np.full(len(column), -np.inf)
    if valid.any():
        values = torch.from_numpy(head_q[:, valid])
        q[valid] = aggregate(values, how, pessimism=pessimism).numpy()
    return Scores(q=q, head_q=head_q, reasons=request.reasons)
