"""A suite as an object: environment, frozen panel, limits, and the arms that are compared on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from agentq.backbones.config import Dtype, Quantization
from agentq.config import to_dict
from agentq.errors import ConfigError, EvaluationError
from agentq_eval.episodes import ORACLE, WITH_SIMULATOR
from agentq_eval.reports.settings import SECTIONS, check_sections


@dataclass(frozen=True)
class EnvironmentSpec:
    """Which Gymnasium environment is played."""

    id: str  # of Gymnasium, e.g. agentq_envs:agentq/WebShop-v0, or module:Class
    options: dict[str, Any] = field(default_factory=dict[str, Any])  # its keyword arguments
    #: The keyword of the step limit; "": the environment has none and Gymnasium's TimeLimit is put around it.
    step_limit: str = "max_steps"


@dataclass(frozen=True)
class PanelSpec:
    """Which tasks. The hash is that of the whole panel; a suite with a hash never runs on other tasks."""

    name: str = ""  # a panel that the environment ships
    file: str = ""  # or a panel file; relative to the suite file
    tasks: tuple[str, ...] = ()  # or the task ids themselves
    hash: str = ""  # SHA-256 of the panel; "": not frozen
    first: int | None = None  # play only so many


@dataclass(frozen=True)
class PolicySpec:
    """Who proposes: a transformers model, or whatever a factory returns."""

    model: str = "embedded"  # hub name, folder, or a bundled model
    dtype: Dtype = "float32"
    quantization: Quantization = "none"
    device: str = "auto"
    temperature: float = 0.8
    top_p: float = 1.0
    max_new_tokens: int = 48  # of free text
    restrict: bool = True  # sample admissible actions only, where the environment lists them
    factory: str = ""  # module:function instead of a model; called with options, returns a Policy
    options: dict[str, Any] = field(default_factory=dict[str, Any])  # of the factory


@dataclass(frozen=True)
class CriticSpec:
    """Who values: a saved critic, or whatever a factory returns."""

    path: str = ""  # folder, bundled or hub name, or FOLDER@URL of a server (agentq.critics.loading)
    device: str = "auto"
    factory: str = ""  # module:function instead; called with options, returns a Critic
    options: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class ArmSpec:
    """One way to choose. With several N the arm is played once for each."""

    name: str
    selector: str = "first"  # a name of agentq.selectors, or oracle, or tree_search
    options: dict[str, Any] = field(default_factory=dict[str, Any])  # of the selector
    n: tuple[int, ...] = (8,)  # candidates per decision
    critic: bool = False  # whether the suite's critic values the candidates
    temperature: float | None = None  # of the policy; none: the suite's
    agent: str = ""  # module:function instead of all this: returns a Decider or an agentq.Agent


@dataclass(frozen=True)
class Timeouts:
    """Seconds after which a step or an episode is given up, as an outcome of its own; none: never."""

    step: float | None = 600.0  # one call: of policy and critic for a batch, or of the environment
    episode: float | None = None  # its steps and its share of batched decisions


@dataclass(frozen=True)
class Roles:
    """Which arms the headline figures compare."""

    method: str = "best_of_n"
    bases: tuple[str, ...] = ("sampled", "greedy")  # the better one is what a gain is over
    oracle: str = ORACLE
    main_n: int | None = (
        None  # N of the headline; none: 8 where the method was played with it, else its largest
    )


@dataclass(frozen=True)
class Suite:
    """An evaluation that anybody can repeat."""

    name: str
    environment: EnvironmentSpec
    panel: PanelSpec
    arms: tuple[ArmSpec, ...]
    title: str = ""
    policy: PolicySpec = field(default_factory=PolicySpec)
    critic: CriticSpec | None = None
    seeds: tuple[int, ...] = (0,)  # one episode per task, seed and arm
    max_steps: int | None = 15
    success_score: float | None = None  # success of environments that do not report it in info["success"]
    labels: Literal["none", "lookahead"] = (
        "none"  # exact values of all candidates, where the environment has them
    )
    gamma: float = 0.9  # discount of labels and of the returns that calibration compares Q with
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: int = 2  # of an episode that infrastructure broke off
    retry_wait: float = 1.0  # seconds before the first retry; four times as long before each next one
    #: Errors besides ConnectionError, TimeoutError and InfrastructureError that are not the agent's fault.
    infrastructure_errors: tuple[str, ...] = (
        "httpx.TransportError", "requests.exceptions.ConnectionError", "requests.exceptions.Timeout",
        "urllib3.exceptions.HTTPError", "openai.APIConnectionError", "openai.InternalServerError",
        "openai.RateLimitError", "ray.exceptions.RayError",
    )  # fmt: skip
    roles: Roles = field(default_factory=Roles)
    metrics: tuple[str, ...] = SECTIONS  # of the report, any of gain, curve, values, cost, failures

    def __post_init__(self) -> None:
        check(self)

    @property
    def uses_critic(self) -> bool:
        """Whether any arm needs the critic."""
        return any(arm.critic for arm in self.arms)

    def content(self) -> dict[str, Any]:
        """The suite as plain JSON types; what its hash is of."""
        return to_dict(self)


def check(suite: Suite) -> None:
    """Raise ``ConfigError`` for a suite that cannot be played."""
    where = f"suite {suite.name!r}"
    if not suite.arms:
        raise ConfigError(f"{where} has no arms. Name at least one.")
    if not suite.seeds or len(set(suite.seeds)) != len(suite.seeds) or min(suite.seeds) < 0:
        raise ConfigError(f"{where}: seeds {list(suite.seeds)}, expected different numbers of at least 0.")
    if suite.retries < 0 or suite.retry_wait < 0:
        raise ConfigError(f"{where}: retries {suite.retries}, retry_wait {suite.retry_wait}: expected >= 0.")
    for name, seconds in (("step", suite.timeouts.step), ("episode", suite.timeouts.episode)):
        if seconds is not None and not seconds > 0:
            raise ConfigError(f"{where}: timeouts.{name} is {seconds}, expected seconds above 0, or none.")
    named = [bool(suite.panel.name), bool(suite.panel.file), bool(suite.panel.tasks)]
    if sum(named) != 1:
        raise ConfigError(f"{where}: panel needs exactly one of name, file and tasks.")
    if suite.panel.first is not None and suite.panel.first < 1:
        raise ConfigError(f"{where}: panel.first is {suite.panel.first}, expected at least 1, or none.")
    try:
        check_sections(suite.metrics)
    except EvaluationError as error:
        raise ConfigError(f"{where}: {error}") from error
    seen: set[tuple[str, int]] = set()
    for arm in suite.arms:
        _check_arm(suite, arm)
        for n in arm.n:
            if (arm.name, n) in seen:
                raise ConfigError(f"{where} has the arm {arm.name!r} with N={n} twice.")
            seen.add((arm.name, n))


def _check_arm(suite: Suite, arm: ArmSpec) -> None:
    where = f"suite {suite.name!r}, arm {arm.name!r}"
    if not arm.name or any(sign in arm.name for sign in "@|#!/\\\n"):
        raise ConfigError(f"{where}: a name has at least one character and none of @ | # ! / \\.")
    if not arm.n or min(arm.n) < 1:
        raise ConfigError(f"{where}: n is {list(arm.n)}, expected numbers of at least 1.")
    temperature = suite.policy.temperature if arm.temperature is None else arm.temperature
    if temperature == 0 and max(arm.n) > 1 and not (suite.policy.factory or arm.agent):
        raise ConfigError(
            f"{where}: temperature 0 makes {max(arm.n)} equal candidates. Set a temperature above 0, or n: [1]."
        )
    if arm.critic and suite.critic is None:
        raise ConfigError(
            f"{where} needs a critic, and the suite has none. Name one in the suite, or with --critic."
        )
    if arm.agent or arm.selector in WITH_SIMULATOR:
        return
    from agentq.selectors.registry import load_selector

    load_selector(arm.selector, **arm.options)
