"""How likely a policy found an action, as inputs of value heads beside the hidden states.

A policy that learnt by imitation often knows which of several similar actions is meant better than a critic's
own representation does, and says so in its log-probability. Heads that read it learn per state how far to
trust it, where a fixed bonus tau * log pi (the mode of KL-regularised improvement over a reference policy,
e.g. Peng et al. 2019, arXiv 1910.00177, equation 8) trusts it everywhere alike. An action's columns depend on
nothing but that action, so its value is the same whatever else was proposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentq.errors import CandidateError, ConfigError
from agentq.types import Candidate

#: none; likelihood: the policy's log-probability of the action, and whether it is known.
Proposal = Literal["none", "likelihood"]
_WIDTHS = {"none": 0, "likelihood": 2}
_FLOOR = -10.0  # nats; below, a proposal is just unlikely, and long free text would set the scale
_UNKNOWN_EVERY = 10  # steps; fixed rather than drawn, so that a resumed training sees the same data


def proposal_width(kind: Proposal) -> int:
    """Number of columns of ``proposal_features``. Raises ``ConfigError`` for an unknown kind."""
    if kind not in _WIDTHS:
        raise ConfigError(f"proposal={kind!r}: expected one of {sorted(_WIDTHS)}.")
    return _WIDTHS[kind]


def proposal_features(
    kind: Proposal, candidates: Sequence[Candidate], actions: Sequence[str]
) -> NDArray[np.float32]:
    """(len(actions), P) float32: how likely the policy found each action.

    Columns: log-probability in nats, not below -10, and 1; both 0 where no candidate of that action has one.
    Several texts of one action: the likeliest. An action is what a candidate parsed into, or the text of one
    that does not parse. Raises ``CandidateError`` for a log-probability that is NaN.
    """
    found = np.zeros((len(actions), proposal_width(kind)), dtype=np.float32)
    if not found.size:
        return found
    known = action_log_probs(candidates)
    for row, action in enumerate(actions):
        if action in known:
            found[row] = max(known[action], _FLOOR), 1.0
    return found


def action_log_probs(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Log-probability in nats of each action, where a candidate of it has one; of several texts the likeliest.

    Raises ``CandidateError`` for one that is NaN.
    """
    likeliest: dict[str, float] = {}
    for index, candidate in enumerate(candidates):
        value = candidate.logprob
        if value is None:
            continue
        if np.isnan(value):
            raise CandidateError(
                f"candidate {index} ({candidate.text[:60]!r}) has log-probability {value}, expected a number of "
                "0 or less, or no token_logprobs at all. Look for NaN in the policy's logits."
            )
        name = candidate.text if candidate.action is None else candidate.action
        likeliest[name] = max(value, likeliest.get(name, value))
    return likeliest


def training_proposals(
    kind: Proposal, candidates: Sequence[Candidate], actions: Sequence[str], step: int
) -> NDArray[np.float32]:
    """``proposal_features``, unknown for one ``step`` in ten: heads learn to do without as well.

    A critic then also values candidates whose policy keeps no log-probabilities (most API models).
    """
    hidden = step % _UNKNOWN_EVERY == _UNKNOWN_EVERY - 1
    return proposal_features(kind, () if hidden else candidates, actions)
