"""ALFWorld speed in one process: steps and resets of the native simulator, memory of many games at once.

With AGENTQ_ALFWORLD_PYTHON (an interpreter that has the stock engine, `.ci/alfworld-environment`) the same
commands are played on the same games by the stock engine too, in the same run, and the ratio is printed.

    python benchmarks/alfworld.py [--games FOLDER] [--stock-games 6] [--json]
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import gymnasium

import agentq_envs  # noqa: F401 - registers the environment
from agentq_data.alfworld.generator import generate_game
from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.game import build_game
from agentq_envs.alfworld.players import ENGINE_PYTHON, EnginePlayer, EngineProcess, NativePlayer, Player
from agentq_envs.alfworld.simulator import Simulator
from agentq_eval.reports.figures import Figure, print_figures

STEPS = 50  # of an episode
PARALLEL = 1000  # games in one process


@dataclass(frozen=True)
class Episode:
    """A game and random commands for it, the same for every player."""

    env: AlfworldEnv
    commands: tuple[str, ...]


def episodes(games: str | None, count: int) -> list[Episode]:
    """Games in turn, each with a random walk through its admissible commands."""
    found: list[Episode] = []
    for index in range(count):
        env = AlfworldEnv(games, max_steps=None)
        env.reset(options={"index": index})
        simulator, rng = Simulator(env.game), random.Random(index)
        commands: list[str] = []
        for _ in range(STEPS):
            commands.append(rng.choice(simulator.admissible))
            simulator.step(commands[-1])
        found.append(Episode(env, tuple(commands)))
    return found


def steps_per_second(player: Player, commands: tuple[str, ...]) -> float:
    """Steps with their command lists and goal tests; the reset is not counted."""
    player.reset()
    started = time.perf_counter()
    for command in commands:
        player.step(command)
    return len(commands) / (time.perf_counter() - started)


def stock_speed(played: list[Episode]) -> tuple[float, float]:
    """Steps per second of the stock engine and of the simulator on the same commands: means over games."""
    engine = EngineProcess()
    stock, native = list[float](), list[float]()
    for episode in played:
        stock.append(steps_per_second(EnginePlayer(engine, episode.env.file), episode.commands))
        native.append(steps_per_second(NativePlayer(Simulator(episode.env.game)), episode.commands))
    engine.close()
    return statistics.harmonic_mean(stock), statistics.harmonic_mean(native)


def environment_speed(games: str | None, count: int) -> float:
    """Steps per second through ``gymnasium.make``, prompts included."""
    env: Any = gymnasium.make("agentq/ALFWorld-v0", games=games)
    rng = random.Random(0)
    steps, seconds = 0, 0.0
    for index in range(count):
        _, info = env.reset(options={"index": index})
        ended = False
        while not ended:
            action = rng.choice(info["admissible_actions"])
            started = time.perf_counter()
            _, _, terminated, truncated, info = env.step(action)
            seconds += time.perf_counter() - started
            ended, steps = terminated or truncated, steps + 1
    return steps / seconds


def reset_milliseconds(games: str | None, count: int) -> tuple[float, float]:
    """Median of beginning a game that was not played before, and of beginning the last one anew."""
    env = AlfworldEnv(games)
    env.library.file_at(0)  # reads the files
    fresh, again = list[float](), list[float]()
    for index in range(count):
        for seconds in (fresh, again):
            started = time.perf_counter()
            env.reset(options={"index": index})
            seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(fresh), 1000 * statistics.median(again)


def generation_milliseconds(count: int) -> float:
    """Mean of generating a game, rooms included."""
    started = time.perf_counter()
    for index in range(count):
        generate_game(99, index)
    return 1000 * (time.perf_counter() - started) / count


MEMORY = """
import resource, sys
import gymnasium
from agentq_envs.alfworld.env import AlfworldEnv
games, count = (sys.argv[1] or None), int(sys.argv[2])
environments = [AlfworldEnv(games) for _ in range(count)]
for index, env in enumerate(environments):
    env.reset(options={"index": index})
for _ in range(10):
    for env in environments:
        env.step(env.expert_action() if not env.steps else env.admissible[env.steps % len(env.admissible)])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def parallel_megabytes(games: str | None, count: int) -> float:
    """Peak resident MiB of a fresh process that plays this many different games at once, ten steps each."""
    words = [sys.executable, "-c", MEMORY, games or "", str(count)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def measure(games: str | None, stock_games: int) -> list[Figure]:
    """All figures."""
    own = "target of the benchmark"
    played = episodes(games, 100)
    native = statistics.harmonic_mean(
        steps_per_second(NativePlayer(Simulator(build_game(e.env.file))), e.commands) for e in played
    )
    fresh, again = reset_milliseconds(games, 200)
    figures = [
        Figure("native_steps_per_second", native, None, "higher", "simulator alone"),
        Figure("environment_steps_per_second", environment_speed(games, 60), None, "higher", "with prompts"),
        Figure("reset_milliseconds", fresh, 5, "lower", own + ": a game not played before"),
        Figure("reset_again_milliseconds", again, 5, "lower", own + ": the same game anew"),
        Figure("generation_milliseconds", generation_milliseconds(300), 10, "lower", own),
        Figure("parallel_megabytes", parallel_megabytes(games, PARALLEL), 300, "lower", f"{PARALLEL} games"),
    ]
    if os.environ.get(ENGINE_PYTHON):
        stock, same = stock_speed(played[:stock_games])
        figures += [
            Figure("stock_steps_per_second", stock, None, "higher", "textworld 1.7.0, the same commands"),
            Figure("speed_over_stock", same / stock, 500, "higher", "ratio on the same games in this run"),
        ]
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--games", help="folder of games (default: generated games)")
    parser.add_argument("--stock-games", type=int, default=6, help="games that the stock engine plays too")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    arguments = parser.parse_args()
    print_figures(measure(arguments.games, arguments.stock_games), arguments.json)


if __name__ == "__main__":
    main()
