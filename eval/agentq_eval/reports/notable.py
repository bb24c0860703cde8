"""Episodes worth reading: where the method and its base came out most differently."""

from __future__ import annotations

from agentq_eval.episodes import EpisodeResult
from agentq_eval.reports.cohort import Cohort
from agentq_eval.reports.contrasts import Roles
from agentq_eval.reports.failures import episode_id
from agentq_eval.reports.settings import ArmKey, Report

EACH = 6  # won and lost


def notable_episodes(cohort: Cohort, roles: Roles) -> Report | None:
    """The tasks with the largest differences, won and lost; None without a method or a base."""
    if roles.method is None or roles.base is None:
        return None
    return most_different(cohort, roles.method, roles.base, EACH)


def most_different(cohort: Cohort, arm: ArmKey, base: ArmKey, each: int) -> Report | None:
    """At most ``each`` episodes that ``arm`` won and lost against ``base``; largest differences first."""
    shared = cohort.shared(arm, base)
    if shared is None:
        return None
    pairs = sorted(
        zip(shared.cells[0], shared.cells[1], strict=True),
        key=lambda pair: (-abs(pair[0].score - pair[1].score), pair[0].task, pair[0].seed),
    )
    return {
        "arm": arm[0],
        "n_candidates": arm[1],
        "base": base[0],
        "base_n_candidates": base[1],
        "won": [_row(a, b) for a, b in pairs if a.score > b.score][:each],
        "lost": [_row(a, b) for a, b in pairs if a.score < b.score][:each],
    }


def _row(result: EpisodeResult, base: EpisodeResult) -> Report:
    return {
        "task": result.task,
        "seed": result.seed,
        "score": result.score,
        "base_score": base.score,
        "episode": episode_id(result),
        "base_episode": episode_id(base),
    }
