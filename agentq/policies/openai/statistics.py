"""What a policy counts that does not sample by itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ServerPolicyStatistics:
    """What a policy asked of its server since it was made; token counts are the server's own."""

    states: int = 0
    candidates: int = 0  # samples before deduplication
    computed_tokens: int = 0  # of prompts (once per request) and samples, without what the server had cached
    reused_tokens: int = 0  # of prompts, from the server's prefix cache where it reports them
    sampled_tokens: int = 0
    requests: int = 0  # the question for the server's models included
    retries: int = 0  # of infrastructure errors alone
    seconds: float = 0.0  # wall clock inside propose
