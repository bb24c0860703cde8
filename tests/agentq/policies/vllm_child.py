"""Runs the in-process vLLM policy in vLLM's own interpreter and prints what it proposed as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from agentq.policies.requests import FREE_TEXT
from agentq.policies.vllm import VLLMPolicy


def main(model: str) -> None:
    """One line behind ``RESULT``: candidates of four calls, and the statistics."""
    policy = VLLMPolicy(model, max_new_tokens=24, dtype="float32", enforce_eager=True, max_model_len=512)
    state = [{"role": "user", "content": "WebShop\nInstruction: red mug\n[Search]"}]
    other = [{"role": "user", "content": "another state"}]
    choices = ["click[buy now]", "click[back]"]
    results = {
        "eight": policy.propose([state], 8, [3]),
        "four": policy.propose([state, other], 4, [3, 4]),
        "choices": policy.propose([state], 8, [0], [choices]),
        "slot": policy.propose([state], 8, [0], [[f"search[{FREE_TEXT}]"]]),
    }
    record: dict[str, Any] = {
        name: [[asdict(c) for c in s] for s in states] for name, states in results.items()
    }
    try:
        policy.propose([[{"role": "user", "content": "red mug " * 600}]], 1, [0])
    except ValueError as error:  # CandidateError is one
        record["too_long"] = f"{type(error).__name__}: {error}"
    print("RESULT", json.dumps({**record, "statistics": asdict(policy.statistics)}))


if __name__ == "__main__":
    main(sys.argv[1])
