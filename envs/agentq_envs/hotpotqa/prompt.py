"""Chat messages for HotPotQA states: short for small models, ReAct's layout with an example for large ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from agentq.types import Message

if TYPE_CHECKING:
    from agentq_envs.hotpotqa.env import HotPotQAEnv
    from agentq_envs.hotpotqa.session import Turn

_INSTRUCTION = """Answer the question by searching an encyclopedia. Alternate between a thought and an action.
Actions:
search[title]: opens the page of that title and shows its first sentences, or names similar titles.
lookup[keyword]: shows the next sentence of the open page that contains the keyword.
finish[answer]: gives the answer, as short as possible, and ends the task.
Reply with one line "Thought: ..." and one line "Action: ...".

Example
Question: In which town was the director of the film The Golden Ferry born?
Thought 1: I need the director of The Golden Ferry.
Action 1: search[The Golden Ferry]
Observation 1: The Golden Ferry is a 1962 drama film directed by Karin Ormdell. It runs for 94 minutes.
Thought 2: The director is Karin Ormdell. I look for her birthplace.
Action 2: search[Karin Ormdell]
Observation 2: Karin Ormdell (born 3 May 1921) is a film director. She won the Amber Quill once.
Thought 3: The birthplace is not among these sentences.
Action 3: lookup[born in]
Observation 3: (Result 1 / 1) Ormdell was born in Mosshaven.
Thought 4: The answer is Mosshaven.
Action 4: finish[Mosshaven]"""


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """How much of an episode a prompt shows."""

    words: int = 120  # of one observation
    turns: int = 10  # most recent ones


_SHOWN = 300  # characters of an action
_DEFAULT = PromptSettings()


def compact_prompt(env: HotPotQAEnv, settings: PromptSettings = _DEFAULT) -> tuple[Message, ...]:
    """One user message: the question, then every action with what was observed. The reply is an action."""
    lines = [f"Question: {env.question.question}"]
    for turn in _recent(env, settings):
        lines += [_one_line(turn.action), _words(turn.observation, settings.words)]
    return ({"role": "user", "content": "\n".join(lines)},)


def react_prompt(env: HotPotQAEnv, settings: PromptSettings = _DEFAULT) -> tuple[Message, ...]:
    """One user message: how to act, a made example, and the episode in ReAct's numbered layout.

    An action that was executed with its thought is shown with it (``on_invalid="execute"``, or the raw text).
    """
    lines = [_INSTRUCTION, "", f"Question: {env.question.question}"]
    first = len(env.session.turns) - len(_recent(env, settings)) + 1
    for number, turn in enumerate(_recent(env, settings), start=first):
        lines += [
            _numbered(turn.action, number),
            f"Observation {number}: {_words(turn.observation, settings.words)}",
        ]
    return ({"role": "user", "content": "\n".join(lines)},)


def prompt_with(settings: PromptSettings) -> Callable[[HotPotQAEnv], tuple[Message, ...]]:
    """A compact prompt with other limits, for ``HotPotQAEnv(prompt=...)``."""
    return partial(compact_prompt, settings=settings)


def _recent(env: HotPotQAEnv, settings: PromptSettings) -> tuple[Turn, ...]:
    return env.session.turns[-settings.turns :] if settings.turns else ()


def _numbered(action: str, number: int) -> str:
    """A reply with its thought and action numbered; a bare action gets the word."""
    thought, mark, rest = action.partition("Action:")
    if not mark:
        return f"Action {number}: {_one_line(action)}"
    thought = thought.strip().removeprefix("Thought:").strip()
    lead = [f"Thought {number}: {_one_line(thought)}"] if thought else []
    return "\n".join([*lead, f"Action {number}: {_one_line(rest.strip())}"])


def _one_line(action: str) -> str:
    """An executed text as the history shows it: babble must not fill the prompt or look like its lines."""
    return action if len(action) <= _SHOWN and action.isprintable() else " ".join(action[:_SHOWN].split())


def _words(text: str, limit: int) -> str:
    return " ".join(text.split(None, limit)[:limit])
