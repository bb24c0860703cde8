"""Several comparisons at once."""

from __future__ import annotations

from collections.abc import Sequence

from agentq.errors import EvaluationError


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979), in the order given; controls the chance of any false finding.

    Raises ``EvaluationError`` for a p value outside [0, 1].
    """
    for place, p in enumerate(p_values):
        if not 0 <= p <= 1:
            raise EvaluationError(f"p_values[{place}] is {p}, expected a probability.")
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, worst = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = worst
    return corrected
