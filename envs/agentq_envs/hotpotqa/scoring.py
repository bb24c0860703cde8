"""HotPotQA's official answer scores: exact match and F1 of the normalised answers.

"HotpotQA: A Dataset for Diverse, Explainable Multi-hop Question Answering" (arXiv 1809.09600), section 5. Only
the answer counts; supporting facts are not scored.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import asdict, dataclass

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CLOSED = ("yes", "no", "noanswer")  # answers that are right or wrong, never in part


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """The scores of one answer, all in [0, 1]."""

    em: float  # 1.0 or 0.0
    f1: float
    precision: float
    recall: float

    def to_json(self) -> dict[str, float]:
        """All four numbers by name."""
        return asdict(self)


def normalise(answer: str) -> str:
    """Lower case; then without ASCII punctuation; then without the words a, an, the; then single spaces.

    The order matters ("a.n" is an article only after its dot has gone), and accents and other quotes stay.
    """
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def score_answer(prediction: str, gold: str) -> AnswerScore:
    """EM and F1 of an answer.

    Where either side is yes, no or noanswer and they differ, nothing counts in part. Two empty sides are equal
    but have no token in common: EM 1, F1 0, as in the official script.
    """
    ours, theirs = normalise(prediction), normalise(gold)
    em = float(ours == theirs)
    if ours != theirs and (ours in _CLOSED or theirs in _CLOSED):
        return AnswerScore(em, 0.0, 0.0, 0.0)
    mine, wanted = ours.split(), theirs.split()
    common = (Counter(mine) & Counter(wanted)).total()
    if common == 0:
        return AnswerScore(em, 0.0, 0.0, 0.0)
    precision, recall = common / len(mine), common / len(wanted)
    return AnswerScore(em, 2 * precision * recall / (precision + recall), precision, recall)
