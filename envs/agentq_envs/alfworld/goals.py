"""What a game asks for: one of six conditions, recognised in the PDDL goal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentq.errors import DataError
from agentq_envs.alfworld.pddl import Expression

#: Goal atom of a change -> what it is called in ``Goal.change``, and the property that allows it.
_CHANGES = {"isclean": ("clean", "cleanable"), "ishot": ("hot", "heatable"), "iscool": ("cool", "coolable")}


@dataclass(frozen=True, slots=True)
class Goal:
    """Types are in lower case with their ending, e.g. "mugtype".

    With a ``lamp`` the agent must stand at a used lamp of that type with the object in hand; otherwise
    ``count`` different objects, changed as asked, must be in one receptacle of the target's type.
    """

    wanted: str
    target: str = ""
    change: str = ""  # "", "clean", "hot" or "cool"
    count: int = 1
    lamp: str = ""


def read_goal(expression: Expression) -> Goal:
    """The goal that a PDDL condition states. Raises DataError for one that is none of the six."""
    atoms = sorted(_atoms(expression, {}))
    for goal in _candidates(atoms):
        if sorted(_canonical(goal)) == atoms:
            return goal
    raise DataError(
        f"the goal {atoms} is none of the six of the benchmark. Play the game with backend='textworld'."
    )


def _candidates(atoms: list[str]) -> Iterator[Goal]:
    """Goals that the types named in the atoms could mean."""
    words = [atom.split() for atom in atoms]
    wanted = {word[2] for word in words if word[0] == "objecttype"}
    target = {word[2] for word in words if word[0] == "receptacletype"}
    changes = ["", *(name for atom, (name, _) in _CHANGES.items() if any(word[0] == atom for word in words))]
    for object_type in sorted(wanted):
        for receptacle_type in sorted(target):
            for change in changes:
                yield Goal(object_type, receptacle_type, change)
            yield Goal(object_type, receptacle_type, count=2)
        for lamp in sorted(wanted):
            yield Goal(object_type, lamp=lamp)


def _canonical(goal: Goal) -> set[str]:
    """The atoms of a goal, with variables named by type and number."""
    if goal.lamp:
        return {
            f"objecttype object1 {goal.lamp}",
            "toggleable object1",
            "istoggled object1",
            "receptacleatlocation receptacle1 location1",
            "atlocation agent1 location1",
            "inreceptacle object1 receptacle1",
            f"objecttype object2 {goal.wanted}",
            "holds agent2 object2",
        }
    atoms = {
        f"receptacletype receptacle1 {goal.target}",
        f"objecttype object1 {goal.wanted}",
        "inreceptacle object1 receptacle1",
    }
    for atom, (name, able) in _CHANGES.items():
        if name == goal.change:
            atoms |= {f"{able} object1", f"{atom} object1"}
    if goal.count == 2:
        atoms |= {
            f"objecttype object2 {goal.wanted}",
            "inreceptacle object2 receptacle1",
            "not = object1 object2",
        }
    return atoms


def _atoms(expression: Expression, names: dict[str, str], counts: dict[str, int] | None = None) -> set[str]:
    """Atoms of nested "and" and "exists"; a variable becomes its type and its number of that type."""
    counts = {} if counts is None else counts
    if not isinstance(expression, list) or not expression:
        raise DataError(f"the goal holds {expression!r}, expected a condition. Restore the game file.")
    head = expression[0]
    if head == "and":
        return set().union(*(_atoms(part, names, counts) for part in expression[1:]))
    if head == "exists" and len(expression) == 3 and isinstance(expression[1], list):
        inner = dict(names)
        for variable, kind in _declared(expression[1]):
            counts[kind] = counts.get(kind, 0) + 1
            inner[variable] = f"{kind}{counts[kind]}"
        return _atoms(expression[2], inner, counts)
    if head == "not" and len(expression) == 2 and isinstance(expression[1], list):
        return {"not " + _atom(expression[1], names)}
    return {_atom(expression, names)}


def _atom(words: list[Expression], names: dict[str, str]) -> str:
    named = [names.get(word, word) if isinstance(word, str) else repr(word) for word in words]
    return " ".join([named[0], *(sorted(named[1:]) if named[0] == "=" else named[1:])])


def _declared(words: list[Expression]) -> Iterator[tuple[str, str]]:
    """Variables with their types: ``?o1 ?o2 - object ?r - receptacle``."""
    waiting: list[str] = []
    following = iter(words)
    for word in following:
        if word == "-":
            kind = next(following, "")
            yield from ((variable, str(kind)) for variable in waiting)
            waiting = []
        else:
            waiting.append(str(word))
