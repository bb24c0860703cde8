"""Questions about a candidate action that the log itself answers (Digi-Q phase 1, for text).

Frozen features of a model that was only taught to imitate do not say whether an item satisfies a goal.
Before a backbone is frozen it is therefore trained to answer, right behind a candidate action and always
in this order: how well does it end (a digit), what kind of page follows, does it change anything, how
many of the words asked for are on what follows, is what was chosen asked for by name. Bai et al. 2025
(arXiv 2502.15760, section 4.1) ask one such question about screens.
"""

from __future__ import annotations

import random

from agentq_envs.webshop.demonstrations import Alternative
from agentq_envs.webshop.goals import Goal

VALUE_LEVELS = 10  # answers "0" to "9"


def value_answer(value: float, rng: random.Random) -> str:
    """A value in [0, 1] as one of ten digits, rounded at random so that the mean answer is the value."""
    level = min(max(value, 0.0), 1.0) * (VALUE_LEVELS - 1)
    low = int(level)
    return str(min(VALUE_LEVELS - 1, low + (rng.random() < level - low)))


def answers(goal: Goal, alternative: Alternative, rng: random.Random) -> list[str]:
    """Answers about ``alternative``, in the fixed order of the questions."""
    page = alternative.text.split("\n", 2)[-1].lower()  # without the lines of goal and history
    found = sum(attribute.lower() in page for attribute in goal.attributes)
    named = alternative.action[alternative.action.find("[") + 1 : -1].lower()
    return [
        value_answer(alternative.value, rng),
        f" {alternative.page}",
        _yes(alternative.changed),
        str(found),
        _yes(f" {named}" in goal.instruction_text.lower()),
    ]


def _yes(fact: bool) -> str:
    return " yes" if fact else " no"
