"""The interface of the original text environment, for code written against it.

Differences from the original: the server is passed in, random numbers come from the server's own stream
instead of the ``random`` module, and searches that crash the original (``<a>``) change nothing.
"""

from __future__ import annotations

import string
from typing import Any

from agentq_envs.webshop.history import History
from agentq_envs.webshop.render import ObservationMode, instruction_heading
from agentq_envs.webshop.server import WebShopServer
from agentq_envs.webshop.session import Session

_ID_LENGTH = 10


class ClassicTextEnv:
    """``reset(session) -> (observation, None)`` and ``step(action) -> (state, reward, done, None)``.

    There is no step limit, a session goes on after a purchase, and a session id seen before keeps its
    goal. Pass the same ``sessions`` dict to environments that shall share their sessions.
    """

    def __init__(
        self,
        server: WebShopServer,
        observation_mode: ObservationMode = "text",
        *,
        session: int | str | None = None,
        session_prefix: str | None = None,
        num_prev_obs: int = 0,
        num_prev_actions: int = 0,
        sessions: dict[str, Session] | None = None,
    ) -> None:
        self.server = server
        self.observation_mode: ObservationMode = observation_mode
        self.session_prefix = session_prefix or ""
        self.sessions: dict[str, Session] = {} if sessions is None else sessions
        self._history = History(num_prev_obs, num_prev_actions)
        self._instruction: str | None = None
        self.reset(session)

    def reset(
        self, session: int | str | None = None, instruction_text: str | None = None
    ) -> tuple[str, None]:
        """Begin or reopen a session: an int is also the goal index, otherwise the goal is drawn by weight."""
        rng = self.server.rng
        name = "".join(rng.choices(string.ascii_lowercase, k=_ID_LENGTH)) if session is None else str(session)
        name = self.session_prefix + name
        if name not in self.sessions:
            goal_index = session if isinstance(session, int) else self.server.draw_goal(rng)
            self.sessions[name] = self.server.start(goal_index, name)
        self.current = self.sessions[name]
        self.current.start_over()
        self.current.url = self.server.start(self.current.goal_index, name).url
        self._instruction = instruction_text
        self._history = self._history.begun(self.observation)
        return self.observation, None

    def step(self, action: str) -> tuple[str, float, bool, None]:
        """Take an action; the reward is the purchase's score, and ``done`` is true only then."""
        outcome = self.server.act(self.current, action)
        self._history = self._history.after(action, self.observation)
        return self._history.text(), outcome.reward, outcome.done, None

    @property
    def observation(self) -> str:
        """The current page."""
        return self.server.observe(self.current, self.observation_mode)

    @property
    def state(self) -> dict[str, str]:
        """URL, page text and instruction."""
        return {"url": self.current.url, "text": self.observation, "instruction_text": self.instruction_text}

    @property
    def instruction_text(self) -> str:
        """The heading of the start page, or what was given to ``reset``."""
        if self._instruction is not None:
            return self._instruction
        return f"Instruction: {self.server.goal(self.current).instruction_text}"

    def get_instruction_text(self) -> str:
        """The heading of the current page."""
        return instruction_heading(self.current, self.server.goal(self.current).instruction_text)

    def get_available_actions(self) -> dict[str, Any]:
        """``{"has_search_bar": ..., "clickables": [...]}`` of the current page."""
        return {
            "has_search_bar": self.current.page == "search",
            "clickables": list(self.server.clickables(self.current)),
        }
