"""What a report compares, and the shape of its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentq.errors import EvaluationError
from agentq_eval.episodes import EpisodeResult
from agentq_eval.statistics import Estimate

#: Of ``report.json``; docs/report_schema.md describes it.
SCHEMA_VERSION = 2
Report = dict[str, Any]
#: Sections that a report may leave out; what was played and what became of it is always there.
SECTIONS = ("gain", "curve", "values", "cost", "failures")
#: An arm's name and its number of candidates per decision.
ArmKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """The roles of the arms, and how intervals are made. No arm has to exist unless it is ``required``."""

    main_n: int | None = (
        None  # N of the headline; None: 8 when the method was played with it, else its largest
    )
    required: tuple[str, ...] = ()  # arms without which there is no report
    method: str = "best_of_n"  # whose gain is the headline
    bases: tuple[str, ...] = ("sampled", "greedy")  # what a gain is measured against: the better of them
    oracle: str = "oracle"  # what nothing that does not know the answer could exceed
    one_sample: str = "sampled"  # the arm that every choice among candidates is with one candidate
    repetitions: int = 10_000  # bootstrap resamples
    seed: int = 0  # of the bootstrap
    confidence: float = 0.95
    sections: tuple[str, ...] = SECTIONS  # a suite's ``metrics``

    def __post_init__(self) -> None:
        check_sections(self.sections)
        if self.method in self.bases:
            raise EvaluationError(
                f"the arm {self.method!r} is the method and one of the bases {', '.join(self.bases)}: "
                "it would gain nothing over itself. Name another method or other bases."
            )


def check_sections(sections: Sequence[str]) -> None:
    """Raise ``EvaluationError`` for a section that does not exist or is named twice."""
    unknown = [name for name in sections if name not in SECTIONS]
    if unknown or len(set(sections)) != len(sections):
        raise EvaluationError(
            f"metrics {list(sections)}: expected each at most once, out of {', '.join(SECTIONS)}."
        )


def settings_of(stored: Mapping[str, Any]) -> ReportSettings:
    """The settings of a report's key ``settings``. Raises ``TypeError`` for unknown or missing ones."""
    names = ("required", "bases", "sections")
    lists: dict[str, Any] = {name: tuple(stored[name]) for name in names if name in stored}
    return ReportSettings(**{**stored, **lists})


def key_of(result: EpisodeResult) -> ArmKey:
    """The arm of an episode."""
    return result.arm, result.n


def key_text(key: ArmKey) -> str:
    """The arm as ids, tables and the command line write it: ``name@n``."""
    return f"{key[0]}@{key[1]}"


def limits(estimate: Estimate) -> dict[str, Any]:
    """An estimate's interval and the number of episodes behind it."""
    return {"low": estimate.low, "high": estimate.high, "n": estimate.n}
