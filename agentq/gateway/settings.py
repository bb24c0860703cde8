"""What a gateway is told when it starts; a request can change only what ``overrides`` lists."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agentq.errors import ConfigError
from agentq.policies.openai.settings import ServerSettings
from agentq.verification import Check, check_of


@dataclass(frozen=True)
class GatewaySettings:
    """Options of ``agentq serve``. Times are seconds, sizes are bytes. Raises ``ConfigError`` for impossible ones."""

    upstream: str  # address of an OpenAI-compatible server, with or without /v1
    critic: str = "none"  # folder, hub name or bundled name of a QCritic; none: only log
    n: int = 8  # candidates per request
    selector: str = "best_of_n"
    selector_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    checks: tuple[Check | str, ...] = ()  # refuse candidates before scoring; a text: "repeated:times=2"
    resample: bool = False  # where checks refuse all, ask the upstream once more with their reasons
    host: str = "127.0.0.1"
    port: int = 8080
    api_key_variable: str = (
        ""  # environment variable with the key that clients must send; "": none is asked for
    )
    upstream_key_variable: str = ""  # environment variable with the upstream's key; "": none is sent
    upstream_timeout: float = 600.0  # longest silence of the upstream
    upstream_concurrency: int = 512  # requests to the upstream at a time
    temperature: float | None = None  # of the candidates, whatever the request says; none: the request's own
    deadline: float = 1.0  # for scoring; later the first candidate goes through
    max_n: int = 32  # most candidates that a request may ask for
    max_body: int = 16 << 20
    body_timeout: float = 30.0  # until a request's body is complete
    max_requests: int = 1024  # on their way at a time; more get 429
    max_queue: int = 256  # states that wait for the critic; more get 429
    max_batch: int = 0  # states per call of the critic; 0: 4 on a CPU, else 32
    max_characters: int = 200_000  # of a state; the critic is not asked about longer ones
    actions: Literal["text", "react"] = "text"  # the whole reply is the action, or what follows "Action:"
    logprobs: Literal["auto", "always", "never"] = "auto"  # ask for them; auto: when the critic reads them
    device: str = "auto"  # of the critic
    threads: int = 0  # of torch; 0: one less than there are cores
    prefix_cache: int = (
        256 << 20
    )  # bytes of read prompts that the critic keeps; 0: none, and none is read ahead
    critic_process: bool = False  # the critic runs in a process of its own
    log: Path | None = None  # folder of the trajectory log
    environment: str = "gateway"  # name in the log
    session_idle: float = 1800.0  # a session without requests for so long is closed as truncated
    max_sessions: int = 10_000  # open at a time; more close the one that was quiet longest
    log_content: bool = False  # the server's own log and the page hold messages, too
    page: bool = True  # the page of live decisions

    def __post_init__(self) -> None:
        self.server()  # checks the address
        self.loaded_checks()
        if self.resample and not self.checks:
            raise ConfigError(
                "resample is on without checks, which alone refuse candidates. Name some with checks."
            )
        for name in ("n", "max_n", "max_body", "max_requests", "max_queue", "max_characters", "max_sessions"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected at least 1.")
        for name in ("deadline", "body_timeout", "session_idle", "upstream_timeout"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected seconds above 0.")
        for name in ("max_batch", "threads", "prefix_cache"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 (chosen for you) or more.")
        if self.n > self.max_n:
            raise ConfigError(f"n is {self.n}, more than max_n={self.max_n}. Lower n or raise max_n.")

    def loaded_checks(self) -> tuple[Check, ...]:
        """The checks, those made that are only named. Raises ``ConfigError`` for unknown names and options."""
        return tuple(check_of(check) if isinstance(check, str) else check for check in self.checks)

    def server(self) -> ServerSettings:
        """How the upstream is reached. Never tried again here: the client's own retries see what it said."""
        return ServerSettings(
            base_url=self.upstream,
            key_variable=self.upstream_key_variable,
            read_timeout=self.upstream_timeout,
            retries=0,
            concurrency=self.upstream_concurrency,
        )

    def api_key(self) -> str:
        """The key that clients must send; "": none. Raises ``ConfigError`` when its variable is empty or not set."""
        if not self.api_key_variable:
            return ""
        key = os.environ.get(self.api_key_variable, "").strip()
        if not key:
            raise ConfigError(
                f"the environment variable {self.api_key_variable!r} is empty or not set, but api_key_variable names "
                "it. Set it, or leave the option out to ask for no key."
            )
        return key

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the gateway."""
        return self.host in ("127.0.0.1", "localhost", "::1")
