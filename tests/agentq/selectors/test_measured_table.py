"""The table of the notes on selectors (section 0.1), from these selectors: choosing with a noisy critic.

True values are N(0, 1); a head is the value plus noise; the policy's log-probability is
0.5 v + sqrt(0.75) N(0, 1). A cell is the mean true value of the choice over 20,000 states. Random selectors
count with their probabilities, whose mean is that of their draws.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from agentq.critics.base import Scores
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.likeliest import Likeliest
from agentq.selectors.reference import Reference
from agentq.selectors.softmax import Softmax
from agentq.types import Candidate

TRIALS = 20_000
TOLERANCE = 0.03
#: (selector, which head is its value: the first, or all of them through a bound)
COLUMNS: dict[str, Any] = {
    "argmax, 1 head": BestOfN(),
    "argmax mean of 2": BestOfN(bound="mean"),
    "argmax min of 2": BestOfN(bound="min"),
    "softmax T=1": Softmax(1.0),
    "softmax(Q+l)": Reference(1.0, "logprob"),
    "argmax(Q+l)": Reference(1.0, "logprob", choose="argmax"),
    "argmax(min2 + l)": Reference(1.0, "logprob", bound="min", choose="argmax"),
    "argmax l": Likeliest(),
}
TABLE = {
    ("gaussian", 4): (0.73, 0.84, 0.81, 0.53, 0.64, 0.78, 0.81, 0.52, 1.03),
    ("gaussian", 16): (1.24, 1.45, 1.39, 0.80, 1.03, 1.33, 1.39, 0.89, 1.77),
    ("gaussian", 64): (1.65, 1.92, 1.84, 0.92, 1.26, 1.76, 1.84, 1.18, 2.34),
    ("student", 4): (0.56, 0.63, 0.69, 0.43, 0.55, 0.64, 0.74, 0.52, 1.03),
    ("student", 16): (0.68, 0.86, 1.20, 0.56, 0.77, 0.90, 1.28, 0.88, 1.77),
    ("student", 64): (0.48, 0.66, 1.46, 0.46, 0.70, 0.74, 1.66, 1.18, 2.35),
}


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "n"), TABLE, ids=str)
def test_every_cell(noise: str, n: int) -> None:
    rng = np.random.default_rng([n, noise == "student"])
    truth = rng.normal(size=(TRIALS, n))
    error = rng.normal(size=(TRIALS, 2, n)) if noise == "gaussian" else rng.standard_t(2, (TRIALS, 2, n))
    logprobs = (0.5 * truth + math.sqrt(0.75) * rng.normal(size=(TRIALS, n))).tolist()
    heads = truth[:, None] + error
    sums = dict.fromkeys([*COLUMNS, "oracle"], 0.0)
    for trial in range(TRIALS):
        candidates = [Candidate("a", "a", None, (), (logprob,)) for logprob in logprobs[trial]]
        scores = Scores(heads[trial, 0], heads[trial])
        for name, selector in COLUMNS.items():
            sums[name] += float(selector.probabilities(scores, candidates) @ truth[trial])
        sums["oracle"] += float(BestOfN().probabilities(Scores(truth[trial]), candidates) @ truth[trial])
    found = {name: round(total / TRIALS, 3) for name, total in sums.items()}
    wanted = dict(zip(found, TABLE[noise, n], strict=True))
    off = {name: (found[name], wanted[name]) for name in found if abs(found[name] - wanted[name]) > TOLERANCE}
    assert not off, f"{noise} noise, N={n}: {off}"
    print(noise, n, found)
