"""Train a Q-value critic from logged steps and measure what it gains for the same policy on held-out tasks.

    accelerate launch recipes/train_qvalue.py                       # offline, embedded policy and shop
    accelerate launch recipes/train_qvalue.py --config recipes/configs/quick.yaml
    accelerate launch recipes/train_qvalue.py --policy.model Qwen/Qwen3-0.6B --critic.model same --critic.lora
    accelerate launch recipes/train_qvalue.py --data.products items_shuffle.json \
        --data.attributes items_ins_v2.json --data.human items_human_ins.json
    accelerate launch recipes/train_qvalue.py --config recipes/configs/alfworld.yaml
    accelerate launch recipes/train_qvalue.py --critic.objective.name rover --critic.objective.gamma 1
    accelerate launch recipes/train_qvalue.py --log DIR --evaluation none    # the traffic of `agentq serve --log DIR`

The story: the policy plays training tasks and every candidate of every state gets a value (collect, or read
--log); a frozen backbone turns (state, action) into features; heads learn values from them; then the same
policy plays held-out tasks with different ways to choose among its candidates, and a report compares them.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from accelerate import PartialState

from agentq.agent import Agent
from agentq.backbones import Backbone, BackboneConfig, LoraSettings, load_backbone
from agentq.backbones.config import Dtype, Kind, Quantization
from agentq.config import load_config, to_yaml
from agentq.critics.groundings import resolve_grounding
from agentq.critics.heads import HeadSettings
from agentq.critics.q_head import QCritic, QCriticConfig
from agentq.errors import ConfigError
from agentq.features import FeatureExtractor, FeatureStore
from agentq.features.encoder import Truncation
from agentq.features.proposal import Proposal
from agentq.objectives.aggregation import Aggregation
from agentq.policies.huggingface import HuggingFacePolicy
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.first import First
from agentq.training.critic import fit_heads
from agentq.training.head_loss import ObjectiveSettings
from agentq.training.joint import JointSettings, fit_joint
from agentq.training.log_data import critic_data, joint_examples
from agentq.training.settings import TrainingSettings
from agentq.training.support import SupportSettings, support_of_log
from agentq.trajectories.reader import Episode as LoggedEpisode
from agentq.trajectories.reader import TrajectoryReader
from agentq.trajectories.writer import TrajectoryWriter
from agentq_envs.benchmark import Benchmark, load_benchmark
from agentq_eval.arms import ArmSettings, value_arms
from agentq_eval.collection import LabelSettings, collect
from agentq_eval.episodes import ARMS
from agentq_eval.reports import Report
from agentq_eval.reports.summary import summary
from agentq_eval.rollouts import Episode
from agentq_eval.running.deciders import AgentDecider
from agentq_eval.suites.suite import CriticSpec, EnvironmentSpec, PolicySpec, Roles, Suite
from agentq_eval.value_evaluation import panel_spec, play_value_arms

T = TypeVar("T")
#: What a log without candidate labels can teach, as in configs/logged_returns.yaml.
RETURNS = ObjectiveSettings(weight=1.0, label_weight=0.0, rank_weight=0.0, cql_weight=0.1)


@dataclass(frozen=True)
class PolicyOptions:
    """Who proposes."""

    model: str = "embedded"  # hub name, folder, or the small policy that ships with AgentQ
    dtype: Dtype = "float32"
    quantization: Quantization = "none"  # 8bit and 4bit need the extra `train`
    device: str = "auto"
    temperature: float = 0.8  # of the candidates; greedy decoding is an arm of its own
    top_p: float = 1.0
    max_new_tokens: int = 48  # of free text such as a search
    restrict: bool = True  # sample admissible actions only, where the environment lists them


@dataclass(frozen=True)
class CriticOptions:
    """Who values."""

    model: str = "embedded-critic"  # hub name, folder, or "same": the policy's model
    kind: Kind = "causal"  # or encoder
    dtype: Dtype = "float32"
    quantization: Quantization = "none"
    device: str = "auto"
    lora: LoraSettings | None = None  # train adapters together with the heads; none: frozen features
    layers: tuple[int, ...] = (-1,)  # hidden states that the heads read; several are joined
    pooling: str = "last"  # over the action's tokens; encoders: mean or cls
    grounding: str = "agentq.features.grounding:quoted_line"  # text put behind an action; "": none
    proposal: Proposal = "likelihood"  # heads also read the policy's log-probability; or none
    truncation: Truncation = "error"  # which end of a text too long for an encoder is cut: left or right
    aggregation: Aggregation = "min"  # over heads: min, mean, mean_std, soft_low
    pessimism: float = 1.0  # standard deviations taken off by mean_std
    gamma: float = 0.9  # discount of logged returns
    validation_share: float = 0.1  # of the logged tasks, to choose the best weights
    head: HeadSettings = field(default_factory=lambda: HeadSettings(heads=3, dropout=0.1))
    objective: ObjectiveSettings = field(
        default_factory=lambda: ObjectiveSettings(
            weight=2.0, label_weight=1.0, rank_weight=4.0, groups_per_batch=64
        )
    )
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(steps=600, batch_size=64, evaluate_every=100)
    )
    joint: JointSettings = field(default_factory=JointSettings)  # with lora
    support: SupportSettings | None = None  # keep an index of the logged steps: for the selector pessimistic


@dataclass(frozen=True)
class CollectOptions:
    """How the log is made, unless --log names one."""

    split: Literal["train", "validation"] = (
        "train"  # validation: tasks that the policy has not learnt by heart
    )
    episodes: int = 600  # one per task, in each round
    rounds: int = 1  # from the second on, the critic of the round before chooses: it meets its own mistakes
    n: int = 8  # candidates per state
    labels: LabelSettings = field(default_factory=lambda: LabelSettings("lookahead"))
    seed: int = 0


@dataclass(frozen=True)
class TestOptions:
    """How the arms are compared."""

    split: Literal["test", "validation"] = "test"  # tune on validation tasks only
    tasks: int = 200
    seeds: int = 1  # episodes per task and arm
    n: int = 8  # candidates per state of the headline
    softmax_temperature: float = 0.1  # in units of the values' spread within a state
    arms: tuple[str, ...] = ARMS  # which to play; a gain needs sampled or greedy, and best_of_n


@dataclass(frozen=True)
class Config:
    """Options of the main job."""

    output: Path | None = None  # default: runs/NAME
    name: str = "train_qvalue"
    log: Path | None = None  # learn from this trajectory log instead of collecting one
    evaluation: Literal["main", "full", "none"] = (
        "main"  # full: the whole curve, N in 2, 4, 8, 16; none: only train, e.g. from a log of other tasks
    )
    batch_size: int = 64  # episodes at a time
    environment: str = "webshop"  # a folder of agentq_envs with a module `benchmark`, or module:Class
    data: dict[str, Any] = field(default_factory=dict[str, Any])  # fields of its Benchmark
    prompt: str = "compact"  # how states are rendered as messages: a function NAME_prompt of the environment
    max_steps: int | None = None  # of an episode; none: the environment's usual limit
    policy: PolicyOptions = field(default_factory=PolicyOptions)
    critic: CriticOptions = field(default_factory=CriticOptions)
    collect: CollectOptions = field(default_factory=CollectOptions)
    test: TestOptions = field(default_factory=TestOptions)

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.output or Path("runs") / self.name


def main() -> None:
    """Collect -> features -> train -> evaluate -> report."""
    config = load_config(Config)
    check(config)
    state = PartialState()
    config.folder.mkdir(parents=True, exist_ok=True)
    (config.folder / "config.yaml").write_text(to_yaml(config))
    seconds: dict[str, float] = {}

    make_env = partial(benchmark(config).make_env, config.max_steps, **environment_options(config))
    backbone = load_backbone(policy_backbone(config))
    critic: QCritic | None = None
    logs = () if config.log is None else (config.log,)
    for number in range(1 if config.log is not None else config.collect.rounds):
        if config.log is None:
            collecting = partial(logged, config, make_env, backbone, critic, number)
            with state.main_process_first():  # the others find the log complete
                logs = (*logs, timed(seconds, "collect", collecting))
        critic = timed(seconds, "train", partial(trained, config, Logs(logs), backbone, number))
    assert critic is not None
    if not state.is_main_process:
        return
    critic.save_pretrained(config.folder / "critic")
    if config.evaluation == "none":
        print(f"critic: {os.path.relpath(config.folder / 'critic')}")
        return
    report = timed(seconds, "evaluate", partial(evaluated, config, make_env, backbone, critic))
    print(summary(report), flush=True)
    print(f"seconds: {', '.join(f'{name} {value:.0f}' for name, value in seconds.items())}")
    print(f"report: {os.path.relpath(config.folder / 'report.html')}")


def check(config: Config) -> None:
    """Raise ConfigError for options that cannot work together, before anything is loaded or collected."""
    if config.collect.rounds < 1:
        raise ConfigError(f"--collect.rounds {config.collect.rounds}: expected at least one round.")
    for name, value in (("collect.n", config.collect.n), ("test.n", config.test.n)):
        if value < 1:
            raise ConfigError(f"--{name} {value}: expected at least one candidate per state.")
        if value > 1 and config.policy.temperature == 0:
            raise ConfigError(
                f"--policy.temperature 0 makes {value} equal candidates (--{name} {value}). Set a temperature "
                "above 0; greedy decoding is measured as an arm of its own."
            )
    if config.collect.split == config.test.split:
        raise ConfigError(
            f"--collect.split and --test.split are both {config.test.split!r}: the critic would be tested on the "
            "tasks that it learns from. Use --test.split test."
        )
    resolve_grounding(config.critic.grounding)  # a name that cannot be found must not wait for the collection
    unlabelled = config.log is None and config.collect.labels.kind == "none"
    objective = config.critic.objective
    if unlabelled and (objective.label_weight or objective.rank_weight):
        raise no_labels("--collect.labels.kind none makes a log without candidate labels", objective)


def no_labels(fact: str, objective: ObjectiveSettings) -> ConfigError:
    """What to do where an objective needs labels and there are none."""
    return ConfigError(
        f"{fact}, but label_weight={objective.label_weight} and rank_weight={objective.rank_weight}. Learn from "
        "logged returns: --critic.objective.weight 1 --critic.objective.label_weight 0 "
        "--critic.objective.rank_weight 0 (or --config recipes/configs/logged_returns.yaml), or collect with labels."
    )


def benchmark(config: Config) -> Benchmark:
    """The environment that is played."""
    return load_benchmark(config.environment, config.data)


def environment_options(config: Config) -> dict[str, Any]:
    """Keyword arguments of the environment besides those of its data and the step limit."""
    return {} if config.prompt == "compact" else {"prompt": config.prompt}


def policy_backbone(config: Config) -> BackboneConfig:
    """What is loaded for the policy."""
    options = config.policy
    return BackboneConfig(
        options.model, dtype=options.dtype, quantization=options.quantization, device=options.device
    )


def new_policy(config: Config, backbone: Backbone, temperature: float) -> HuggingFacePolicy:
    """The policy at a temperature."""
    options = config.policy
    return HuggingFacePolicy(backbone, temperature, options.top_p, options.max_new_tokens, options.restrict)


def logged(
    config: Config, make_env: Callable[[], Any], backbone: Backbone, critic: QCritic | None, number: int
) -> Path:
    """The log of one round, collected on training tasks of its own; a stopped collection goes on.

    Without a critic the policy acts alone, and labels of the kind "guided" are those of the policy. With one
    the agent visits the states that its critic leads it to, so that the next critic also learns where this
    one errs (DAgger, Ross et al. 2011, arXiv 1011.0686).
    """
    folder, options = config.folder / "collected" / f"round-{number}", config.collect
    tasks = list(benchmark(config).panel(options.split).tasks)
    random.Random(options.seed).shuffle(tasks)
    places = range(number * options.episodes, (number + 1) * options.episodes)
    if number == 0:
        places = places[: len(tasks)]
    episodes = [Episode(tasks[i % len(tasks)], options.seed + i // len(tasks)) for i in places]
    policy = new_policy(config, backbone, config.policy.temperature)
    selector = First() if critic is None else BestOfN()
    decider = AgentDecider(Agent(policy, selector, critic, n=options.n, on_invalid="execute"))
    once = AgentDecider(Agent(policy, First(), n=1, on_invalid="execute"))
    labels = options.labels
    if critic is None and labels.kind == "guided":
        labels = replace(labels, kind="policy")  # the same, without candidates that nobody looks at
    with TrajectoryWriter(folder) as writer:
        found = collect(
            make_env,
            episodes,
            decider,
            writer,
            labels,
            continue_with=once,
            batch_size=config.batch_size,
        )
    print(
        f"log {folder}: {found.episodes} new episodes, {found.steps} steps, score {found.score:.3f}",
        flush=True,
    )
    return folder


@dataclass(frozen=True)
class Logs:
    """The episodes of several logs, one after another, as often as they are wanted."""

    folders: tuple[Path, ...]

    def __iter__(self) -> Iterator[LoggedEpisode]:
        for folder in self.folders:
            yield from TrajectoryReader(folder)


def trained(config: Config, logs: Logs, policy: Backbone, number: int) -> QCritic:
    """A critic on frozen features of the logs, or with adapters trained on them."""
    options = config.critic
    same = options.model == "same"
    name = config.policy.model if same else options.model
    loading = BackboneConfig(
        name, options.kind, options.dtype, options.quantization, options.lora, options.device
    )
    frozen = same and options.lora is None and options.dtype == config.policy.dtype
    backbone = policy if frozen else load_backbone(loading)
    reading = QCriticConfig(
        options.layers, options.pooling, options.aggregation, options.pessimism,
        grounding=options.grounding, truncation=options.truncation, proposal=options.proposal,
    )  # fmt: skip
    objective = usable_objective(options.objective, logs)
    directory = config.folder / "training" / f"round-{number}"
    if options.lora is not None:
        grounding = resolve_grounding(options.grounding)
        examples = joint_examples(logs, backbone, grounding, options.gamma, options.proposal)
        fit = fit_joint(
            backbone, examples, reading, options.head, objective, options.training, options.joint,
            validation_share=options.validation_share, directory=directory,
        )  # fmt: skip
        if options.support is not None:
            fit.critic.support = support_of_log(logs, fit.critic, options.support)
        return fit.critic
    extractor = FeatureExtractor(
        backbone,
        options.layers,
        options.pooling,
        grounding=resolve_grounding(options.grounding),
        grounding_name=options.grounding,
        truncation=options.truncation,
    )
    with FeatureStore(config.folder / "features", extractor.key()) as store:
        needs_states = objective.bootstraps or options.head.state_heads > 0
        states = FeatureStore(config.folder / "states", extractor.key("states")) if needs_states else None
        data = critic_data(logs, extractor, store, options.gamma, states=states, proposal=options.proposal)
        fit = fit_heads(
            data, options.head, objective, options.training,
            validation_share=options.validation_share, directory=directory,
        )  # fmt: skip
    print(f"critic on {data.transitions} steps: {fit.metrics}", flush=True)
    record = {"objective": fit.objective, "data_hash": fit.data_hash, "metrics": fit.metrics}
    critic = QCritic(backbone, fit.heads, replace(reading, training=record))
    if options.support is not None:
        critic.support = support_of_log(logs, critic, options.support)
    return critic


def usable_objective(objective: ObjectiveSettings, logs: Logs) -> ObjectiveSettings:
    """The objective as asked for. Where the logs hold no labels, RETURNS takes the place of the default one.

    Raises ConfigError when another objective needs labels that the logs do not hold.
    """
    labelled = any(step.labels is not None for episode in logs for step in episode.trajectory.steps)
    if not labelled and objective == CriticOptions().objective:
        print("the log has no candidate labels: learning from its returns alone", flush=True)
        return RETURNS
    if not labelled and (objective.label_weight or objective.rank_weight):
        names = ", ".join(folder.name for folder in logs.folders)
        raise no_labels(f"the log {names!r} has no candidate labels", objective)
    return objective


def evaluated(config: Config, make_env: Callable[[], Any], backbone: Backbone, critic: QCritic) -> Report:
    """Every arm on the same held-out tasks and seeds, through the evaluation harness; it resumes by itself."""
    policy = new_policy(config, backbone, config.policy.temperature)
    greedy = new_policy(config, backbone, 0.0)
    suite = held_out(config)
    return play_value_arms(
        suite, config.folder, policy=policy, greedy=greedy, critic=critic, make_env=make_env,
        slots=config.batch_size,
    )  # fmt: skip


def held_out(config: Config) -> Suite:
    """The suite of this job: its panel, seeds and arms."""
    options, policy, played = config.test, config.policy, benchmark(config)
    sizes = (options.n,) if config.evaluation == "main" else tuple(sorted({2, 4, 8, 16, options.n}))
    return Suite(
        name=config.name,
        title=f"Q-value guided choice on {played.title}",
        environment=EnvironmentSpec(played.environment, {**played.options, **environment_options(config)}),
        panel=panel_spec(played.panel(options.split), options.tasks, played.make_env()),
        policy=PolicySpec(
            policy.model, policy.dtype, policy.quantization, policy.device, policy.temperature,
            policy.top_p, policy.max_new_tokens, policy.restrict,
        ),
        critic=CriticSpec("critic"),
        arms=value_arms(ArmSettings(sizes, options.softmax_temperature, options.arms)),
        seeds=tuple(range(options.seeds)),
        max_steps=played.max_steps if config.max_steps is None else config.max_steps,
        gamma=config.critic.gamma,
        labels="lookahead",
        roles=Roles(main_n=options.n),
    )  # fmt: skip


def timed(seconds: dict[str, float], name: str, work: Callable[[], T]) -> T:
    """The result of ``work``; its wall-clock time is added to ``seconds``."""
    began = time.perf_counter()
    result = work()
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began
    return result


if __name__ == "__main__":
    main()
