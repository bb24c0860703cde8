"""Score the candidates of a log again with another critic, choose again, and say what would change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from agentq.critics.base import Critic, Scores
from agentq.errors import ConfigError, EvaluationError
from agentq.selectors.registry import load_selector, options_of
from agentq.trajectories.reader import Episode
from agentq.trajectories.transitions import NOT_EXECUTED
from agentq.types import Candidate, Decision, Messages, Step, Trajectory
from agentq_eval.offline.agreement import Agreement, AgreementTally
from agentq_eval.offline.off_policy import Bounds, OffPolicyReport, WeighedEpisode, off_policy
from agentq_eval.offline.replay import Replays, invalid_choice
from agentq_eval.offline.rescored_log import RescoredLog, played_decision, with_decision
from agentq_eval.offline.source import (
    INVALID,
    RESCORED,
    LoggedRun,
    Rule,
    SelectorBook,
    SelectorOptions,
    Unknown,
    arm_of,
    decision_stream,
    open_log,
)
from agentq_eval.offline.weighing import DecisionPair, executed, weigh

#: Flag of every decision that was not made while the episode was played.
COUNTERFACTUAL = "rescored"


@dataclass(frozen=True, slots=True)
class RescoreSettings:
    """How to score and choose again."""

    critic: str = ""  # its name in the rescored log
    selector: str | None = None  # None: each arm keeps the selector of the log
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of ``selector``
    logged: SelectorOptions = field(default_factory=dict[str, Mapping[str, Any]])  # where no plan has them
    gamma: float = 1.0  # discount per step of the off-policy estimates; 1: the score of reports
    batch_size: int = 64  # states per call of the critic
    arms: tuple[str, ...] = ()  # name or name@n; (): all
    exchangeable: bool = False  # count the selector ``first`` as a draw among the samples
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size={self.batch_size}: expected at least 1 state per call.")


@dataclass(frozen=True, slots=True)
class ArmRescore:
    """What another critic and selector change in one arm."""

    arm: str  # name@n, or log
    episodes: int
    agreement: Agreement
    off_policy: OffPolicyReport


@dataclass(frozen=True, slots=True)
class RescoreReport:
    """What was found, by arm; attempts that infrastructure broke off are left out."""

    source: str
    critic: str
    selector: str | None
    options: Mapping[str, Any]
    arms: tuple[ArmRescore, ...]
    all: Agreement

    def content(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def rescore(
    source: str | Path,
    critic: Critic | None,
    settings: RescoreSettings | None = None,
    output: Path | None = None,
) -> RescoreReport:
    """Score the candidates of a run or log with ``critic``, choose again and compare.

    Without a critic the logged values stand (per head and support too) and only the selector is another one.
    Random selectors use the logged draw, else the evaluation's own, so that equal distributions choose the
    same. With ``output`` the rescored log is written there; a second call goes on where the first one
    stopped. Memory: some numbers per decision. Raises ``EvaluationError`` where there is nothing to score,
    where options of a logged selector are unknown, or where ``output`` holds something else.
    """
    settings = settings or RescoreSettings()
    run = open_log(source)
    chooser = _Chooser(run, critic, settings)
    tallies: dict[str, _ArmTally] = {}
    with RescoredLog(output, source=run.reader.directory, about=chooser.about()) as written:
        for window in _windows(run, settings):
            for episode, new in zip(window, chooser.episodes(window, written), strict=True):
                written.add(episode.id, new)
                if episode.trajectory.metadata.get("outcome") != "infrastructure":
                    tally = tallies.setdefault(arm_of(new), _ArmTally(arm_of(new), settings))
                    tally.add(episode.trajectory, new)
        if not tallies:
            arms = f" of the arms {', '.join(settings.arms)}" if settings.arms else ""
            raise EvaluationError(f"no ended episode{arms} in {str(source)!r}: nothing to score again.")
        everything = AgreementTally()
        for tally in tallies.values():
            everything.merge(tally.agreement)
        report = RescoreReport(
            source=str(source),
            critic=settings.critic,
            selector=settings.selector,
            options=settings.options,
            arms=tuple(tally.result() for tally in tallies.values()),
            all=everything.result(),
        )
        written.summarise(report.content())
    return report


def _windows(run: LoggedRun, settings: RescoreSettings) -> Iterator[list[Episode]]:
    """Episodes in the order of the log, at least ``batch_size`` states together.

    The same episodes are always together, so that a resumed call gives a critic the same batches.
    """
    window: list[Episode] = []
    states = 0
    for episode in run.reader:
        arm = arm_of(episode.trajectory)
        if settings.arms and not {arm, arm.rpartition("@")[0]} & set(settings.arms):
            continue
        window.append(episode)
        states += len(episode.trajectory.steps)
        if states >= settings.batch_size:
            yield window
            window, states = [], 0
    if window:
        yield window


class _Chooser:
    """Makes the new decisions of a window of episodes."""

    def __init__(self, run: LoggedRun, critic: Critic | None, settings: RescoreSettings) -> None:
        self._critic = critic
        self._settings = settings
        self._book = SelectorBook(run.manifest, settings.logged)
        self._rule: Rule | None = None
        if settings.selector is not None:
            selector = load_selector(settings.selector, **settings.options)
            self._rule = Rule(settings.selector, dict(settings.options), selector)
        elif settings.options:
            raise ConfigError(
                f"options {dict(settings.options)} without a selector; name it with --selector."
            )

    def about(self) -> dict[str, Any]:
        """What makes two rescorings the same."""
        return {
            "critic": self._settings.critic,
            "fingerprint": getattr(self._critic, "fingerprint", None),
            "selector": self._settings.selector,
            "options": dict(self._settings.options),
            "logged": {name: dict(options) for name, options in self._settings.logged.items()},
        }

    def episodes(self, window: Sequence[Episode], written: RescoredLog) -> list[Trajectory]:
        """The window's trajectories with new decisions; read back where all of them are already written."""
        done = [written.read(episode.id) for episode in window]
        complete = [trajectory for trajectory in done if trajectory is not None]
        if len(complete) == len(window):
            return complete
        steps = [step for episode in window for step in episode.trajectory.steps]
        if self._critic is None:
            scores = iter([Scores.of(step.decision) for step in steps])
        else:
            states = [(step.messages, step.decision.candidates) for step in steps]
            scores = iter(self._scores(self._critic, states))
        return [self._rescored(episode, scores) for episode in window]

    def _scores(self, critic: Critic, states: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        size = self._settings.batch_size
        found: list[Scores] = []
        for start in range(0, len(states), size):
            found += critic.score_heads(states[start : start + size])
        if len(found) != len(states):
            raise EvaluationError(
                f"critic {self._settings.critic!r} gave {len(found)} results for {len(states)} states: "
                "expected one each, in order."
            )
        return found

    def _rescored(self, episode: Episode, scores: Iterator[Scores]) -> Trajectory:
        trajectory = episode.trajectory
        steps: list[Step] = []
        used: dict[str, Any] = {"selector": None, "options": {}}
        for number, step in enumerate(trajectory.steps):
            rule = self._rule_of(episode, number)
            if rule is not None:
                used = {"selector": rule.name, "options": dict(rule.options)}
            decision = _decide(rule, trajectory, number, next(scores))
            steps.append(with_decision(step, decision))
        about = {**self.about(), **used, "before": trajectory.metadata.get(RESCORED)}
        return replace(trajectory, steps=tuple(steps), metadata={**trajectory.metadata, RESCORED: about})

    def _rule_of(self, episode: Episode, number: int) -> Rule | None:
        """The selector of a step; None where no candidate can be chosen among."""
        decision = episode.trajectory.steps[number].decision
        if not any(candidate.valid for candidate in decision.candidates):
            return None
        if self._rule is not None:
            return self._rule
        found = self._book.find(episode.trajectory, decision)
        if isinstance(found, Unknown):
            raise EvaluationError(
                f"{episode.id} step {number}: {found.reason}. Name the selector to choose with (--selector)."
            )
        return found


def _decide(rule: Rule | None, trajectory: Trajectory, number: int, scores: Scores) -> Decision:
    logged = trajectory.steps[number].decision
    name, draw, flags, options = INVALID, None, (), None
    if rule is None:
        choice = invalid_choice(logged)
        index, probabilities = choice.index, choice.probabilities
    else:
        fresh = rule.selector.select(scores, logged.candidates, decision_stream(trajectory, number))
        index, probabilities, name, draw = fresh.index, fresh.probabilities, rule.name, fresh.draw
        flags, options = fresh.flags, options_of(rule.selector)
        if draw is not None and logged.draw is not None and isinstance(rule.selector, Replays):
            draw = logged.draw
            index = rule.selector.replay(scores, logged.candidates, draw)
    taken = played_decision(trajectory.steps[number]).chosen
    other = executed(logged.candidates[index]) != executed(taken)
    return Decision(
        candidates=logged.candidates,
        q=scores.q,
        probabilities=probabilities,
        index=index,
        draw=draw,
        head_q=scores.head_q,
        selector=name,
        flags=(COUNTERFACTUAL, NOT_EXECUTED, *flags) if other else (COUNTERFACTUAL, *flags),
        support=scores.support,
        selector_options=options,
    )


class _ArmTally:
    def __init__(self, arm: str, settings: RescoreSettings) -> None:
        self.arm, self.settings = arm, settings
        self.agreement = AgreementTally()
        self.weighed: list[WeighedEpisode] = []

    def add(self, logged: Trajectory, new: Trajectory) -> None:
        pairs: list[DecisionPair] = []
        for before, after in zip(logged.steps, new.steps, strict=True):
            self.agreement.add(logged.task, before.decision, after.decision)
            pairs.append(DecisionPair(played_decision(before), after.decision, before.reward))
        self.weighed.append(weigh(logged.task, pairs, exchangeable=self.settings.exchangeable))

    def result(self) -> ArmRescore:
        report = off_policy(self.weighed, self.settings.gamma, self.settings.bounds)
        return ArmRescore(self.arm, len(self.weighed), self.agreement.result(), report)
