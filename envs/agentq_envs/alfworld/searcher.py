"""Players who know only what they have seen: they look where a thing usually is until they find it.

Unlike the expert they read no hidden state, so what they do can be imitated by an agent that sees the same.
With habits they lapse as people do; a policy that imitates them copies the habits, and a critic that sees how
the episodes end can tell them apart.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from agentq_data.alfworld.generator.rooms import KINDS, LAMP, PLACES, TaskKind
from agentq_envs.alfworld.notes import Notes, kind_of

_ODDS = 0.3  # of a place where the thing is usually not, against 1 to 5 of one where it is
_ADJECTIVES = {"clean": "clean", "heat": "hot", "cool": "cool"}
_USUAL = {
    thing.lower(): {place.lower(): weight for place, weight in places.items()}
    for thing, places in PLACES.items()
}


@dataclass(frozen=True, slots=True)
class Habits:
    """Probabilities of one player's lapses, per decision; all 0 is the careful player."""

    wander: float = 0.0  # do anything that is allowed
    again: float = 0.0  # look once more where nothing was found
    anything: float = 0.0  # take some other thing that lies here
    skip: float = 0.0  # go to the target without cleaning, heating or cooling first
    anywhere: float = 0.0  # put the thing down at once, wherever it is
    loop: float = 0.0  # do once more what was done before the last command: back and forth without end


CAREFUL = Habits()
HASTY = Habits(wander=0.05, skip=0.5, anything=0.15)
FORGETFUL = Habits(wander=0.15, again=0.5, anywhere=0.1)
IDLE = Habits(wander=0.6, again=0.3, anything=0.3)
POPULATION = ((CAREFUL, 0.5), (HASTY, 0.2), (FORGETFUL, 0.15), (IDLE, 0.15))
# As language models fail here: they repeat themselves, forget the cleaning, and take what they did not look for.
NOVICE = Habits(wander=0.3, again=0.4, anything=0.3, skip=0.7, anywhere=0.2, loop=0.35)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a goal phrase asks for, in the words of the game ("mug", "desk")."""

    task: TaskKind
    wanted: str
    target: str


def novices(careful: float) -> tuple[tuple[Habits, float], ...]:
    """A population of novices with a share 0..1 of careful players."""
    return ((CAREFUL, careful), (NOVICE, 1.0 - careful))


def draw_habits(rng: random.Random, population: Sequence[tuple[Habits, float]] = POPULATION) -> Habits:
    """One player of the population that our demonstrations come from."""
    return rng.choices([habits for habits, _ in population], [share for _, share in population])[0]


@lru_cache(maxsize=1024)
def read_wish(phrase: str) -> Wish | None:
    """What a goal phrase of the benchmark's templates asks for; None for any other sentence."""
    for pattern, task in _patterns():
        if found := pattern.fullmatch(phrase):
            return Wish(task, found["o"], found["t"])
    return None


