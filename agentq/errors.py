"""The exception tree of AgentQ.

AgentQError
├── ConfigError          a setting is unknown, of the wrong type, or contradicts another
├── MissingExtraError    an optional dependency is not installed (names the install command)
├── CandidateError       a policy or a caller handed over no usable candidates
├── SelectorError        scores and candidates do not fit, or a selector's setting is impossible
├── BackboneError        a language model could not be loaded or does not fit the request
├── CriticError          a critic cannot score what it was given
│   └── CheckpointError  a saved critic does not belong to this backbone, template or version
├── FeatureError         a feature store is unreadable, or features are not finite
├── LogError             a trajectory log is unreadable, locked, or from a newer version
├── TrainingError        training cannot go on (loss not finite, nothing to train on, bad resume)
├── DataError            an input data file is broken or incomplete
├── InfrastructureError  a server or device that an episode needs cannot be reached; it may be tried again
├── ServerError          a server was reached and refused or answered what its protocol does not allow
├── TaskError            a task id or panel is unknown or does not match its hash
├── ActionError          an environment was given an action of the wrong type, or none is expected
└── EvaluationError      results are missing or cannot be compared

Every message names the offending value, what was expected, and the next action.
"""

from __future__ import annotations

from collections.abc import Mapping


class AgentQError(Exception):
    """Base class of every error that AgentQ raises on purpose."""


class ConfigError(AgentQError, ValueError):
    """A setting is unknown, of the wrong type, or contradicts another one."""


class MissingExtraError(AgentQError, ImportError):
    """An optional dependency is not installed; the message names the install command."""


class CandidateError(AgentQError, ValueError):
    """A policy or a caller handed over no usable candidates."""


class SelectorError(AgentQError, ValueError):
    """Scores and candidates do not fit, or a selector's setting is impossible."""


class BackboneError(AgentQError):
    """A language model could not be loaded or does not fit the request."""


class CriticError(AgentQError):
    """A critic cannot score what it was given."""


class CheckpointError(CriticError):
    """A saved critic does not belong to this backbone, chat template or version."""


class FeatureError(AgentQError):
    """A feature store is unreadable, or features are not finite."""


class LogError(AgentQError):
    """A trajectory log is unreadable, locked by another process, or from a newer version."""


class TrainingError(AgentQError):
    """Training cannot go on: loss not finite, nothing to train on, or an impossible resume."""


class DataError(AgentQError, ValueError):
    """An input data file is broken or incomplete."""


class TaskError(AgentQError, KeyError):
    """A task id or panel is unknown or does not match its content hash."""

    def __str__(self) -> str:  # KeyError would print the repr, quotes included
        return str(self.args[0]) if self.args else ""


class ActionError(AgentQError, TypeError):
    """An environment was given an action that is no text, or an action outside an episode."""


class InfrastructureError(AgentQError):
    """A server or device that an episode needs cannot be reached; nothing is wrong with the agent."""


class ServerError(AgentQError):
    """A server was reached and refused the request, or its answer is not what its protocol promises.

    ``status`` is the HTTP status, ``body`` the answer's bytes, ``headers`` its headers by lower-case name.
    """

    def __init__(
        self, message: str, status: int = 0, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body
        self.headers: Mapping[str, str] = dict(headers or {})


class EvaluationError(AgentQError):
    """Results are missing or cannot be compared."""
