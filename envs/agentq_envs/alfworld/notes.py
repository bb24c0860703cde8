"""What an agent has seen so far, kept from the texts of the game alone: its memory, never the hidden state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

_ROOM = re.compile(r"Looking quickly around you, you see (.*?)\.\n")
_TASK = re.compile(r"Your task is to: (.*)\.", re.DOTALL)
_OPEN = re.compile(
    r"(?:The (?P<open>[\w ]+?) is open\. In it|On the (?P<on>[\w ]+?)), you see (?P<list>.*?)\."
)
_CLOSED = re.compile(r"The ([\w ]+?) is closed\.$")
_ARRIVED = re.compile(r"You arrive at ([\w ]+?)\. ")
_CLOSING = re.compile(r"You close the ([\w ]+)\.")
_TAKEN = re.compile(r"You pick up the ([\w ]+?) from the ([\w ]+)\.")
_MOVED = re.compile(r"You move the ([\w ]+?) to the ([\w ]+)\.")
_CHANGED = re.compile(r"You (clean|heat|cool) the ([\w ]+?) using the ([\w ]+)\.")
_USED = re.compile(r"You turn on the ([\w ]+)\.")
_ADJECTIVES = {"clean": "clean", "heat": "hot", "cool": "cool"}


@dataclass(frozen=True, slots=True)
class Notes:
    """A value: each observation gives new notes. Names are the game's ("drawer 2", "mug 1")."""

    task: str = ""
    receptacles: tuple[str, ...] = ()  # all of the room, in the order of the introduction
    place: str = ""  # receptacle that the agent last went to
    holding: str = ""
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])  # last content
    closed: frozenset[str] = frozenset()  # known to be closed now
    changes: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # object -> "clean", "hot and clean" ...
    used: frozenset[str] = frozenset()  # lamps switched on

    @property
    def unseen(self) -> tuple[str, ...]:
        """Receptacles whose content has not been seen."""
        return tuple(name for name in self.receptacles if name not in self.seen)

    def where(self, kind: str) -> dict[str, str]:
        """Objects of a kind ("mug") that were seen and are not in hand, with the receptacle of each."""
        return {
            thing: receptacle
            for receptacle, things in self.seen.items()
            for thing in things
            if kind_of(thing) == kind
        }

    def after(self, observation: str) -> Notes:
        """The notes after one more observation."""
        if found := _TAKEN.fullmatch(observation):
            content = tuple(thing for thing in self.seen.get(found[2], ()) if thing != found[1])
            return replace(self, holding=found[1], seen={**self.seen, found[2]: content})
        if found := _MOVED.fullmatch(observation):
            content = (*self.seen.get(found[2], ()), found[1])
            return replace(self, holding="", seen={**self.seen, found[2]: content})
        if found := _CHANGED.fullmatch(observation):
            adjective = _with(self.changes.get(found[2], ""), _ADJECTIVES[found[1]])
            return replace(self, changes={**self.changes, found[2]: adjective})
        if found := _USED.fullmatch(observation):
            return replace(self, used=self.used | {found[1]})
        if found := _CLOSING.fullmatch(observation):
            return replace(self, closed=self.closed | {found[1]})
        notes = self
        if found := _ARRIVED.match(observation):
            notes = replace(self, place=found[1])
        if found := _OPEN.search(observation):
            name = found["open"] or found["on"]
            return replace(
                notes, seen={**self.seen, name: _names(found["list"])}, closed=self.closed - {name}
            )
        if found := _CLOSED.search(observation):
            return replace(notes, closed=self.closed | {found[1]})
        return notes


def first_notes(introduction: str) -> Notes:
    """The notes after the first observation of a game."""
    room, task = _ROOM.search(introduction), _TASK.search(introduction)
    return Notes(task[1] if task else "", _names(room[1]) if room else ())


def kind_of(name: str) -> str:
    """ "mug 2" -> "mug"."""
    return name.rpartition(" ")[0]


def _names(listed: str) -> tuple[str, ...]:
    """ "a mug 1, and a pen 2" -> ("mug 1", "pen 2")."""
    if listed == "nothing":
        return ()
    return tuple(part.removeprefix("and ").removeprefix("a ") for part in listed.split(", "))


def _with(before: str, adjective: str) -> str:
    """Clean stays; of hot and cool the last one holds."""
    words = {word for word in before.split(" and ") if word == "clean"} | {adjective}
    return " and ".join(sorted(words, reverse=True))  # "hot and clean", "cool and clean", as the game says it
