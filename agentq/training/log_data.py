"""From a trajectory log to what critics are trained on: feature rows with targets, or token examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agentq.backbones.backbone import Backbone
from agentq.critics.groundings import Grounding, grounded_text
from agentq.errors import TrainingError
from agentq.features.extract import FeatureExtractor, Pair
from agentq.features.log import Progress, extract_log
from agentq.features.proposal import Proposal, action_log_probs, training_proposals
from agentq.features.store import FeatureStore, RowNumbers
from agentq.training.critic_data import CriticData
from agentq.training.joint import JointExample
from agentq.training.rows import JoinedRows, Rows
from agentq.trajectories.reader import Episode
from agentq.trajectories.transitions import Transition, transitions
from agentq.types import FloatArray


@dataclass(frozen=True, slots=True)
class LoggedState:
    """One logged step as a critic sees it: its distinct actions, which was taken, and their labels."""

    transition: Transition
    actions: tuple[str, ...]  # the action taken is among them, even when it did not parse
    logged: int
    labels: FloatArray | None  # (len(actions),) NaN: not labelled; None: no candidate of the step is


def logged_states(episodes: Iterable[Episode], gamma: float) -> Iterator[LoggedState]:
    """The steps of a log with their distinct candidate actions; returns are discounted by ``gamma``."""
    for step in transitions(episodes, gamma):
        labels: dict[str, float] = {}
        for column, candidate in enumerate(step.candidates):
            if candidate.action is not None:
                label = np.nan if step.labels is None else float(step.labels[column])
                labels.setdefault(candidate.action, label)
        labels.setdefault(step.action, np.nan)
        actions = tuple(labels)
        values = np.array([labels[action] for action in actions])
        yield LoggedState(
            step, actions, actions.index(step.action), None if np.isnan(values).all() else values
        )


def critic_data(
    episodes: Iterable[Episode],
    extractor: FeatureExtractor,
    store: FeatureStore,
    gamma: float,
    *,
    states: FeatureStore | None = None,
    proposal: Proposal = "none",
    progress: Callable[[Progress], None] | None = None,
) -> CriticData:
    """Features of every candidate of a log (computed where ``store`` lacks them) and the arrays over them.

    ``episodes`` is read twice (a ``TrajectoryReader``). ``states`` is a store of the extractor's key
    "states": needed by V heads, td and iql. ``proposal`` adds columns on how likely the policy found a candidate.
    Raises ``TrainingError`` for a log without steps.
    """
    found = extract_log(_candidate_pairs(episodes, gamma), extractor, store, progress)
    arrays = _Arrays()
    columns: list[NDArray[np.float32]] = []
    start = 0
    for number, state in enumerate(logged_states(episodes, gamma)):
        end = start + len(state.actions)
        # Features of one action in one state are shared by all steps that met it; how it was proposed is not.
        arrays.add(state, found.rows[start:end] if proposal == "none" else np.arange(start, end))
        columns.append(training_proposals(proposal, state.transition.candidates, state.actions, number))
        start = end
    if not start:
        raise TrainingError("the log has no steps, so there is nothing to learn. Collect episodes first.")
    features = store if proposal == "none" else JoinedRows(store, found.rows, np.concatenate(columns))
    data = arrays.data(features)
    return data if states is None else _with_states(data, episodes, extractor, states, gamma)


def joint_examples(
    episodes: Iterable[Episode],
    backbone: Backbone,
    grounding: Grounding | None,
    gamma: float,
    proposal: Proposal = "none",
) -> list[JointExample]:
    """Token examples of every logged step, for ``fit_joint``."""

    def ids(step: Transition, action: str) -> tuple[int, ...]:
        return tuple(backbone.action_ids(grounded_text(step.messages, action, grounding)))

    return [
        JointExample(
            prompt=tuple(backbone.prompt_ids(state.transition.messages)),
            candidates=tuple(ids(state.transition, action) for action in state.actions),
            logged=state.logged,
            returns=state.transition.return_to_go,
            labels=() if state.labels is None else tuple(map(float, state.labels)),
            proposals=tuple(
                tuple(map(float, row))
                for row in training_proposals(proposal, state.transition.candidates, state.actions, number)
            ),
            reward=state.transition.reward,
            terminated=state.transition.terminated,
            next_prompt=()
            if state.transition.next_messages is None
            else tuple(backbone.prompt_ids(state.transition.next_messages)),
            task=state.transition.task,
        )
        for number, state in enumerate(logged_states(episodes, gamma))
    ]


def _candidate_pairs(episodes: Iterable[Episode], gamma: float) -> Iterator[Pair]:
    for state in logged_states(episodes, gamma):
        for action in state.actions:
            yield state.transition.messages, action


class _Arrays:
    """Columns of ``CriticData``, one entry per logged step."""

    def __init__(self) -> None:
        self.rows: list[RowNumbers] = []
        self.labels: list[FloatArray | None] = []
        self.logged: list[int] = []
        self.returns: list[float] = []
        self.rewards: list[float] = []
        self.terminated: list[bool] = []
        self.tasks: list[str] = []
        self.followed: list[bool] = []
        self.log_probs: list[NDArray[np.float32]] = []

    def add(self, state: LoggedState, rows: RowNumbers) -> None:
        self.rows.append(rows)
        self.labels.append(state.labels)
        self.logged.append(state.logged)
        self.returns.append(state.transition.return_to_go)
        self.rewards.append(state.transition.reward)
        self.terminated.append(state.transition.terminated)
        self.tasks.append(state.transition.task)
        self.followed.append(state.transition.next_index is not None)
        known = action_log_probs(state.transition.candidates)
        self.log_probs.append(np.array([known.get(a, np.nan) for a in state.actions], dtype=np.float32))

    def data(self, features: Rows) -> CriticData:
        most = max(map(len, self.rows))
        groups = np.full((len(self.rows), most), -1, dtype=np.int64)
        labels = np.full(groups.shape, np.nan)
        log_probs = np.full(groups.shape, np.nan, dtype=np.float32)
        for number, (rows, values) in enumerate(zip(self.rows, self.labels, strict=True)):
            groups[number, : len(rows)] = rows
            log_probs[number, : len(rows)] = self.log_probs[number]
            if values is not None:
                labels[number, : len(rows)] = values
        logged = np.array(self.logged)
        # Step i and group i are of one state, so one array says what followed in both senses.
        following = np.where(self.followed, np.arange(1, len(groups) + 1), -1)
        return CriticData(
            q_features=features,
            q_rows=groups[np.arange(len(groups)), logged],
            returns=np.array(self.returns),
            rewards=np.array(self.rewards),
            terminated=np.array(self.terminated),
            tasks=self.tasks,
            group_rows=groups,
            group_labels=None if np.isnan(labels).all() else labels,
            group_logged=logged,
            group_tasks=self.tasks,
            next_steps=following,
            next_groups=following,
            group_log_probs=None if np.isnan(log_probs).all() else log_probs,
        )


def _with_states(
    data: CriticData,
    episodes: Iterable[Episode],
    extractor: FeatureExtractor,
    store: FeatureStore,
    gamma: float,
) -> CriticData:
    """Add features of states and next states; a next state that the log lacks is -1."""

    def pairs() -> Iterator[Pair]:
        for step in transitions(episodes, gamma):
            yield step.messages, None
            if step.bootstraps and step.next_messages is not None:
                yield step.next_messages, None

    rows = iter(extract_log(pairs(), extractor, store).rows)
    here: list[int] = []
    following: list[int] = []
    for step in transitions(episodes, gamma):
        here.append(int(next(rows)))
        following.append(int(next(rows)) if step.bootstraps else -1)
    return replace(
        data,
        state_features=store,
        state_rows=np.array(here),
        next_state_rows=np.array(following),
    )
