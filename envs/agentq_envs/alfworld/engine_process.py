"""The stock engine as a process: run by any interpreter that has alfworld and textworld, without AgentQ.

Each line on standard input is a JSON object, each answered by one line on standard output:
``{"load": game}`` with the content of a ``game.tw-pddl``, ``{"reset": true}``, ``{"step": command}``. The
answer holds ``observation``, ``admissible`` and ``won``, or ``error``.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any


def main() -> None:
    """Answer requests until the input ends."""
    # Whatever the engine prints must not mix with the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("ALFWORLD_DATA", scratch)  # importing alfworld makes this folder
        env = _environment()
        answers.write(json.dumps({"ready": True}) + "\n")
        answers.flush()
        for line in sys.stdin:
            answers.write(json.dumps(_answer(env, json.loads(line))) + "\n")
            answers.flush()


def _environment() -> Any:
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler  # pyright: ignore[reportMissingImports]
    from textworld import EnvInfos  # pyright: ignore[reportMissingImports]
    from textworld.envs import PddlEnv  # pyright: ignore[reportMissingImports]

    return AlfredDemangler(PddlEnv(EnvInfos(admissible_commands=True, won=True)), shuffle=False)


def _answer(env: Any, request: dict[str, Any]) -> dict[str, Any]:
    try:
        if "load" in request:
            env.load(request["load"])
            return {"loaded": True}
        state = env.reset() if "reset" in request else env.step(request["step"])[0]
    except Exception as error:  # noqa: BLE001 - whatever the engine raises is the answer
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "observation": state["feedback"],
        "admissible": state["admissible_commands"],
        "won": bool(state["won"]),
    }


if __name__ == "__main__":
    main()