@dataclass
class Searcher:
    """Chooses commands from notes; ``order`` makes a player look at equally likely places in its own order."""

    habits: Habits
    rng: random.Random
    order: int = 0

    def act(self, notes: Notes, admissible: Sequence[str], done: Sequence[str] = ()) -> str:
        """The next command, given those that were done."""
        wish = read_wish(notes.task)
        if len(done) > 1 and done[-2] in admissible and self._chance(self.habits.loop):
            return done[-2]
        if wish is None or self._chance(self.habits.wander):
            return self.rng.choice(admissible)
        if not notes.holding:
            return self._fetch(wish, notes, admissible)
        if kind_of(notes.holding) != wish.wanted or self._chance(self.habits.anywhere):
            return self._put_down(notes, admissible)
        return self._deliver(wish, notes, admissible)

    def _fetch(self, wish: Wish, notes: Notes, admissible: Sequence[str]) -> str:
        others = [command for command in admissible if command.startswith("take ")]
        if others and self._chance(self.habits.anything):
            return self.rng.choice(others)
        found = {
            thing: place
            for thing, place in notes.where(wish.wanted).items()
            # What lies at the target as it shall be stays there.
            if kind_of(place) != wish.target or (wish.task.verb and not _done(wish, thing, notes))
        }
        if not found:
            return self._explore(wish.wanted, notes, admissible)
        thing, place = min(found.items(), key=lambda pair: (pair[1] != notes.place, pair[0]))
        return self._towards(place, f"take {thing} from {place}", notes, admissible)

    def _deliver(self, wish: Wish, notes: Notes, admissible: Sequence[str]) -> str:
        thing = notes.holding
        if wish.target == LAMP.lower():
            lamps = notes.where(wish.target)
            if not lamps:
                return self._explore(wish.target, notes, admissible)
            lamp, place = next(iter(lamps.items()))
            return f"use {lamp}" if f"use {lamp}" in admissible else f"go to {place}"
        if wish.task.device and not _done(wish, thing, notes) and not self._chance(self.habits.skip):
            device = self._nearest(wish.task.device.lower(), notes)
            if device is not None:
                deed = f"{wish.task.verb} {thing} with {device}"
                return deed if deed in admissible else self._go(device, admissible)
        half = [place for place in notes.where(wish.wanted).values() if kind_of(place) == wish.target]
        target = half[0] if half and wish.task.count == 2 else self._nearest(wish.target, notes)
        if target is None:
            return self.rng.choice(admissible)
        return self._towards(target, f"move {thing} to {target}", notes, admissible)

    def _put_down(self, notes: Notes, admissible: Sequence[str]) -> str:
        here = [command for command in admissible if command.startswith("move ")]
        if here:
            return self.rng.choice(here)
        usual = _USUAL.get(kind_of(notes.holding), {})
        places = [name for name in notes.receptacles if kind_of(name) in usual and name != notes.place]
        walks = [f"go to {name}" for name in places if f"go to {name}" in admissible]
        opens = [command for command in admissible if command.startswith("open ")]
        return self.rng.choice(opens or walks or list(admissible))

    def _explore(self, kind: str, notes: Notes, admissible: Sequence[str]) -> str:
        """Open what is closed here, else go where the thing may be and was not looked for."""
        if notes.place in notes.unseen and f"open {notes.place}" in admissible:
            return f"open {notes.place}"
        usual = _USUAL.get(kind, {})
        known = self._chance(self.habits.again)
        places = notes.receptacles if known or not notes.unseen else notes.unseen
        ranked = sorted(places, key=lambda name: (-(usual.get(kind_of(name)) or _ODDS), self._rank(name)))
        for name in ranked if not known else self.rng.sample(ranked, len(ranked)):
            if f"go to {name}" in admissible:
                return f"go to {name}"
            if f"open {name}" in admissible:  # at the place of another one, which is reached from here too
                return f"open {name}"
            if name in notes.unseen and f"examine {name}" in admissible:
                return f"examine {name}"
        return self.rng.choice(admissible)

    def _towards(self, place: str, deed: str, notes: Notes, admissible: Sequence[str]) -> str:
        """The deed where it is possible, else opening, else walking."""
        for command in (deed, f"open {place}", f"go to {place}"):
            if command in admissible:
                return command
        return self._explore(kind_of(place), notes, admissible)

    def _go(self, place: str, admissible: Sequence[str]) -> str:
        return f"go to {place}" if f"go to {place}" in admissible else self.rng.choice(admissible)

    def _nearest(self, kind: str, notes: Notes) -> str | None:
        names = [name for name in notes.receptacles if kind_of(name) == kind]
        return min(names, key=lambda name: (name != notes.place, self._rank(name)), default=None)

    def _rank(self, name: str) -> int:
        return random.Random(f"{self.order} {name}").getrandbits(30)

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability


def _done(wish: Wish, thing: str, notes: Notes) -> bool:
    verb = wish.task.verb
    return verb is None or _ADJECTIVES[verb] in notes.changes.get(thing, "").split(" and ")


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], TaskKind]]:
    """The most particular templates first: "put a {o} in {t}" also fits "put a clean mug in desk"."""
    found: list[tuple[re.Pattern[str], TaskKind]] = []
    for task in KINDS:
        for phrase in task.phrases:
            text = re.escape(phrase).replace(r"\{o\}", r"(?P<o>\w+)").replace(r"\{t\}", r"(?P<t>\w+)")
            found.append((re.compile(text), task))
    return found
