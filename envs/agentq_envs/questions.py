"""Answers behind a candidate action that a log itself gives (Digi-Q phase 1, for text).

Frozen features of a model that was only taught to imitate do not say how an action ends. Before a backbone is
frozen it is therefore trained to answer, right behind a candidate action: how well does it end (a digit), then
whatever the environment can ask. Bai et al. 2025 (arXiv 2502.15760, section 4.1) ask one such question about screens.
"""

from __future__ import annotations

import random

VALUE_LEVELS = 10  # answers "0" to "9"


def value_answer(value: float, rng: random.Random) -> str:
    """A value in [0, 1] as one of ten digits, rounded at random so that the mean answer is the value."""
    level = min(max(value, 0.0), 1.0) * (VALUE_LEVELS - 1)
    low = int(level)
    return str(min(VALUE_LEVELS - 1, low + (rng.random() < level - low)))


def yes(fact: bool) -> str:
    """The answer to a question of yes or no."""
    return " yes" if fact else " no"
