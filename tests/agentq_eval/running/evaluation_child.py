"""Plays a suite in a folder, as ``agentq eval`` would: ``python evaluation_child.py FOLDER RUNNER [BYTES]``.

With BYTES no file may grow beyond that size, as on a disk that is full.
"""

from __future__ import annotations

import resource
import signal
import sys
from functools import partial
from pathlib import Path

from agentq_eval.running.building import build_workbench
from agentq_eval.running.run import RunSettings, play
from agentq_eval.runs.writer import RunWriter
from agentq_eval.suites.suite import ArmSpec, CriticSpec, EnvironmentSpec, PanelSpec, PolicySpec, Suite

if __name__ == "__main__":
    folder, runner = Path(sys.argv[1]), sys.argv[2]
    if len(sys.argv) > 3:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing then fails with EFBIG instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    suite = Suite(
        name="corridor",
        environment=EnvironmentSpec("corridor:Corridor", {"seconds": 0.001}),
        panel=PanelSpec(tasks=tuple(f"t{i}" for i in range(150))),
        policy=PolicySpec(factory="corridor:policy", temperature=1.0),
        critic=CriticSpec(factory="corridor:NoisyCritic"),
        arms=(ArmSpec("sampled", n=(1,)), ArmSpec("best_of_n", "best_of_n", n=(2, 4), critic=True)),
        seeds=(0, 1),
        max_steps=8,
    )
    workers = 1 if runner == "thread" else 2
    settings = RunSettings(runner, workers, slots=4, progress=False)  # type: ignore[arg-type]
    with RunWriter(folder) as writer:
        print("begun", flush=True)
        play(suite, writer, partial(build_workbench, suite), settings)
