"""A server that names another colour each time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agentq.wrapping.replies import colours
from tests.servers.scripted_chat import ScriptedChat, serving


@pytest.fixture
def server() -> Iterator[ScriptedChat]:
    with serving(ScriptedChat(colours)) as chat:
        yield chat
