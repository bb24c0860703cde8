"""Train a preference critic from search trees by step-level DPO and measure what it gains on held-out tasks.

    accelerate launch recipes/train_preference.py                       # offline, embedded policy and shop
    accelerate launch recipes/train_preference.py --config recipes/configs/preference_quick.yaml
    accelerate launch recipes/train_preference.py --policy.model Qwen/Qwen3-4B --critic.model Qwen/Qwen3-0.6B \
        --critic.quantization 4bit --critic.dtype bfloat16
    accelerate launch recipes/train_preference.py --config recipes/configs/preference_webshop.yaml
    accelerate launch recipes/train_preference.py --log '[runs/train_qvalue/collected/round-0]'

The story: tree search plays training tasks and values every action it tried (collect, or read --trees); siblings of
different value become pairs of a better and a worse reply, and so do candidates of episodes that are labelled one by
one (--collect.labels, or read --log); DPO on an adapter of a language model learns them, and its log-ratio against the
model without adapter is the Q-value; then the same policy plays held-out tasks with different ways to choose among its
candidates, and a report compares them.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from accelerate import PartialState

from agentq.agent import Agent
from agentq.backbones import Backbone, BackboneConfig, LoraSettings, load_backbone
from agentq.backbones.config import Dtype, Quantization
from agentq.config import load_config, to_yaml
from agentq.critics.groundings import resolve_grounding
from agentq.critics.preference import PreferenceCritic
from agentq.errors import ConfigError
from agentq.objectives.dpo import ReadOut
from agentq.policies.huggingface import HuggingFacePolicy
from agentq.search.collecting import SearchTask, collect_trees
from agentq.search.forest import Forest
from agentq.search.pairs import PROVENANCE, PairSettings, write_pairs
from agentq.search.records import read_trees
from agentq.search.settings import SearchSettings
from agentq.search.worlds import EnvironmentWorld
from agentq.selectors.first import First
from agentq.training.logged_pairs import LoggedPairSettings, write_logged_pairs
from agentq.training.preference import PreferenceTraining, fit_preference
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
from agentq_eval.suites.suite import ArmSpec, CriticSpec, EnvironmentSpec, PolicySpec, Roles, Suite
from agentq_eval.value_evaluation import panel_spec, play_value_arms

T = TypeVar("T")


@dataclass(frozen=True)
class PolicyOptions:
    """Who proposes, in the search and on held-out tasks."""

    model: str = "embedded"  # hub name, folder, or the small policy that ships with AgentQ
    dtype: Dtype = "float32"
    quantization: Quantization = "none"  # 8bit and 4bit need the extra `train`
    device: str = "auto"
    temperature: float = 0.8  # of the candidates on held-out tasks
    top_p: float = 1.0
    max_new_tokens: int = 48  # of free text such as a search


@dataclass(frozen=True)
class CriticOptions:
    """Who values."""

    model: str = "embedded"  # the language model that is tuned; with its adapter off it is the reference
    dtype: Dtype = "float32"
    quantization: Quantization = "none"  # 4bit: QLoRA, by bitsandbytes
    device: str = "auto"
    read_out: ReadOut = "sum_logratio"  # or mean_logratio, official_logit_diff
    grounding: str = ""  # text put behind a reply: module:function or an entry point; "": none
    lora: LoraSettings = field(default_factory=lambda: LoraSettings(r=16, alpha=32))
    training: PreferenceTraining = field(
        default_factory=lambda: PreferenceTraining(learning_rate=3e-3, batch_size=16)
    )


@dataclass(frozen=True)
class CollectOptions:
    """Where pairs come from, unless --trees or --log names it: trees, or with labels the candidates of episodes."""

    split: Literal["train", "validation"] = "train"
    tasks: int = 64  # one tree or one episode each
    temperature: float = 1.0
    top_p: float = 0.9
    seed: int = 0
    search: SearchSettings = field(
        default_factory=lambda: SearchSettings(
            iterations=12, width=5, max_depth=15, exploration=0.3, early_stop=False
        )
    )
    labels: LabelSettings | None = None  # play episodes and label their candidates; none: search trees
    n: int = 8  # candidates per state of these episodes


@dataclass(frozen=True)
class TestOptions:
    """How the arms are compared."""

    split: Literal["test", "validation"] = "test"  # tune on validation tasks only
    tasks: int = 200
    seeds: int = 1  # episodes per task and arm
    n: int = 8  # candidates per state
    #: Which to play, also majority and softmax. reference takes the likeliest by policy and critic together.
    arms: tuple[str, ...] = ("sampled", "greedy", "best_of_n", "reference", "oracle")
    eta: float = 1.0  # what the critic's value counts beside the policy's log-probability in `reference`


@dataclass(frozen=True)
class Config:
    """Options of the job."""

    output: Path | None = None  # default: runs/NAME
    name: str = "train_preference"
    trees: Path | None = None  # learn from this file of trees instead of searching
    log: tuple[
        Path, ...
    ] = ()  # learn from labelled logs, as train_qvalue.py collects them, instead of searching
    batch_size: int = 64  # trees, then episodes, at a time
    environment: str = "webshop"  # a folder of agentq_envs with a module `benchmark`, or module:Class
    data: dict[str, Any] = field(default_factory=dict[str, Any])  # fields of its Benchmark
    max_steps: int | None = None  # of an episode; none: the environment's usual limit
    policy: PolicyOptions = field(default_factory=PolicyOptions)
    critic: CriticOptions = field(default_factory=CriticOptions)
    collect: CollectOptions = field(default_factory=CollectOptions)
    pairs: PairSettings = field(
        default_factory=lambda: PairSettings("all", 0.1, minimum_visits=1)
    )  # of trees
    logged_pairs: LoggedPairSettings = field(default_factory=LoggedPairSettings)  # of logs
    test: TestOptions = field(default_factory=TestOptions)

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.output or Path("runs") / self.name


def main() -> None:
    """Search, or episodes with labels -> pairs -> DPO -> evaluate -> report."""
    config = load_config(Config)
    check(config)
    state = PartialState()
    config.folder.mkdir(parents=True, exist_ok=True)
    (config.folder / "config.yaml").write_text(to_yaml(config))
    seconds: dict[str, float] = {}

    policy = load_backbone(policy_backbone(config))
    with state.main_process_first():  # the others find trees, logs and pairs complete
        trees, logs = config.trees, config.log
        if trees is None and not logs:
            if config.collect.labels is None:
                trees = timed(seconds, "search", partial(searched, config, policy))
            else:
                logs = (timed(seconds, "collect", partial(labelled, config, policy, config.collect.labels)),)
        pairs = timed(seconds, "pairs", partial(paired, config, trees, logs))
    critic = timed(seconds, "train", partial(trained, config, pairs))
    if not state.is_main_process:
        return
    critic.save_pretrained(config.folder / "critic")
    report = timed(seconds, "evaluate", partial(evaluated, config, policy, critic))
    print(summary(report), flush=True)
    print(f"seconds: {', '.join(f'{name} {value:.0f}' for name, value in seconds.items())}")
    print(f"report: {os.path.relpath(config.folder / 'report.html')}")


def check(config: Config) -> None:
    """Raise ConfigError for options that cannot work together, before anything is loaded or searched."""
    counts = (
        ("collect.tasks", config.collect.tasks), ("collect.n", config.collect.n), ("test.n", config.test.n),
    )  # fmt: skip
    for name, value in counts:
        if value < 1:
            raise ConfigError(f"--{name} {value}: expected at least 1.")
    unknown = [name for name in config.test.arms if name not in (*ARMS, "reference")]
    if unknown or config.test.eta < 0:
        raise ConfigError(
            f"--test.arms {', '.join(unknown)} or --test.eta {config.test.eta}: expected arms out of "
            f"{', '.join(ARMS)}, reference, and an eta of 0 or more."
        )
    if config.collect.split == config.test.split:
        raise ConfigError(
            f"--collect.split and --test.split are both {config.test.split!r}: the critic would be tested on the "
            "tasks that it learns from. Use --test.split test."
        )
    if config.collect.temperature == 0 or config.policy.temperature == 0:
        raise ConfigError(
            "a temperature of 0 makes all candidates equal. Use one above 0 to search and to choose."
        )
    resolve_grounding(config.critic.grounding)  # a name that cannot be found must not wait for the search
    if config.trees is not None and config.log:
        raise ConfigError(f"--trees {config.trees} and --log are both given: pairs come from one of them.")
    labels = config.collect.labels
    if labels is not None and labels.kind in ("none", "guided"):
        raise ConfigError(
            f"--collect.labels.kind {labels.kind}: pairs need labelled candidates, and there is no critic to guide "
            "yet. Use policy, expert, player or lookahead."
        )
    if config.collect.search.uses_critic:
        raise ConfigError(
            "this recipe searches by the environment's reward: use --collect.search.values reward, evaluation rollout, "
            "guide uct and a stepq variant. To search with a critic, write trees with agentq.search and pass --trees."
        )


def benchmark(config: Config) -> Benchmark:
    """The environment that is played."""
    return load_benchmark(config.environment, config.data)


def policy_backbone(config: Config) -> BackboneConfig:
    """What is loaded for the policy."""
    options = config.policy
    return BackboneConfig(
        options.model, dtype=options.dtype, quantization=options.quantization, device=options.device
    )


def searched(config: Config, backbone: Backbone) -> Path:
    """The file of trees, one per training task; a stopped search goes on."""
    options, path = config.collect, config.folder / "trees.jsonl"
    env = benchmark(config).make_env(config.max_steps)
    policy = collecting_policy(config, backbone)
    forest = Forest(policy, trees=config.batch_size, batch=config.batch_size)
    trees = collect_trees(
        forest,
        lambda: EnvironmentWorld(env),
        [SearchTask(task, options.seed) for task in training_tasks(config)],
        path,
        options.search,
    )
    best = sum(tree.best_reward() for tree in trees) / len(trees)
    mean = sum(tree.root.value for tree in trees) / len(trees)
    print(f"trees {path}: {len(trees)}, best reward {best:.3f}, mean of simulations {mean:.3f}", flush=True)
    return path


def labelled(config: Config, backbone: Backbone, labels: LabelSettings) -> Path:
    """The log of one episode per training task with a value for every candidate; a stopped collection goes on."""
    folder, options = config.folder / "collected", config.collect
    policy = collecting_policy(config, backbone)
    several, once = (AgentDecider(Agent(policy, First(), n=n, on_invalid="execute")) for n in (options.n, 1))
    with TrajectoryWriter(folder) as writer:
        found = collect(
            partial(benchmark(config).make_env, config.max_steps),
            [Episode(task, options.seed) for task in training_tasks(config)],
            several, writer, labels, continue_with=once, batch_size=config.batch_size,
        )  # fmt: skip
    print(
        f"log {folder}: {found.episodes} new episodes, {found.steps} steps, score {found.score:.3f}",
        flush=True,
    )
    return folder


def training_tasks(config: Config) -> list[str]:
    """The tasks that the critic learns from, drawn by the seed."""
    options = config.collect
    tasks = list(benchmark(config).panel(options.split).tasks)
    random.Random(options.seed).shuffle(tasks)
    return tasks[: options.tasks]


def collecting_policy(config: Config, backbone: Backbone) -> HuggingFacePolicy:
    """Who proposes on training tasks."""
    options = config.collect
    return HuggingFacePolicy(backbone, options.temperature, options.top_p, config.policy.max_new_tokens)


def paired(config: Config, trees: Path | None, logs: Sequence[Path]) -> Any:
    """The pairs of the trees, without trees of the logs, as a datasets folder with their provenance."""
    folder = config.folder / "pairs"
    if PartialState().is_main_process:
        if trees is None:
            pairs = write_logged_pairs([TrajectoryReader(log) for log in logs], folder, config.logged_pairs)
        else:
            pairs = write_pairs(read_trees(trees), folder, config.pairs, source=trees)
        print(f"pairs {folder}: {len(pairs)}, mean gap {mean_gap(pairs):.3f}", flush=True)
    from datasets import load_from_disk

    return load_from_disk(str(folder))


def mean_gap(pairs: Any) -> float:
    """How much more the chosen replies are worth, on average."""
    gaps = [a - b for a, b in zip(pairs["chosen_value"], pairs["rejected_value"], strict=True)]
    return sum(gaps) / len(gaps)


def trained(config: Config, pairs: Any) -> PreferenceCritic:
    """An adapter that prefers the better replies, as a critic."""
    options = config.critic
    backbone = BackboneConfig(
        options.model, dtype=options.dtype, quantization=options.quantization, device=options.device
    )
    provenance = json.loads((config.folder / "pairs" / PROVENANCE).read_text())
    fit = fit_preference(
        pairs, backbone, options.training, options.lora,
        grounding=options.grounding, directory=config.folder / "training", data_hash=provenance["rows_sha256"],
    )  # fmt: skip
    shown = ("loss", "rewards/accuracies", "rewards/margins")
    print(
        f"dpo on {len(pairs)} pairs: { ({n: round(fit.metrics[n], 4) for n in shown if n in fit.metrics}) }",
        flush=True,
    )
    fit.critic.config = replace(fit.critic.config, read_out=options.read_out)
    return fit.critic


def evaluated(config: Config, backbone: Backbone, critic: PreferenceCritic) -> Report:
    """Every arm on the same held-out tasks and seeds, through the evaluation harness; it resumes by itself."""
    options = config.policy
    policy, greedy = (
        HuggingFacePolicy(backbone, temperature, options.top_p, options.max_new_tokens)
        for temperature in (options.temperature, 0.0)
    )
    suite, make_env = held_out(config), partial(benchmark(config).make_env, config.max_steps)
    return play_value_arms(
        suite, config.folder, policy=policy, greedy=greedy, critic=critic, make_env=make_env,
        slots=config.batch_size,
    )  # fmt: skip


def held_out(config: Config) -> Suite:
    """The suite of this job: its panel, seeds and arms."""
    options, policy, played = config.test, config.policy, benchmark(config)
    return Suite(
        name=config.name,
        title=f"Choice by a preference critic on {played.title}",
        environment=EnvironmentSpec(played.environment, played.options),
        panel=panel_spec(played.panel(options.split), options.tasks, played.make_env()),
        policy=PolicySpec(
            policy.model, policy.dtype, policy.quantization, policy.device, policy.temperature,
            policy.top_p, policy.max_new_tokens,
        ),
        critic=CriticSpec("critic"),
        arms=arms(options),
        seeds=tuple(range(options.seeds)),
        max_steps=played.max_steps if config.max_steps is None else config.max_steps,
        labels="lookahead",
        roles=Roles("best_of_n" if "best_of_n" in options.arms else "reference", main_n=options.n),
    )  # fmt: skip


def arms(options: TestOptions) -> tuple[ArmSpec, ...]:
    """The usual arms; and the largest log pi + eta Q: what is likely for the policy and better for the critic."""
    usual = value_arms(ArmSettings((options.n,), names=options.arms))
    if "reference" not in options.arms:
        return usual
    choice = {"eta": options.eta, "prior": "logprob", "choose": "argmax"}
    return (*usual, ArmSpec("reference", "reference", choice, (options.n,), critic=True))


def timed(seconds: dict[str, float], name: str, work: Callable[[], T]) -> T:
    """The result of ``work``; its wall-clock time is added to ``seconds``."""
    began = time.perf_counter()
    result = work()
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began
    return result


if __name__ == "__main__":
    main()
