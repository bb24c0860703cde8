"""Connections that open with the first call, stay open between calls and survive a fork."""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from agentq.policies.openai.background import BackgroundLoop


class Closable(Protocol):
    """What is closed inside its event loop."""

    async def aclose(self) -> None:
        """Close it."""
        ...


_C = TypeVar("_C", bound=Closable)


@dataclass(frozen=True, slots=True)
class Line(Generic[_C]):
    """The connections of one process, and the loop that they live in."""

    loop: BackgroundLoop
    client: _C
    process: int
    finalizer: Any


class Connected(ABC, Generic[_C]):
    """Base of what talks to a server from synchronous code; threads may share it."""

    def __init__(self, name: str) -> None:
        self._name = name  # of the loop's thread
        self._line: Line[_C] | None = None
        self._connecting = threading.Lock()

    @abstractmethod
    async def _open(self) -> _C:
        """Make the connections, inside the loop that will use them."""

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._line is not None:
            self._line.finalizer()
            self._line = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _connect(self) -> Line[_C]:
        """The connections of this process: a forked one must not share its parent's sockets."""
        with self._connecting:
            if self._line is None or self._line.process != os.getpid():
                loop = BackgroundLoop(self._name)
                client = loop.run(self._open())
                loop.at_end(client.aclose)
                self._line = Line(loop, client, os.getpid(), weakref.finalize(self, loop.close))
            return self._line
