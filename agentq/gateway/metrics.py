"""What Prometheus reads: counters and histograms in a registry of the gateway's own."""

from __future__ import annotations

import importlib
from typing import Any

from agentq.errors import MissingExtraError

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The gateway's figures; docs/gateway.md lists them. Raises ``MissingExtraError`` without prometheus-client."""

    def __init__(self) -> None:
        client = library("prometheus_client")
        self._client = client
        self.registry: Any = client.CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Any:
            return client.Counter(f"agentq_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str) -> Any:
            return client.Gauge(f"agentq_{name}", text, registry=self.registry)

        self.requests = counter("requests", "Answered requests", "path", "status")
        self.decisions = counter(
            "decisions", "Completions by whether the critic chose; reason says why not", "guided", "reason"
        )
        self.rejected = counter("rejected", "Requests that the gateway refused", "reason")
        self.upstream_errors = counter("upstream_errors", "Failures of the upstream", "kind")
        self.candidates = counter("candidates", "Candidates that the upstream proposed")
        self.duplicates = counter("duplicates", "Candidates whose action another one of the request has")
        self.refused = counter("refused", "Candidates that a check refused", "check")
        self.resampled = counter("resampled", "Second rounds, by what they came to", "outcome")
        self.disconnects = counter("disconnects", "Clients that went away before their answer")
        self.feedback = counter("feedback", "Feedback that was taken")
        self.episodes = counter("episodes", "Sessions written to the log", "end")
        self.log_errors = counter("log_errors", "Decisions or sessions that could not be written")
        self.seconds = client.Histogram(
            "agentq_seconds",
            "Seconds of a request by stage",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = gauge("requests_in_flight", "Requests on their way")
        self.queue_depth = gauge("scoring_queue_depth", "States that wait for the critic")
        self.sessions_open = gauge("sessions_open", "Sessions that have not ended")
        self.critic_restarts = gauge("critic_restarts", "Times that the critic's process was started again")
        self.batches = gauge("scoring_batches", "Calls of the critic since the start")
        self.batched_states = gauge("scoring_states", "States in those calls")
        self.prefilled = gauge("scoring_prefilled", "States read while the upstream was sampling")

    def text(self) -> bytes:
        """The exposition format."""
        return self._client.generate_latest(self.registry)


def library(name: str) -> Any:
    """A library of the extra ``serve``. Raises ``MissingExtraError`` when it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"agentq serve needs {name.replace('_', '-')}, which is not installed. "
            'Run: pip install "agentq[serve]"'
        ) from error
