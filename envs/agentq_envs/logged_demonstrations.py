"""Steps of a labelled log as demonstrations: what a policy really proposes, instead of what scripted players try.

A critic meets the candidates of its policy, and these err in other ways than scripted players do. The questions
about them are two: how well does it end, and is it the best of its state? The second is the one that a selector
asks, and where a step more or less changes a value by a tenth it says more than the value.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from math import isnan

from agentq.training.log_data import logged_states
from agentq.trajectories.reader import Episode
from agentq_envs.demonstrations import Alternative, DemonstrationStep
from agentq_envs.questions import value_answer, yes

_EQUAL = 1e-6  # values nearer than this are the same


def logged_demonstrations(
    episodes: Iterable[Episode], keep: float, seed: int
) -> Iterator[tuple[str, DemonstrationStep]]:
    """The task and the labelled candidates of a share ``keep`` of a log's steps, drawn by ``seed``.

    Steps and candidates without a label are left out, as are lost states, where every candidate is worth 0: near the
    limit of steps, which a prompt need not show, any action is. The action taken is not told from the others.
    """
    rng = random.Random(f"logged {seed}")
    for state in logged_states(episodes, gamma=1.0):
        if rng.random() >= keep or state.labels is None:
            continue
        tried = tuple(
            Alternative(action, float(label), "", "", True)
            for action, label in zip(state.actions, state.labels, strict=True)
            if not isnan(label)  # NaN: not labelled
        )
        if not any(other.value > _EQUAL for other in tried):
            continue
        taken = state.transition.action
        yield (
            state.transition.task,
            DemonstrationStep(tuple(state.transition.messages), taken, (taken,), tried),
        )


def answers_about(step: DemonstrationStep, alternative: Alternative, rng: random.Random) -> list[str]:
    """How well an action ends, then whether none of its state ends better; the latter where values differ."""
    values = [other.value for other in step.alternatives]
    answers = [value_answer(alternative.value, rng)]
    if max(values) - min(values) > _EQUAL:
        answers.append(yes(alternative.value > max(values) - _EQUAL))
    return answers
