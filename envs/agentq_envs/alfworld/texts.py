"""What the game says, word for word as the grammar of the original engine."""

from __future__ import annotations

from collections.abc import Sequence

from agentq_envs.alfworld.commands import Action
from agentq_envs.alfworld.game import Game, State

NOTHING_HAPPENS = "Nothing happens."
WELCOME = "-= Welcome to TextWorld, ALFRED! =-"
_USING = {"clean": "clean", "hot": "heat", "cool": "cool"}
HELP = """Available commands:
  look:                             look around your current location
  inventory:                        check your current inventory
  go to (receptacle):               move to a receptacle
  open (receptacle):                open a receptacle
  close (receptacle):               close a receptacle
  take (object) from (receptacle):  take an object from a receptacle
  move (object) to (receptacle):  place an object in or on a receptacle
  examine (something):              examine a receptacle or an object
  use (object):                     use an object
  heat (object) with (receptacle):  heat an object using a receptacle
  clean (object) with (receptacle): clean an object using a receptacle
  cool (object) with (receptacle):  cool an object using a receptacle
  slice (object) with (object):     slice an object using a sharp object
"""


def introduction(game: Game) -> str:
    """The first observation: welcome, the room with all its receptacles, the task."""
    return f"{WELCOME}\n\n{_middle_of_room(game)}\n\nYour task is to: {game.goal_text}."


def feedback(game: Game, state: State, action: Action, command: str) -> str:
    """What is said after the action has led to ``state``."""
    verb = action.verb
    if verb == "look":
        return look(game, state)
    if verb == "inventory":
        if not state.holding:
            return "You are not carrying anything."
        return f"You are carrying: {_listed([_a(game.objects[thing]) for thing in state.holding])}."
    if verb == "help":
        return HELP
    if verb == "examine object":
        return describe_object(game, state, action.thing)
    if verb == "slice":
        return f"You sliced the {game.objects[action.thing]} with the {command.rpartition(' with ')[2]}."
    if verb == "use":
        return f"You turn on the {game.objects[action.thing]}."
    return _at_receptacle(game, state, action)


def _at_receptacle(game: Game, state: State, action: Action) -> str:
    verb, name = action.verb, game.receptacles[action.receptacle]
    if verb == "examine receptacle":
        return describe_receptacle(game, state, action.receptacle)
    if verb == "go":
        return f"You arrive at {name}. {describe_receptacle(game, state, action.receptacle)}"
    if verb == "open":
        return f"You open the {name}. {describe_receptacle(game, state, action.receptacle)}"
    if verb == "close":
        return f"You close the {name}."
    thing = game.objects[action.thing]
    if verb == "take":
        return f"You pick up the {thing} from the {name}."
    if verb == "move":
        return f"You move the {thing} to the {name}."
    return f"You {_USING[verb]} the {thing} using the {name}."


def look(game: Game, state: State) -> str:
    """The answer to "look". Before the first walk the room seems empty, unlike in the introduction."""
    here = game.here[state.location]
    if not here:
        return _looking_around("nothing")
    left = [
        _a(game.objects[thing])
        for thing, places in enumerate(state.at)
        if state.location in places
        for receptacle in here
        if (thing, receptacle) in state.taken
    ]
    facing = _listed([game.receptacles[receptacle] for receptacle in here])
    return f"You are facing the {facing}. Next to it, you see {_listed(left)}."


def describe_receptacle(game: Game, state: State, receptacle: int) -> str:
    """What is in or on it, unless it is closed."""
    name = game.receptacles[receptacle]
    listed = _listed([_a(game.objects[thing]) for thing in state.inside[receptacle]])
    if not game.openable >> receptacle & 1:
        return f"On the {name}, you see {listed}."
    if state.opened >> receptacle & 1:
        return f"The {name} is open. In it, you see {listed}."
    return f"The {name} is closed."


def describe_object(game: Game, state: State, thing: int) -> str:
    """What there is to say about an object in hand; of a hollow one only what lies in it."""
    name = game.objects[thing]
    if game.abilities["isreceptacleobject"] >> thing & 1:
        inner = _listed([_a(game.objects[i]) for i in game.contents.get(thing, ())])
        return f"This is a normal {name}. In it, you see {inner}."
    clean, hot, cool, sliced = (
        bits >> thing & 1 for bits in (state.clean, state.hot, state.cool, state.sliced)
    )
    if state.used >> thing & 1 and not (clean or hot or cool):
        return f"This {name} is on."
    if not (clean or hot or cool or sliced):
        return f"There's nothing special about {name}."
    alone = not (clean or sliced)
    warmth = "hot" if hot else ("cold" if alone else "cool") if cool else ""
    words = " and ".join(word for word in (warmth, "clean" if clean else "") if word)
    return f"This is a {' '.join(word for word in (words, 'sliced' if sliced else '') if word)} {name}."


def _middle_of_room(game: Game) -> str:
    return _looking_around(_listed([_a(name) for name in game.receptacles]))


def _looking_around(listed: str) -> str:
    return f"You are in the middle of a room. Looking quickly around you, you see {listed}."


def _a(name: str) -> str:
    return f"a {name}"


def _listed(names: Sequence[str]) -> str:
    """Commas, and ", and " before the last one, also of two."""
    if len(names) < 2:
        return names[0] if names else "nothing"
    return f"{', '.join(names[:-1])}, and {names[-1]}"
