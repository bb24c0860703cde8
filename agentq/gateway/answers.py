"""What the client gets: the answer as if one choice had been asked for, and what the gateway adds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from agentq.gateway.guiding import Outcome


def completion(outcome: Outcome, metadata: dict[str, Any] | None) -> dict[str, Any]:
    """The upstream's own object with the chosen choice alone; usage counts all candidates."""
    content = {**outcome.answer.envelope, "choices": [outcome.choice]}
    if outcome.answer.usage is not None:
        content["usage"] = outcome.answer.usage
    if metadata is not None:
        content["agentq"] = metadata
    return content


def metadata_of(outcome: Outcome) -> dict[str, Any]:
    """The decision as plain JSON values; -inf (an invalid candidate) is null."""
    decision = outcome.decision
    heads = decision.head_q
    return {
        "decision": outcome.recorded.decision,
        "session": outcome.recorded.session,
        "step": outcome.recorded.step,
        "guided": outcome.reason is None,
        "reason": outcome.reason,
        "n": outcome.n,
        "choice": decision.index,
        "selector": decision.selector,
        "draw": decision.draw,
        "flags": list(outcome.flags),
        "latency": {name: round(seconds, 6) for name, seconds in outcome.timings.items()},
        "candidates": [
            {
                "action": candidate.action,
                "text": candidate.text,
                "error": candidate.error,
                "count": candidate.count,
                "logprob": candidate.logprob,
                "q": _finite(decision.q[i]),
                "head_q": None if heads is None else [_finite(head[i]) for head in heads],
                "probability": float(decision.probabilities[i]),
            }
            for i, candidate in enumerate(decision.candidates)
        ],
    }


def headers_of(outcome: Outcome) -> dict[str, str]:
    """The upstream's headers and what the decision was."""
    kept = {name: value for name, value in outcome.answer.headers.items() if name != "content-type"}
    return {**kept, **decision_headers(outcome.reason, outcome.recorded.decision, outcome.recorded.session)}


def decision_headers(reason: str | None, decision: str = "", session: str = "") -> dict[str, str]:
    """``x-agentq-*``; a session's name is percent-encoded, since headers hold ASCII."""
    headers: Mapping[str, str] = {
        "x-agentq-guided": "true" if reason is None else "false",
        "x-agentq-reason": reason or "",
        "x-agentq-decision": decision,
        "x-agentq-session": quote(session, safe=""),
    }
    return {name: value for name, value in headers.items() if value}


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
