"""The Gymnasium environment ``agentq/WebShop-v0``."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding

from agentq.errors import ActionError, ConfigError, TaskError
from agentq_envs.prompts import Prompt, resolve_prompt
from agentq_envs.text_actions import AnyText, checked_text
from agentq_envs.webshop.expert import Expert
from agentq_envs.webshop.goals import Goal
from agentq_envs.webshop.history import History
from agentq_envs.webshop.loading import shared_server, shop_files
from agentq_envs.webshop.lookahead import GAMMA, Lookahead
from agentq_envs.webshop.nouns import NounTagger
from agentq_envs.webshop.panels import Panel, load_panel
from agentq_envs.webshop.render import MODES, ObservationMode
from agentq_envs.webshop.server import GoalSettings, WebShopServer
from agentq_envs.webshop.session import Session

DEFAULT_MAX_STEPS = 15


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of an episode; small and picklable, valid in any environment on the same tasks."""

    task: str
    session: Session
    actions: tuple[str, ...]
    history: History
    ended: bool
    truncated: bool


class WebShopEnv(gymnasium.Env[str, str]):
    """Text shopping: search, open products, choose options, buy. Action and observation are texts.

    The reward is 0 until "buy now", which ends the episode with a score in [0, 1]. After ``max_steps``
    actions the episode is truncated with score 0. Everything is deterministic per (task, seed).
    """

    #: What a log keeps of info.
    logged_info = ("success", "reward", "page", "legal", "tagger", "same_product")
    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(
        self,
        products: str | Path | None = None,  # official files; None: the generated catalogue
        attributes: str | Path | None = None,
        human: str | Path | None = None,
        *,
        server: WebShopServer | None = None,  # instead of files: share this one
        catalogue_seed: int = 0,  # of the generated catalogue
        observation_mode: ObservationMode = "text",
        human_goals: bool = False,
        show_attrs: bool = False,
        num_products: int | None = None,  # load only the first ones
        goal_seed: int = 0,  # of prices and price ceilings
        limit_goals: int = -1,
        num_prev_obs: int = 0,
        num_prev_actions: int = 0,
        max_steps: int | None = DEFAULT_MAX_STEPS,  # None: no limit
        noun_tagger: str | NounTagger = "auto",
        reveal_goal: bool = False,  # put the goal into info, for experts and oracles
        prompt: str | Prompt | None = None,  # renders info["messages"]; a name of .prompt; None: compact
        render_mode: str | None = None,
    ) -> None:
        if observation_mode not in MODES:
            raise ConfigError(
                f"observation_mode {observation_mode!r} is unknown, expected one of {', '.join(MODES)}."
            )
        if max_steps is not None and max_steps < 1:
            raise ConfigError(f"max_steps is {max_steps}, expected at least 1, or None for no limit.")
        self.server = server or shared_server(
            shop_files(products, attributes, human, catalogue_seed),
            GoalSettings(goal_seed, human_goals, limit_goals),
            num_products=num_products,
            show_attrs=show_attrs,
            noun_tagger=noun_tagger,
        )
        self.mode: ObservationMode = observation_mode
        self.max_steps = max_steps
        self.reveal_goal = reveal_goal
        self.prompt = resolve_prompt(prompt, "agentq_envs.webshop")
        self.render_mode = render_mode
        self.action_space = AnyText()
        self.observation_space = AnyText()
        self._history = History(num_prev_obs, num_prev_actions)
        self._session: Session | None = None
        self._generator: np.random.Generator | None = None
        self._actions: tuple[str, ...] = ()
        self._ended = False
        self._truncated = False
        self._lookahead: Lookahead | None = None

    @property
    def _np_random(self) -> np.random.Generator | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Gymnasium's generator, made on first use: creating one takes longer than the rest of a reset."""
        if self._generator is None and self._np_random_seed is not None:
            self._generator = seeding.np_random(self._np_random_seed)[0]
        return self._generator

    @_np_random.setter
    def _np_random(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, value: np.random.Generator | None
    ) -> None:
        self._generator = value

    @property
    def session(self) -> Session:
        """The running session. Raises ActionError before the first reset."""
        if self._session is None:
            raise ActionError("the episode has not begun: call reset() before step(), snapshot() or session.")
        return self._session

    @property
    def goal(self) -> Goal:
        """The goal of the episode (privileged)."""
        return self.server.goal(self.session)

    @property
    def task(self) -> str:
        """The task id of the episode."""
        return self.server.task_id(self.session.goal_index)

    @property
    def steps(self) -> int:
        """Actions taken in this episode."""
        return len(self._actions)

    @property
    def steps_left(self) -> int:
        """Actions left before the episode is truncated; without a limit a thousand."""
        return 1000 if self.max_steps is None else self.max_steps - self.steps

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions of this episode, oldest first."""
        return self._actions

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode.

        ``options["task"]`` is a task id, ``options["goal_index"]`` a position in ``server.goals``; without
        either the seed draws the task by weight. Raises TaskError for an unknown task.
        """
        if seed is not None:
            if not isinstance(seed, (int, np.integer)) or seed < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(f"the seed is {seed!r}, expected an int of at least 0.")
            self._np_random_seed, self._generator = int(seed), None
        index = self._chosen_goal(seed, options or {})
        self._session = self.server.start(
            index, seed=seed if seed is not None else int(self.np_random.integers(2**32))
        )
        self._actions = ()
        self._ended = self._truncated = False
        observation = self.server.observe(self._session, self.mode)
        self._history = self._history.begun(observation)
        return observation, self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take an action; any text is accepted, illegal ones change nothing but count as a step.

        After the end of the episode nothing changes any more. Raises ActionError for an action that is no
        text, or before the first reset.
        """
        action = checked_text(action, "'search[red shoes]' or 'click[buy now]'")
        session = self.session
        if self._ended:
            return (
                self._history.text(),
                0.0,
                not self._truncated,
                self._truncated,
                {**self._info(), "legal": False},
            )
        outcome = self.server.act(session, action)
        self._actions = (*self._actions, action)
        terminated = outcome.done
        self._truncated = not terminated and self.max_steps is not None and self.steps >= self.max_steps
        self._ended = terminated or self._truncated
        self._history = self._history.after(action, self.server.observe(session, self.mode))
        info = self._info()
        info["legal"] = outcome.legal
        if terminated and session.reward is not None:
            info["reward"] = session.reward.to_json()
            info["success"] = session.reward.success
            info["same_product"] = session.asin == self.goal.asin
        return self._history.text(), outcome.reward, terminated, self._truncated, info

    def snapshot(self) -> Snapshot:
        """The state of the episode, to be taken up by ``restore`` here or in another process."""
        return Snapshot(
            task=self.task,
            session=self.session.copy(),
            actions=self._actions,
            history=self._history,
            ended=self._ended,
            truncated=self._truncated,
        )

    def restore(self, snapshot: Snapshot) -> tuple[str, dict[str, Any]]:
        """Take up a stored state; returns observation and info as they were.

        Raises TaskError when this server does not have the snapshot's task.
        """
        session = snapshot.session.copy()
        same = session.goal_index < len(self.server.goals)
        if not same or self.server.task_id(session.goal_index) != snapshot.task:
            session.goal_index = self.server.goal_index(snapshot.task)
        self._session = session
        self._actions = snapshot.actions
        self._history = snapshot.history
        self._ended = snapshot.ended
        self._truncated = snapshot.truncated
        return self._history.text(), self._info()

    def panel(self, name: str) -> Panel:
        """The panel of that name, checked against this environment's tasks. Raises TaskError otherwise."""
        return load_panel(name, self.server)

    def provenance(self) -> dict[str, Any]:
        """What moves a score besides the actions: data, goals and tagger; JSON."""
        settings = self.server.settings
        return {
            "data_hash": self.server.catalogue.content_hash,
            "goal_seed": settings.seed,
            "human_goals": settings.human,
            "noun_tagger": self.server.tagger.name,
            "observation_mode": self.mode,
            "max_steps": self.max_steps,
        }

    def lookahead(self, actions: Sequence[str], gamma: float = GAMMA) -> list[float]:
        """Value of each action when the rest is played as well as possible (privileged: reads the goal).

        Discounted with ``gamma`` per step, limited to the steps that are left; 0 after the end. The
        state of the episode is not changed.
        """
        if self._ended:
            return [0.0] * len(actions)
        known = self._lookahead
        if known is None or known.goal is not self.goal or known.gamma != gamma:
            self._lookahead = known = Lookahead(self.server, self.goal, gamma)
        return known.action_values(self.session, actions, self.steps_left)

    def expert_action(self) -> str:
        """What the scripted expert does now (privileged: reads the goal)."""
        return Expert(self.server, self.goal).act(self.session, self.actions)

    def render(self) -> str:  # type: ignore[override]
        """The current page as text."""
        return self.server.observe(self.session, "text_rich")

    def _chosen_goal(self, seed: int | None, options: dict[str, Any]) -> int:
        if (task := options.get("task")) is not None:
            return self.server.goal_index(task)
        if (index := options.get("goal_index")) is not None:
            if not 0 <= index < len(self.server.goals):
                raise TaskError(
                    f"goal_index {index} is out of range, this server has {len(self.server.goals)} goals."
                )
            return int(index)
        drawn = seed if seed is not None else int(self.np_random.integers(2**63))
        return self.server.draw_goal(random.Random(drawn))

    def _info(self) -> dict[str, Any]:
        session = self.session
        info: dict[str, Any] = {
            "task": self.task,
            "page": session.page,
            "url": session.url,
            "admissible_actions": list(self.server.admissible(session)),
            "success": False,
            "tagger": self.server.tagger.name,
        }
        if self.reveal_goal:
            info["goal"] = self.goal
        info["messages"] = tuple(self.prompt(self))
        return info
