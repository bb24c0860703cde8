"""Builds the support index of a critic from what it was trained on, or from any log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentq.critics.q_head import QCritic
from agentq.critics.support import SupportIndex, nearest, support_keys
from agentq.errors import ConfigError, TrainingError
from agentq.features.extract import FeatureExtractor
from agentq.features.proposal import proposal_width
from agentq.training.critic_data import CriticData, held_out
from agentq.trajectories.reader import Episode
from agentq.types import Messages

_WINDOW = 512  # steps whose features are computed together


@dataclass(frozen=True, slots=True)
class SupportSettings:
    """How the index is made."""

    states: bool = False  # keys also hold the state alone: one more forward pass per state when scoring
    beta: float = 2.0  # weight of the state's part; the published commands of PRDC use 2
    quantile: float = 0.95  # share of held-out logged steps within the radius
    share: float = 0.2  # of tasks held out to measure the radius
    limit: int = 20_000  # logged steps kept, drawn at random beyond that
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.quantile <= 1 and 0 < self.share < 1 and self.limit >= 1 and self.beta >= 0):
            raise ConfigError(f"{self}: expected 0 < quantile <= 1, 0 < share < 1, limit >= 1 and beta >= 0.")


def build_support(
    pairs: NDArray[Any],
    tasks: Sequence[str],
    states: NDArray[Any] | None = None,
    settings: SupportSettings | None = None,
) -> SupportIndex:
    """The index over features of T logged steps, (T, D) and (T, Ds), with the tasks they belong to.

    The radius is the quantile of distances from held-out tasks' steps to all others; the index then holds
    both. Raises ``TrainingError`` for fewer than two tasks, an empty side, or held-out steps that are all
    copies of others (a radius of 0).
    """
    settings = settings or SupportSettings()
    if len(tasks) != len(pairs) or (states is not None and len(states) != len(pairs)):
        raise TrainingError(f"{len(pairs)} steps have {len(tasks)} tasks; expected one each.")
    kept = np.arange(len(pairs))
    if len(kept) > settings.limit:
        kept = np.sort(np.random.default_rng(settings.seed).choice(kept, settings.limit, replace=False))
    pairs, tasks = pairs[kept].astype(np.float32), [tasks[i] for i in kept.tolist()]
    states = None if states is None else states[kept].astype(np.float32)
    held = held_out(tasks, settings.share, settings.seed)
    if held.all() or not held.any():
        raise TrainingError(
            f"{len(set(tasks))} tasks with share={settings.share} leave no step on one side: expected some "
            "held out and some kept. Log more tasks or change the share."
        )
    pair_mean = pairs.mean(axis=0)
    state_mean = np.zeros(0, np.float32) if states is None else states.mean(axis=0)
    keys = support_keys(pairs, states, pair_mean, state_mean, settings.beta)
    distance = nearest(keys[~held], keys[held]).distance
    radius = float(np.quantile(distance, settings.quantile))
    if radius == 0:
        raise TrainingError(
            f"{settings.quantile:.0%} of {int(held.sum())} held-out steps are copies of other steps, so there "
            "is no distance to measure by. Log more varied tasks, or raise the quantile."
        )
    distinct = np.unique(keys.astype(np.float32), axis=0)
    return SupportIndex(
        distinct, pair_mean, state_mean, settings.beta, radius, settings.quantile, int(held.sum())
    )


def support_of_data(
    data: CriticData, critic: QCritic, settings: SupportSettings | None = None
) -> SupportIndex:
    """The index over the logged steps of a critic's own training data; no feature is computed.

    Raises ``TrainingError`` without tasks, and where the settings ask for states and the data has none.
    """
    settings = settings or SupportSettings()
    width = data.q_features.shape[1] - proposal_width(critic.config.proposal)
    if data.tasks is None:
        raise TrainingError("the data has no tasks, by which steps are held out; give CriticData.tasks.")
    states = None
    if settings.states:
        if data.state_features is None or data.state_rows is None:
            raise TrainingError(
                "the data has no features of states; give critic_data a store of states, or set states=False."
            )
        states = data.state_features[data.state_rows]
    return build_support(data.q_features[data.q_rows][:, :width], list(data.tasks), states, settings)


def support_of_log(
    episodes: Iterable[Episode], critic: QCritic, settings: SupportSettings | None = None
) -> SupportIndex:
    """The index over the executed actions of a log, for a critic that exists already.

    Steps whose action did not parse are left out. Memory: the features of all steps, 4 bytes x width each.
    Raises ``TrainingError`` for a log without such steps.
    """
    settings = settings or SupportSettings()
    config = critic.config
    extractor = FeatureExtractor(
        critic.backbone,
        config.layers,
        config.pooling,
        grounding=critic.grounding,
        grounding_name=config.grounding,
        truncation=config.truncation,
    )
    steps = (
        (step.messages, step.decision.chosen.action, episode.trajectory.task)
        for episode in episodes
        for step in episode.trajectory.steps
        if step.decision.chosen.action is not None
    )
    pairs: list[NDArray[np.float32]] = []
    states: list[NDArray[np.float32]] = []
    tasks: list[str] = []
    while window := list(islice(steps, _WINDOW)):
        messages: list[Messages] = [state for state, _, _ in window]
        pairs.append(extractor.pairs([(state, action) for state, action, _ in window]))
        tasks += [task for _, _, task in window]
        if settings.states:
            states.append(extractor.states(messages))
    if not pairs:
        raise TrainingError(
            "the log has no step with a parsed action, so nothing is supported. Collect some."
        )
    return build_support(
        np.concatenate(pairs), tasks, np.concatenate(states) if settings.states else None, settings
    )
