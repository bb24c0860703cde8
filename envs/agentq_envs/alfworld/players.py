"""Two back-ends behind one interface: the native simulator, and the stock engine in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from agentq.errors import DataError, InfrastructureError, MissingExtraError
from agentq_data.alfworld.game_file import GameFile
from agentq_envs.alfworld.game import State
from agentq_envs.alfworld.simulator import Simulator, Turn

ENGINE_PYTHON = "AGENTQ_ALFWORLD_PYTHON"  # the interpreter of an environment that has the engine
_TIMEOUT = 300.0  # seconds for one answer: large rooms take ten, busy machines several times that

_SHOWN = 500  # bytes of what a lost process said


class Player(Protocol):
    """Plays one game at a time, text in and text out."""

    def reset(self) -> Turn:
        """Begin the game anew."""
        ...

    def step(self, command: str) -> Turn:
        """Carry out a command."""
        ...

    def resume(self, commands: Sequence[str], state: State | None) -> None:
        """Go to where these commands led from the start; ``state`` is that state where it is known."""
        ...


class NativePlayer:
    """The native simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def reset(self) -> Turn:
        """Begin the game anew."""
        return self.simulator.reset()

    def step(self, command: str) -> Turn:
        """Carry out a command."""
        return self.simulator.step(command)

    def resume(self, commands: Sequence[str], state: State | None) -> None:
        """Take up the state, or play the commands where it is not known."""
        if state is not None:
            self.simulator.state = state
            return
        self.simulator.reset()
        for command in commands:
            self.simulator.step(command)


class EnginePlayer:
    """The stock engine: alfworld 0.4.2 on textworld 1.7.0, with the wrappers that name things."""

    def __init__(self, engine: EngineProcess, game: GameFile) -> None:
        self._engine = engine
        self._commands: list[str] = []
        engine.ask({"load": game.to_json()})

    def reset(self) -> Turn:
        """Begin the game anew; the engine translates the problem again, which takes about a second."""
        self._commands = []
        return _turn(self._engine.ask({"reset": True}))

    def step(self, command: str) -> Turn:
        """Carry out a command."""
        self._commands.append(command)
        return _turn(self._engine.ask({"step": command}))

    def resume(self, commands: Sequence[str], state: State | None) -> None:
        """Play the commands, only the last ones where the game already is on their way."""
        done = len(self._commands)
        if list(commands[:done]) != self._commands:
            self.reset()
            done = 0
        for command in commands[done:]:
            self.step(command)


class EngineProcess:
    """A child process with the engine; it can load one game after another."""

    def __init__(self, python: str | None = None) -> None:
        script = Path(__file__).with_name("engine_process.py")
        self._python = python or engine_python()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            [self._python, "-I", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        self._buffer = b""
        self._answer("start")

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises DataError with what the engine raised, InfrastructureError when it died or is too slow.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._lost(f"cannot be reached ({error})") from error
        answer = self._answer(next(iter(request)))
        if "error" in answer:
            raise DataError(f"the stock engine refuses the game: {answer['error']}. Check the game file.")
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            if pipe is not None:
                pipe.close()

    def __del__(self) -> None:
        if hasattr(self, "_process") and not sys.is_finalizing():
            self.close()

    def _answer(self, request: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        while b"\n" not in self._buffer:
            if not select.select([self._process.stdout], [], [], _TIMEOUT)[0]:
                raise self._lost(f"gave no answer to {request!r} in {_TIMEOUT:.0f} s")
            if not (read := os.read(self._process.stdout.fileno(), 1 << 16)):
                raise self._lost(f"ended at {request!r}")
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\n")
        return dict(json.loads(line))

    def _lost(self, what: str) -> InfrastructureError:
        self._process.kill()
        self._process.wait()
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - _SHOWN))
        said = self._said.read().decode(errors="replace").strip()
        self.close()
        return InfrastructureError(
            f"the process of the stock engine {what}. It runs {self._python}, which needs alfworld and textworld; "
            f"its last words: {said or 'none'}. Check that environment, then try again."
        )


def engine_python() -> str:
    """An interpreter with the engine: this one, or that of ``AGENTQ_ALFWORLD_PYTHON``.

    Raises MissingExtraError when neither is there.
    """
    if chosen := os.environ.get(ENGINE_PYTHON):
        return chosen
    if all(importlib.util.find_spec(name) is not None for name in ("alfworld", "textworld")):
        return sys.executable
    raise MissingExtraError(
        "backend='textworld' needs alfworld and textworld: pip install 'agentq[alfworld]' (it compiles for some "
        f"minutes), or set {ENGINE_PYTHON} to the interpreter of an environment that has them."
    )


def _turn(answer: dict[str, Any]) -> Turn:
    observation = str(answer["observation"])
    return Turn(
        observation, tuple(answer["admissible"]), bool(answer["won"]), observation != "Nothing happens."
    )
