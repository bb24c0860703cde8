"""How a server is reached: address, key, timeouts, retries and limits."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from agentq.errors import ConfigError

_VERSION = re.compile(r"/v\d+[a-z0-9]*(/|$)")


@dataclass(frozen=True)
class ServerSettings:
    """Everything about a server but what to ask it.

    ``base_url`` is the server's address with or without ``/v1``. The key is not here: ``key_variable`` names
    the environment variable that holds it, and a server without keys needs none. Times are seconds.
    Raises ``ConfigError`` for impossible values.
    """

    base_url: str
    key_variable: str = "OPENAI_API_KEY"  # environment variable with the key; "": send none
    connect_timeout: float = 5.0
    read_timeout: float = 120.0  # longest silence of the server, so the longest reply without streaming
    retries: int = 4  # of infrastructure errors, after the first attempt
    retry_seconds: float = 0.5  # upper bound of the first wait; it doubles with every retry
    retry_limit: float = 30.0  # longest wait, and longest Retry-After that is waited for
    concurrency: int = 32  # requests on their way at a time
    requests_per_second: float = 0.0  # starts of attempts; 0: no limit
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)  # sent with every request

    def __post_init__(self) -> None:
        parts = _parts(self.base_url)
        if parts.username is not None or parts.password is not None:
            raise ConfigError(  # without the value: it is a secret
                "base_url holds a user name or a password, expected none: addresses are logged. Put the key in an "
                "environment variable and name it with key_variable."
            )
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ConfigError(
                f"base_url={self.base_url!r}; expected http://HOST:PORT or https://HOST, with or without /v1. "
                "Check the address."
            )
        for name in ("connect_timeout", "read_timeout", "concurrency"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}={getattr(self, name)}; expected a number above 0. Raise it.")
        for name in ("retries", "retry_seconds", "retry_limit", "requests_per_second"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)}; expected 0 or more. 0 switches it off.")

    @property
    def root(self) -> str:
        """The server's address without ``/v1`` and without a slash at its end."""
        return self.base_url.rstrip("/").removesuffix("/v1")

    @property
    def api(self) -> str:
        """What paths below ``/v1/`` are below; an address with a version of its own keeps it."""
        address = self.base_url.rstrip("/")
        return address if _VERSION.search(urlsplit(address).path) else f"{address}/v1"

    def url(self, path: str) -> str:
        """The full address: ``/v1/...`` is the API, everything else (``/health``) is below the root."""
        if path.startswith("/v1/"):
            return self.api + path.removeprefix("/v1")
        return f"{self.root}/{path.lstrip('/')}"

    def key(self) -> str:
        """The key as the environment has it now; "": none. Raises ``ConfigError`` for one that no header can hold."""
        key = os.environ.get(self.key_variable, "").strip() if self.key_variable else ""
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(  # without the value, which the HTTP library would print in its own error
                f"the environment variable {self.key_variable!r} holds line breaks or characters that are not ASCII. "
                "Set it to the key alone."
            )
        return key


def _parts(base_url: str) -> SplitResult:
    try:
        parts = urlsplit(base_url)
        _ = parts.port  # only reading it checks it
    except ValueError as error:
        raise ConfigError(
            f"base_url is no address ({error}); expected http://HOST:PORT or https://HOST."
        ) from error
    return parts
