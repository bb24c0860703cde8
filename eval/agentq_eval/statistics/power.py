"""How many tasks a difference needs to be seen, and which difference a number of tasks can show.

Normal approximation, two-sided: n = ((z_{1-alpha/2} + z_power) sd / difference)^2 pairs; unpaired arms need
twice the variance. For successes of two arms the paired spread follows from how often they disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from numpy.typing import ArrayLike

from agentq.errors import EvaluationError
from agentq_eval.statistics.estimate import share
from agentq_eval.statistics.means import clustered_error


def tasks_needed(
    difference: float, deviation: float, power: float = 0.8, alpha: float = 0.05, paired: bool = True
) -> int:
    """Tasks (pairs, or tasks per arm) to see ``difference`` with this ``power``.

    ``deviation`` is the standard deviation of the paired differences, or of one arm's scores when unpaired.
    Raises ``EvaluationError`` for a difference or deviation that is not above 0.
    """
    _positive(difference=difference, deviation=deviation)
    variance = deviation**2 * (1 if paired else 2)
    return max(2, math.ceil(variance * (_factor(power, alpha) / difference) ** 2))


def minimum_detectable(
    tasks: int, deviation: float, power: float = 0.8, alpha: float = 0.05, paired: bool = True
) -> float | None:
    """The smallest true difference that so many tasks show with this ``power``; None below two tasks."""
    _positive(deviation=deviation)
    if tasks < 2:
        return None
    return _factor(power, alpha) * deviation * math.sqrt((1 if paired else 2) / tasks)


def detectable_difference(
    differences: ArrayLike, tasks: Sequence[str], power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """What a run with these paired differences could have shown, its error clustered by task; None below two."""
    error = clustered_error(differences, tasks)
    return None if error is None else _factor(power, alpha) * error


def success_deviation(rate: float, base: float, disagree: float | None = None) -> float:
    """Standard deviation of the paired difference of two success rates.

    ``disagree`` is the share of tasks that only one of the two solves; without it the arms are taken as
    independent. Raises ``EvaluationError`` when the three shares cannot be together.
    """
    for name, value in (("rate", rate), ("base", base)):
        if not 0 <= value <= 1:
            raise EvaluationError(f"{name}={value}: expected a share between 0 and 1.")
    if disagree is None:
        return math.sqrt(rate * (1 - rate) + base * (1 - base))
    least, most = abs(rate - base), min(rate + base, 2 - rate - base)
    if not least - 1e-12 <= disagree <= most + 1e-12:
        raise EvaluationError(
            f"disagree={disagree} with rates {rate} and {base}: expected between {least:.3g} and {most:.3g}."
        )
    return math.sqrt(max(disagree - (rate - base) ** 2, 0.0))


def _factor(power: float, alpha: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - share(alpha, "alpha") / 2) + normal.inv_cdf(share(power, "power"))


def _positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if not (math.isfinite(value) and value > 0):
            raise EvaluationError(f"{name}={value}: expected a number above 0.")
