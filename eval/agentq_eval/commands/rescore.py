"""``agentq rescore LOG --critic NEW``: another critic and selector on the candidates of a log."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentq.critics.base import Critic

HELP = "score a log again with another critic; agreement and off-policy values of the new choices"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("log", type=Path, metavar="LOG", help="folder of a run or of a trajectory log")
    parser.add_argument(
        "--critic", required=True, help="a folder of a saved critic, a hub name, or module:function"
    )
    parser.add_argument(
        "--selector", metavar="NAME[:key=value,...]",
        help="who chooses by the new values (default: the selector of the log), e.g. softmax:temperature=0.2",
    )  # fmt: skip
    parser.add_argument(
        "--selector-options", nargs="+", default=[], metavar="KEY=VALUE", help="of --selector"
    )
    parser.add_argument(
        "--logged", action="append", default=[], metavar="NAME[:key=value,...]",
        help="options of a logged selector, where LOG is not in a run (repeatable)",
    )  # fmt: skip
    parser.add_argument("--arms", default="", help="only these arms, e.g. softmax,best_of_n@8")
    parser.add_argument("--gamma", type=float, default=1.0, help="discount per step of off-policy values")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="write the rescored log; resumes by itself"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="states per call of the critic")
    parser.add_argument("--device", default="auto", help="of a saved critic")
    parser.add_argument(
        "--exchangeable", action="store_true",
        help="count the selector `first` as a draw among the samples: they are independent",
    )  # fmt: skip
    parser.add_argument(
        "--min-effective", type=float, default=30.0, help="refuse off-policy values below so many episodes"
    )
    parser.add_argument(
        "--max-share", type=float, default=0.2, help="refuse where one episode has more of the weight"
    )
    parser.add_argument(
        "--max-uncovered", type=float, default=1e-6,
        help="refuse where more of the new episodes leave what the logged selector could choose",
    )  # fmt: skip
    parser.add_argument(
        "--max-drift", type=float, default=0.3, help="refuse where the mean weight is further from 1"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Rescore and print. Raises ``EvaluationError`` and ``ConfigError`` for what cannot be done."""
    import json

    from agentq_eval.offline.off_policy import Bounds
    from agentq_eval.offline.rescore import RescoreSettings, rescore
    from agentq_eval.offline.rescore_text import rescore_text
    from agentq_eval.suites.changes import selector_of

    name, options = selector_of(arguments.selector) if arguments.selector else (None, {})
    settings = RescoreSettings(
        critic=arguments.critic,
        selector=name,
        options={**options, **_options(arguments.selector_options)},
        logged=dict(selector_of(text) for text in arguments.logged),
        gamma=arguments.gamma,
        batch_size=arguments.batch_size,
        arms=tuple(arm.strip() for arm in arguments.arms.split(",") if arm.strip()),
        exchangeable=arguments.exchangeable,
        bounds=Bounds(
            arguments.min_effective, arguments.max_share, arguments.max_uncovered, arguments.max_drift
        ),
    )
    critic = load_critic(arguments.critic, arguments.device)
    report = rescore(arguments.log, critic, settings, arguments.output)
    print(json.dumps(report.content(), indent=1) if arguments.json else rescore_text(report))
    return 0


def load_critic(name: str, device: str = "auto") -> Critic:
    """A saved critic by its name (``agentq.critics.loading``), or a function ``module:function``.

    Raises ``ConfigError`` for a function that does not import or gives no critic, ``CheckpointError`` for a
    folder that is none.
    """
    from agentq.critics.base import Critic
    from agentq.errors import ConfigError
    from agentq_eval.running.building import dotted
    from agentq_eval.suites.changes import critic_of

    factory = "" if Path(name).is_dir() else critic_of(name).factory
    if not factory:
        from agentq.critics.loading import load_critic as load_saved

        return load_saved(name, device=device)
    function = dotted(factory)
    found: Any = function() if callable(function) else function
    if not isinstance(found, Critic):
        raise ConfigError(
            f"{factory!r} gives {type(found).__name__}, expected a critic with score and score_heads."
        )
    return found


def _options(pairs: Iterable[str]) -> dict[str, Any]:
    from agentq_eval.suites.changes import selector_of

    found: dict[str, Any] = {}
    for pair in pairs:
        found |= selector_of(f":{pair}")[1]
    return found
