"""How likely the policy finds its own candidates, in logarithms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentq.errors import SelectorError
from agentq.types import Candidate, FloatArray

#: samples: uniform over the policy's samples, so a candidate weighs its count; uniform: over distinct
#: candidates; logprob: the sum over tokens; logprob_norm: the mean over tokens.
Prior: TypeAlias = Literal["samples", "uniform", "logprob", "logprob_norm"]


def log_prior(
    candidates: Sequence[Candidate], usable: NDArray[np.bool_], prior: Prior, selector: str
) -> FloatArray:
    """(N,) log weights, not normalised; -inf for candidates that are not usable.

    Raises ``SelectorError`` where a usable candidate has no log-probability and the prior reads it.
    """
    weights = np.full(len(candidates), -np.inf)
    for i in map(int, np.flatnonzero(usable)):
        if prior == "uniform":
            weights[i] = 0.0
        elif prior == "samples":
            weights[i] = math.log(candidates[i].count)
        else:
            weights[i] = log_probability(candidates[i], i, prior == "logprob_norm", selector)
    return weights


def log_probability(candidate: Candidate, index: int, per_token: bool, selector: str) -> float:
    """In nats, of the whole text or per token. Raises ``SelectorError`` where there is none."""
    logprob = candidate.logprob
    if logprob is None or not math.isfinite(logprob):
        raise SelectorError(
            f"{selector}: candidate {index} has log-probability {logprob}, expected a number; use a policy "
            "that keeps log-probabilities, or a choice by counts ('majority', prior='samples')."
        )
    return logprob / len(candidate.token_logprobs) if per_token else logprob
