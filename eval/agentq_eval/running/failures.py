"""Whose fault an error is: only what is not the agent's may be tried again."""

from __future__ import annotations

from dataclasses import dataclass

from agentq.errors import InfrastructureError


@dataclass(frozen=True, slots=True)
class Failures:
    """Tells infrastructure from the rest. Retrying anything else would re-roll failures and bias the score."""

    names: tuple[str, ...] = ()  # further classes as module.Class, matched without importing them

    def infrastructure(self, error: BaseException) -> bool:
        """Whether a server, a connection or a worker failed rather than the agent or its environment."""
        if isinstance(error, InfrastructureError | ConnectionError | TimeoutError):
            return True
        classes = {f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__}
        # httpx.TransportError is defined in httpx._exceptions: the first and last part decide.
        short = {f"{name.partition('.')[0]}.{name.rpartition('.')[2]}" for name in classes}
        return any(
            name in classes or f"{name.partition('.')[0]}.{name.rpartition('.')[2]}" in short
            for name in self.names
        )
