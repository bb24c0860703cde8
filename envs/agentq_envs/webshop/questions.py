"""Questions about a candidate action that the log itself answers (Digi-Q phase 1, for text).

Frozen features of a model that was only taught to imitate do not say whether an item satisfies a goal.
Before a backbone is frozen it is therefore trained to answer, right behind a candidate action and always
in this order: how well does it end (a digit), what kind of page follows, does it change anything, how
many of the words asked for are on what follows, is what was chosen asked for by name. Bai et al. 2025
(arXiv 2502.15760, section 4.1) ask one such question about screens.
"""

from __future__ import annotations

import random

from agentq_envs.demonstrations import Alternative
from agentq_envs.questions import value_answer, yes
from agentq_envs.webshop.goals import Goal


def answers(goal: Goal, alternative: Alternative, rng: random.Random) -> list[str]:
    """Answers about ``alternative``, in the fixed order of the questions."""
    page = alternative.text.split("\n", 2)[-1].lower()  # without the lines of goal and history
    found = sum(attribute.lower() in page for attribute in goal.attributes)
    named = alternative.action[alternative.action.find("[") + 1 : -1].lower()
    return [
        value_answer(alternative.value, rng),
        f" {alternative.page}",
        yes(alternative.changed),
        str(found),
        yes(f" {named}" in goal.instruction_text.lower()),
    ]
