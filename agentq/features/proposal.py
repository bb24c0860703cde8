"""How a policy proposed an action, as inputs of value heads beside the hidden states.

A policy that learnt by imitation often knows which of several similar actions is meant better than a critic's
own representation does, and says so by proposing it more often. Heads that read this learn per state how far
to trust it, where a fixed bonus tau * log pi (the mode of KL-regularised improvement over a reference policy,
e.g. Peng et al. 2019, arXiv 1910.00177, equation 8) trusts it everywhere alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agentq.errors import CandidateError, ConfigError
from agentq.types import Candidate

#: none; counts: how often it was sampled; likelihood: that, and its log-probability under the policy.
Proposal = Literal["none", "counts", "likelihood"]
_WIDTHS = {"none": 0, "counts": 1, "likelihood": 3}
_FLOOR = -10.0  # nats; below, a proposal is just unlikely, and long free text would set the scale


def proposal_width(kind: Proposal) -> int:
    """Number of columns of ``proposal_features``. Raises ``ConfigError`` for an unknown kind."""
    if kind not in _WIDTHS:
        raise ConfigError(f"proposal={kind!r}: expected one of {sorted(_WIDTHS)}.")
    return _WIDTHS[kind]


def proposal_features(
    kind: Proposal, candidates: Sequence[Candidate], actions: Sequence[str]
) -> NDArray[np.float32]:
    """(len(actions), P) float32: how each action was proposed among all ``candidates`` of its state.

    Columns: log of its share of the samples; log-probability in nats, not below -10; the same minus that of
    the likeliest candidate. An action is one that a candidate parsed into, or the text of one that does not
    parse. Raises ``CandidateError`` for an action nobody proposed, and for "likelihood" where a policy kept
    no log-probabilities.
    """
    width = proposal_width(kind)
    found = np.zeros((len(actions), width), dtype=np.float32)
    if not width or not actions:
        return found
    named = [c.text if c.action is None else c.action for c in candidates]
    samples = sum(candidate.count for candidate in candidates)
    logprobs = [_logprob(c, i) for i, c in enumerate(candidates)] if kind == "likelihood" else []
    for row, action in enumerate(actions):
        where = [i for i, name in enumerate(named) if name == action]
        if not where:
            raise CandidateError(
                f"action {action[:80]!r} is none of the {len(candidates)} candidates, so it has no proposal. "
                "Score the candidates that the policy returned."
            )
        found[row, 0] = np.log(sum(candidates[i].count for i in where) / samples)
        if logprobs:
            likeliest = max(logprobs[i] for i in where)
            found[row, 1:] = likeliest, likeliest - max(logprobs)
    return found


def _logprob(candidate: Candidate, index: int) -> float:
    value: Any = candidate.logprob
    if value is None or np.isnan(value):
        raise CandidateError(
            f"candidate {index} ({candidate.text[:60]!r}) has log-probability {value}, but this critic reads how "
            "likely a policy finds its candidates. Use a policy that keeps token_logprobs, or train the critic "
            'with proposal="counts" or "none".'
        )
    return max(float(value), _FLOOR)
