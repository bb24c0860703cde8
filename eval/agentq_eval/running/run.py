"""Play a suite: plan, resume, workers, log, report."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from agentq.errors import ConfigError
from agentq_eval.reports import Report, write_run_report
from agentq_eval.running.building import build_workbench, find_facts, make_environment
from agentq_eval.running.deciders import Decider
from agentq_eval.running.handles import Handle, ProcessHandle, ThreadHandle
from agentq_eval.running.jobs import Ended, Facts, Job
from agentq_eval.running.lockstep import LockstepSettings, Meter
from agentq_eval.running.progress import Progress
from agentq_eval.running.scheduler import Scheduler, SchedulerSettings
from agentq_eval.running.worker import Workbench, WorkerSettings
from agentq_eval.runs.manifest import Manifest, PlannedArm
from agentq_eval.runs.writer import RunWriter
from agentq_eval.suites.loading import load_suite
from agentq_eval.suites.suite import ArmSpec, Suite

Runner = Literal["thread", "process", "ray"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a suite is played; none of this can change a result."""

    runner: Runner = "process"
    workers: int = 0  # 0: one for each core up to four, one with an accelerator
    slots: int = 64  # episodes at a time in each worker
    progress: bool = True
    deaths: int = 20  # of workers, after which the run stops


def run(
    suite: Suite | str | Path,
    folder: str | Path,
    *,
    deciders: Mapping[str, Decider] | None = None,
    make_env: Callable[[], Any] | None = None,
    fingerprints: Mapping[str, Mapping[str, str]] | None = None,
    meter: Meter | None = None,
    settings: RunSettings | None = None,
) -> Report:
    """Play what is missing of the suite in ``folder`` and write its report; returns the report.

    ``deciders`` by arm key (``name@n``) are live agents of this process instead of those that the suite
    describes; they are played in a thread, and ``make_env``, ``fingerprints`` and ``meter`` may go with them.
    Raises ``ConfigError`` and ``TaskError`` for a suite that cannot be played, ``LogError`` when another
    process plays it, ``EvaluationError`` when the folder holds another evaluation or workers keep dying.
    """
    suite = suite if isinstance(suite, Suite) else load_suite(suite)
    settings = settings or RunSettings()
    build = partial(build_workbench, suite)
    if deciders is not None:
        settings = _in_this_process(settings)
        build = partial(_live, suite, deciders, make_env, fingerprints or {}, meter)
    with RunWriter(folder) as writer:
        play(suite, writer, build, settings)
    return write_run_report(folder)


def play(suite: Suite, writer: RunWriter, build: Callable[[], Workbench], settings: RunSettings) -> Manifest:
    """Play what is missing and log it. Returns the plan; a run that is complete is left as it is."""
    count = workers_for(settings)
    bar = Progress(suite.title or suite.name, shown=settings.progress)

    def record(ended: Ended) -> None:
        writer.write(ended.job.planned, ended.trajectory)
        bar.ended(ended)

    scheduler = Scheduler(
        start=partial(_start, suite, build, settings, count, writer.session),
        settings=SchedulerSettings(
            count, settings.slots, suite.retries, suite.retry_wait, suite.timeouts.step, settings.deaths
        ),
        record=record,
        note=writer.note,
    )
    try:
        plan = make_plan(suite, scheduler.facts())
        writer.begin(plan)
        missing = [
            Job(planned, attempt=writer.attempts(planned) + 1)
            for planned in plan.episodes()
            if planned not in writer
        ]
        with bar.over(plan.planned, plan.planned - len(missing)):
            scheduler.run(missing)
    finally:
        scheduler.close()
    return plan


def make_plan(suite: Suite, facts: Facts) -> Manifest:
    """The suite and what its parts really are."""
    return Manifest(
        suite=suite.content(),
        environment=facts.environment,
        panel=facts.panel,
        tasks=facts.tasks,
        seeds=suite.seeds,
        arms=tuple(
            _planned_arm(suite, arm, n, facts.fingerprints.get(f"{arm.name}@{n}", {}))
            for arm in suite.arms
            for n in arm.n
        ),
        strata=facts.strata,
        title=suite.title or suite.name,
    )


def workers_for(settings: RunSettings) -> int:
    """How many workers: those asked for, or what this machine suggests. Raises ``ConfigError`` below 0."""
    if settings.workers < 0 or settings.slots < 1:
        raise ConfigError(f"workers={settings.workers}, slots={settings.slots}: expected >= 0 and >= 1.")
    if settings.runner == "thread":
        if settings.workers > 1:
            raise ConfigError(
                "the runner 'thread' has one worker: live agents cannot be copied. Leave --workers out."
            )
        return 1
    if settings.workers:
        return settings.workers
    if any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd")):
        return 1  # the models of all workers would have to fit on the accelerator
    return min(_cores(), 4)


def _cores() -> int:
    """Cores that this process may use: fewer than the machine has under taskset, a scheduler or a container."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS, Windows


def _planned_arm(suite: Suite, arm: ArmSpec, n: int, fingerprints: Mapping[str, str]) -> PlannedArm:
    policy = suite.policy.factory or suite.policy.model
    critic = suite.critic
    options: dict[str, Any] = {"selector": dict(arm.options)}
    if not arm.agent:
        temperature = suite.policy.temperature if arm.temperature is None else arm.temperature
        options["policy"] = {"temperature": temperature}
    return PlannedArm(
        name=arm.name,
        n=n,
        policy=arm.agent or policy,
        critic=(critic.factory or critic.path) if critic is not None and arm.critic else None,
        selector="" if arm.agent else arm.selector,
        options=options,
        fingerprints=dict(fingerprints),
    )


def _start(
    suite: Suite, build: Callable[[], Workbench], settings: RunSettings, count: int, session: int
) -> Handle:
    playing = WorkerSettings(
        lockstep=LockstepSettings(
            slots=settings.slots,
            episode_seconds=suite.timeouts.episode,
            label_gamma=suite.gamma if suite.labels == "lookahead" else None,
            success_score=suite.success_score,
            session=session,
        ),
        step_seconds=suite.timeouts.step,
        infrastructure_errors=suite.infrastructure_errors,
    )
    if settings.runner == "thread":
        return ThreadHandle(build, playing)
    if settings.runner == "ray":
        from agentq_eval.running.ray_handle import RayHandle

        return RayHandle(build, playing)
    threads = max(1, _cores() // count)
    return ProcessHandle(build, playing, threads)


def _live(
    suite: Suite,
    deciders: Mapping[str, Decider],
    make_env: Callable[[], Any] | None,
    fingerprints: Mapping[str, Mapping[str, str]],
    meter: Meter | None,
) -> Workbench:
    keys = [f"{arm.name}@{n}" for arm in suite.arms for n in arm.n]
    missing = sorted(set(keys) - set(deciders))
    if missing:
        raise ConfigError(
            f"suite {suite.name!r} has the arms {', '.join(keys)}, but there is no agent for "
            f"{', '.join(missing)}. Pass one each, under these keys."
        )
    make = make_env or partial(make_environment, suite.environment, suite.max_steps)
    return Workbench(make, deciders, find_facts(suite, make, fingerprints), meter)


def _in_this_process(settings: RunSettings) -> RunSettings:
    return RunSettings("thread", 1, settings.slots, settings.progress, settings.deaths)
