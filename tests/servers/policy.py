"""A policy as an OpenAI-compatible server: for ``StubUpstream``, as any client sees a model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

from agentq.policies.base import Policy
from agentq.types import Candidate
from tests.servers.upstream import Script, chat_answer


def policy_script(policy: Policy) -> Script:
    """n samples of the policy; the body's ``admissible`` lists the actions allowed (a field of our own)."""
    lock, seeds = threading.Lock(), count()

    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if "messages" not in body:
            return 200, {"object": "list", "data": [{"id": "tiny"}]}
        with lock:
            (found,) = policy.propose(
                [body["messages"]], body.get("n", 1), [next(seeds)], [body.get("admissible")]
            )
        samples = [c for c in found for _ in range(c.count)]
        content = chat_answer([c.text for c in samples], model="tiny")
        for choice, candidate in zip(content["choices"], samples, strict=True):
            choice["logprobs"] = {"content": list(_tokens(candidate))} if body.get("logprobs") else None
        return 200, content

    return answer


def _tokens(candidate: Candidate) -> Iterator[dict[str, Any]]:
    return ({"token": "", "logprob": value} for value in candidate.token_logprobs)
