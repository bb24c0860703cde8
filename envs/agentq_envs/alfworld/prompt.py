"""Chat messages for ALFWorld states: a short one with notes, and the transcript form of ReAct.

The game's observations say only what the last command brought. The compact prompt therefore repeats what was
seen so far, so that one message is all an agent or a critic needs to know of the state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from agentq.types import Message
from agentq_envs.alfworld.notes import Notes

if TYPE_CHECKING:
    from agentq_envs.alfworld.env import AlfworldEnv

_SHOWN = 200  # characters of an action that a prompt repeats
_INSTRUCTION = "Interact with a household to solve a task."


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """How much of a state the compact prompt shows."""

    history: int = 3  # most recent commands
    commands: bool = True  # list the admissible ones


_DEFAULT = PromptSettings()


def compact_prompt(env: AlfworldEnv, settings: PromptSettings = _DEFAULT) -> tuple[Message, ...]:
    """One user message: task, last commands, what is held, what was seen where, the answer, the commands."""
    notes = env.notes
    recent = env.actions[-settings.history :] if settings.history else ()
    lines = [
        f"Task: {notes.task}",
        f"Done: {' > '.join(map(_one_line, recent)) or 'nothing'}",
        f"Holding: {_thing(notes.holding, notes) if notes.holding else 'nothing'}",
        f"At: {notes.place or 'the middle of the room'}",
        *_seen_lines(notes),
    ]
    if notes.unseen:
        lines.append(f"Not seen: {', '.join(_state_of(name, notes) for name in notes.unseen)}")
    if env.actions:
        lines.append(f"Answer: {env.observation.strip()}")
    if settings.commands:
        lines += ["Commands:", *env.admissible]
    return ({"role": "user", "content": "\n".join(lines)},)


def prompt_with(settings: PromptSettings) -> Callable[[AlfworldEnv], tuple[Message, ...]]:
    """A compact prompt with other limits, for ``AlfworldEnv(prompt=...)``."""
    return partial(compact_prompt, settings=settings)


def chat_prompt(env: AlfworldEnv) -> tuple[Message, ...]:
    """The episode as a conversation: observations from the user, commands from the assistant."""
    messages: list[Message] = [
        {"role": "system", "content": f"{_INSTRUCTION} Answer with one command."},
        {"role": "user", "content": env.observations[0]},
    ]
    for action, observation in zip(env.actions, env.observations[1:], strict=True):
        messages.append({"role": "assistant", "content": action})
        messages.append({"role": "user", "content": observation})
    return tuple(messages)


def react_prompt(env: AlfworldEnv, examples: Sequence[str] = ()) -> tuple[Message, ...]:
    """One user message in the form of ReAct (arXiv 2210.03629): examples, then this episode up to "> ".

    ``examples`` are transcripts as ``react_transcript`` writes them; the paper gives two of the same task
    type. A line "think: ..." needs ``AlfworldEnv(thoughts=...)``.
    """
    head = _INSTRUCTION
    if examples:
        number = "is an example" if len(examples) == 1 else f"are {len(examples)} examples"
        head = "\n".join([f"{_INSTRUCTION} Here {number}.", *examples, "Here is the task."])
    transcript = react_transcript(env.observations, env.actions)
    return ({"role": "user", "content": f"{head}\n{transcript}\n> "},)


def react_transcript(observations: Sequence[str], actions: Sequence[str]) -> str:
    """An episode as ReAct writes it: the room and the task, then "> command" and its answer in turn.

    The welcome line is left out, as there.
    """
    lines = ["\n".join(observations[0].split("\n\n")[1:])]
    for action, observation in zip(actions, observations[1:], strict=True):
        lines += [f"> {_one_line(action)}", observation.strip()]
    return "\n".join(lines)


def react_prompt_with(
    examples: Callable[[str], Sequence[str]],
) -> Callable[[AlfworldEnv], tuple[Message, ...]]:
    """A ReAct prompt with examples chosen by task type, for ``AlfworldEnv(prompt=...)``."""
    return lambda env: react_prompt(env, examples(env.task_type))


def _seen_lines(notes: Notes) -> list[str]:
    lines: list[str] = []
    for name, things in notes.seen.items():
        listed = ", ".join(_thing(thing, notes) for thing in things) or "nothing"
        lines.append(f"{_state_of(name, notes)}: {listed}")
    return lines


def _state_of(name: str, notes: Notes) -> str:
    return f"{name} (closed)" if name in notes.closed else name


def _thing(name: str, notes: Notes) -> str:
    if name in notes.used:
        return f"{name} (on)"
    return f"{name} ({notes.changes[name]})" if name in notes.changes else name


def _one_line(action: str) -> str:
    """An executed text on one line and of bounded length, so that babble cannot look like another line."""
    return action if len(action) <= _SHOWN and action.isprintable() else " ".join(action[:_SHOWN].split())
