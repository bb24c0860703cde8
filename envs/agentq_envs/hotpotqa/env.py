"""The Gymnasium environment ``agentq/HotPotQA-v0``."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from agentq.errors import ActionError, ConfigError, TaskError
from agentq_data.hotpotqa.questions import Question
from agentq_envs.hotpotqa.actions import TEMPLATES
from agentq_envs.hotpotqa.corpus import Corpus
from agentq_envs.hotpotqa.expert import GAMMA, Expert
from agentq_envs.hotpotqa.loading import Pages, load_tasks
from agentq_envs.hotpotqa.panels import Panel, load_panel
from agentq_envs.hotpotqa.session import Outcome, Session, advance
from agentq_envs.hotpotqa.tasks import TaskSet
from agentq_envs.prompts import Prompt, resolve_prompt
from agentq_envs.text_actions import AnyText, checked_text

DEFAULT_MAX_STEPS = 7  # depth of the published searches
_SAMPLES = ("search[Paris]", "lookup[born]", "finish[yes]", "think[hm]", "")


class ResearchText(AnyText):
    """Every ``str``; samples are actions of this environment."""

    def sample(self, mask: Any | None = None, probability: NDArray[np.float64] | None = None) -> str:
        """One of a few action texts; masks have no meaning here and are ignored."""
        return _SAMPLES[int(self.np_random.integers(len(_SAMPLES)))]

    def __repr__(self) -> str:
        return "ResearchText()"


class HotPotQAEnv(gymnasium.Env[str, str]):
    """Questions answered by searching an encyclopedia. Action and observation are texts.

    The reward is 0 until ``finish[answer]``, which ends the episode with the exact match, 0 or 1. After
    ``max_steps`` actions the episode is truncated with reward 0. Nothing is random but the choice of the task.
    """

    #: What a log keeps of info.
    logged_info = ("success", "reward", "page", "legal")
    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(
        self,
        questions: str | Path | None = None,  # official question file; None: the made world
        corpus: str
        | Path
        | Corpus
        | None = None,  # file of build_corpus; None: what comes with the questions
        *,
        tasks: TaskSet | None = None,  # instead of files: share these
        pages: Pages = "all",  # "own": every question sees only the paragraphs of its own context
        world_seed: int = 0,  # of the made world
        max_steps: int | None = DEFAULT_MAX_STEPS,  # None: no limit
        templates: bool = False,  # put the action templates into info["admissible_actions"]
        prompt: str | Prompt | None = None,  # renders info["messages"]; a name of .prompt; None: compact
        render_mode: str | None = None,
    ) -> None:
        if max_steps is not None and max_steps < 1:
            raise ConfigError(f"max_steps is {max_steps}, expected at least 1, or None for no limit.")
        self.tasks = tasks or load_tasks(questions, corpus, pages=pages, world_seed=world_seed)
        self.max_steps = max_steps
        self.templates = templates
        self.prompt = resolve_prompt(prompt, "agentq_envs.hotpotqa")
        self.render_mode = render_mode
        self.action_space = ResearchText()
        self.observation_space = AnyText()
        self._session: Session | None = None
        self._index = 0
        self._expert: Expert | None = None

    @property
    def session(self) -> Session:
        """The state of the episode. Raises ActionError before the first reset."""
        if self._session is None:
            raise ActionError("the episode has not begun: call reset() before step(), snapshot() or session.")
        return self._session

    @property
    def question(self) -> Question:
        """The question of the episode, answer included (privileged)."""
        return self.tasks.questions[self._index]

    @property
    def corpus(self) -> Corpus:
        """What this question can search."""
        return self.tasks.corpus_of(self._index)

    @property
    def task(self) -> str:
        """The task id of the episode."""
        return self.session.task

    @property
    def steps(self) -> int:
        """Actions taken in this episode."""
        return len(self.session.turns)

    @property
    def steps_left(self) -> int:
        """Actions left before the episode is truncated; without a limit a thousand."""
        return 1000 if self.max_steps is None else self.max_steps - self.steps

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions of this episode, oldest first."""
        return tuple(turn.action for turn in self.session.turns)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode; the observation is the question.

        ``options["task"]`` is a task id; without one the seed draws the task. Raises TaskError for an unknown
        task.
        """
        if seed is not None and (not isinstance(seed, (int, np.integer)) or seed < 0):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"the seed is {seed!r}, expected an int of at least 0.")
        super().reset(seed=None if seed is None else int(seed))
        task = (options or {}).get("task")
        if task is not None:
            self._take(self.tasks.index(task))
        else:
            drawn = int(seed) if seed is not None else int(self.np_random.integers(2**63))
            self._take(random.Random(drawn).randrange(len(self.tasks.ids)))
        self._session = Session(self.tasks.ids[self._index])
        return self.question.question, self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take an action; any text is accepted, one that is no action changes nothing but counts as a step.

        After the end of the episode nothing changes any more. Raises ActionError for an action that is no
        text, or before the first reset.
        """
        action = checked_text(action, "'search[Paris]' or 'finish[yes]'")
        before = self.session
        if before.ended:
            info = {**self._info(), "legal": False}
            return self._observation(), 0.0, before.answer is not None, before.truncated, info
        outcome = self._advance(before, action)
        self._session = outcome.session
        info = {**self._info(), "legal": outcome.legal}
        if outcome.score is not None:
            info["success"] = outcome.score.em == 1.0
            info["reward"] = {"total": outcome.reward, **outcome.score.to_json()}
        terminated = outcome.session.answer is not None
        return outcome.observation, outcome.reward, terminated, outcome.session.truncated, info

    def snapshot(self) -> Session:
        """The state of the episode: small, immutable, picklable; ``restore`` takes it up here or elsewhere."""
        return self.session

    def restore(self, snapshot: Session) -> tuple[str, dict[str, Any]]:
        """Take up a stored state; returns observation and info as they were.

        Raises TaskError when the snapshot's task is not among this environment's.
        """
        self._take(self.tasks.index(snapshot.task))
        self._session = snapshot
        return self._observation(), self._info()

    def panel(self, name: str) -> Panel:
        """The panel of that name, checked against this environment's data. Raises TaskError otherwise."""
        return load_panel(name, self.tasks)

    def provenance(self) -> dict[str, Any]:
        """What moves a score besides the actions; JSON."""
        return {
            "data_hash": self.tasks.data_hash,
            "corpus_hash": self.tasks.corpus.content_hash,
            "pages": "own" if self.tasks.distractor else "all",
            "max_steps": self.max_steps,
        }

    def lookahead(self, actions: Sequence[str], gamma: float = GAMMA) -> list[float]:
        """Value of each action when every supporting fact is then read and the answer given (privileged).

        Discounted with ``gamma`` per step, limited to the steps that are left; 0 after the end. The state of
        the episode is not changed. Raises TaskError when the question has no supporting facts in the corpus.
        """
        if self.session.ended:
            return [0.0] * len(actions)
        return self._known_expert().action_values(self.session, actions, self.steps_left, gamma)

    def expert_action(self) -> str:
        """What the scripted expert does now (privileged: reads facts and answer)."""
        return self._known_expert().act(self.session)

    def render(self) -> str:  # type: ignore[override]
        """The episode as text."""
        turns = (f"> {turn.action}\n{turn.observation}" for turn in self.session.turns)
        return "\n".join((self.question.question, *turns))

    def _take(self, index: int) -> None:
        if index != self._index:
            self._expert = None
        self._index = index

    def _known_expert(self) -> Expert:
        if self._expert is None:
            self._expert = Expert(self.question, self.corpus)
        if not self._expert.informed:
            raise TaskError(
                f"task {self.task!r} has no supporting facts in this corpus, so there is no expert for it. Use a "
                "question file with supporting_facts and a corpus that holds their pages."
            )
        return self._expert

    def _advance(self, session: Session, action: str) -> Outcome:
        outcome = advance(session, action, self.corpus, str(self.question.answer))
        return outcome.cut() if self.max_steps is not None and self.steps + 1 >= self.max_steps else outcome

    def _observation(self) -> str:
        turns = self.session.turns
        return turns[-1].observation if turns else self.question.question

    def _info(self) -> dict[str, Any]:
        session = self.session
        info: dict[str, Any] = {
            "task": session.task,
            "page": session.page,
            "type": self.question.type,
            "level": self.question.level,
            "success": False,
        }
        if self.templates:
            info["admissible_actions"] = [] if session.ended else list(TEMPLATES)
        info["messages"] = tuple(self.prompt(self))
        return info
