"""The figures of one arm: score, success, cost, what it proposed."""

from __future__ import annotations

from collections.abc import Sequence

from agentq_eval.episodes import EpisodeResult
from agentq_eval.reports.cohort import MOST_WEIGHTS, Cohort, Shared
from agentq_eval.reports.settings import ArmKey, Report, ReportSettings, limits
from agentq_eval.statistics import clustered_error, interquartile_interval, t_interval


def arm_figures(shared: Shared) -> Report:
    """One entry of ``arms`` and of ``curve``."""
    cell = shared.cells[0]
    score = shared.bootstrap.score(shared.scores(0))
    success = shared.bootstrap.rate(shared.successes(0))
    return {
        "n_candidates": cell[0].n,
        "score": {"mean": score.value, **limits(score)},
        "success": {"rate": success.value, **limits(success)},
        **_other_estimators(shared),
        **cost_figures(cell),
        **proposal_figures(cell),
    }


def _other_estimators(shared: Shared) -> Report:
    scores, confidence = shared.scores(0), shared.bootstrap.confidence
    t = t_interval(scores, shared.tasks, confidence)
    middle = interquartile_interval(
        scores, shared.tasks, max(200, min(2000, MOST_WEIGHTS // 4 // len(scores))), confidence=confidence
    )
    return {
        "t_interval": limits(t),
        "standard_error": clustered_error(scores, shared.tasks),
        "interquartile_mean": {"value": middle.value, **limits(middle)},
    }


def cost_figures(cell: Sequence[EpisodeResult]) -> Report:
    """Seconds and tokens per decision and episode, steps per episode."""
    decisions = sum(result.decisions for result in cell)
    seconds, tokens = sum(result.seconds for result in cell), sum(result.tokens for result in cell)
    return {
        "seconds_per_decision": _ratio(seconds, decisions),
        "tokens_per_decision": _ratio(tokens, decisions),
        "seconds_per_episode": seconds / len(cell),
        "tokens_per_episode": tokens / len(cell),
        "steps_per_episode": sum(result.steps for result in cell) / len(cell),
    }


def proposal_figures(cell: Sequence[EpisodeResult]) -> Report:
    """Of all candidates that were drawn, the shares that did not parse and that repeated another one."""
    samples = sum(result.samples for result in cell)
    return {
        "parser_failure_rate": _ratio(sum(result.unparsed for result in cell), samples),
        "duplicate_rate": _ratio(sum(result.duplicates for result in cell), samples),
    }


def main_arms(cohort: Cohort, main_n: int) -> dict[str, ArmKey]:
    """One key per arm's name: at the N of the headline; where it was not played, at the nearest N below it.

    An arm that was played only with more takes the least of them.
    """
    sizes: dict[str, list[int]] = {}
    for name, n in cohort.cells:
        sizes.setdefault(name, []).append(n)
    return {
        name: (name, max((n for n in played if n <= main_n), default=min(played)))
        for name, played in sizes.items()
    }


def curve(cohort: Cohort, settings: ReportSettings) -> dict[str, list[Report]]:
    """Every arm over N. With one candidate there is no choice: that point is the arm ``one_sample``'s."""
    points: dict[str, list[Report]] = {}
    for key in sorted(cohort.cells, key=lambda key: key[1]):
        points.setdefault(key[0], []).append(arm_figures(cohort.of(key)))
    one = [point for point in points.get(settings.one_sample, []) if point["n_candidates"] == 1]
    order = dict.fromkeys(name for name, _ in cohort.cells)
    return {
        name: points[name] if points[name][0]["n_candidates"] == 1 else [*one, *points[name]]
        for name in order
    }


def _ratio(above: float, below: float) -> float | None:
    return above / below if below else None
