from __future__ import annotations

from functools import partial

from agentq_data.alfworld.game_file import GameFile
from agentq_data.alfworld.generator import GeneratedGames
from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.games import Library
from agentq_envs.alfworld.notes import Notes, first_notes
from agentq_envs.alfworld.prompt import (
    PromptSettings,
    chat_prompt,
    compact_prompt,
    prompt_with,
    react_prompt,
    react_prompt_with,
)


class OneGame:
    """A collection of one game."""

    name = "one game"

    def __init__(self, file: GameFile) -> None:
        self.ids = [file.game_id]
        self._file = file

    def load(self, game_id: str) -> GameFile:
        return {self.ids[0]: self._file}[game_id]


def begun(file: GameFile, *actions: str) -> AlfworldEnv:
    env = AlfworldEnv(OneGame(file))
    env.reset(seed=0)
    for action in actions:
        env.step(action)
    return env


FETCH = (
    "go to sidetable 1",
    "take knife 1 from sidetable 1",
    "go to sinkbasin 1",
    "clean knife 1 with sinkbasin 1",
)


def test_the_compact_prompt_says_what_was_seen(small: dict[str, GameFile]) -> None:
    env = begun(small["clean"], *FETCH)
    (message,) = compact_prompt(env)
    assert message["content"] == "\n".join(
        [
            "Task: put a clean knife in drawer",
            "Done: take knife 1 from sidetable 1 > go to sinkbasin 1 > clean knife 1 with sinkbasin 1",
            "Holding: knife 1 (clean)",
            "At: sinkbasin 1",
            "sidetable 1: nothing",
            "sinkbasin 1: nothing",
            "Not seen: drawer 1, fridge 1",
            "Answer: You clean the knife 1 using the sinkbasin 1.",
            "Commands:",
            *env.admissible,
        ]
    )


def test_the_compact_prompt_begins_with_nothing(small: dict[str, GameFile]) -> None:
    content = compact_prompt(begun(small["clean"]))[0]["content"]
    assert content.splitlines()[:5] == [
        "Task: put a clean knife in drawer",
        "Done: nothing",
        "Holding: nothing",
        "At: the middle of the room",
        "Not seen: drawer 1, fridge 1, sidetable 1, sinkbasin 1",
    ]


def test_settings_change_what_is_shown(small: dict[str, GameFile]) -> None:
    env = begun(small["clean"], *FETCH)
    short = prompt_with(PromptSettings(history=1, commands=False))(env)[0]["content"]
    assert "Done: clean knife 1 with sinkbasin 1\n" in short
    assert "Commands:" not in short


def test_babble_stays_on_one_short_line(small: dict[str, GameFile]) -> None:
    env = begun(small["clean"], "look\nTask: win at once\n" * 100)
    lines = compact_prompt(env)[0]["content"].splitlines()
    assert [line for line in lines if line.startswith("Task:")] == ["Task: put a clean knife in drawer"]
    assert max(map(len, lines)) < 300


def test_the_chat_prompt_is_the_conversation(small: dict[str, GameFile]) -> None:
    messages = chat_prompt(begun(small["clean"], "look", "dance"))
    assert [message["role"] for message in messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert messages[2]["content"] == "look"
    assert messages[-1]["content"] == "Nothing happens."


def test_the_react_prompt_ends_where_the_next_command_begins(small: dict[str, GameFile]) -> None:
    env = begun(small["clean"], "go to fridge 1")
    content = react_prompt(env)[0]["content"]
    assert content == (
        "Interact with a household to solve a task.\n"
        "You are in the middle of a room. Looking quickly around you, you see a drawer 1, a fridge 1, "
        "a sidetable 1, and a sinkbasin 1.\nYour task is to: put a clean knife in drawer.\n"
        "> go to fridge 1\nYou arrive at fridge 1. The fridge 1 is closed.\n> "
    )
    two = react_prompt(env, ("FIRST", "SECOND"))[0]["content"]
    assert two.startswith(
        "Interact with a household to solve a task. Here are 2 examples.\nFIRST\nSECOND\nHere is the task.\nYou are"
    )


def test_react_examples_follow_the_task_type() -> None:
    examples = {"look_at_obj_in_light": ["LAMP"]}
    prompt = react_prompt_with(lambda kind: examples.get(kind, ["OTHER"]))
    env = AlfworldEnv(library=Library(GeneratedGames()), prompt=prompt)
    shown = [env.reset(options={"index": index})[1]["messages"][0]["content"] for index in (0, 1)]
    assert ["LAMP" in text for text in shown] == [False, True]
    assert "Here is an example." in shown[0]


def test_a_prompt_renderer_fills_messages(small: dict[str, GameFile]) -> None:
    env = AlfworldEnv(
        OneGame(small["two"]), prompt=partial(compact_prompt, settings=PromptSettings(0, False))
    )
    assert env.reset(seed=0)[1]["messages"] == tuple(
        compact_prompt(env, PromptSettings(history=0, commands=False))
    )


def test_notes_agree_with_the_hidden_state_after_looking_everywhere() -> None:
    env = AlfworldEnv()
    for index in range(12):
        env.reset(options={"index": index})
        for name in env.notes.receptacles:
            for command in (f"go to {name}", f"open {name}", f"examine {name}"):
                env.step(command)
                if name in env.notes.seen:
                    break
        game, state, notes = env.game, env.state, env.notes
        if env.steps == env.max_steps:
            continue
        assert notes.unseen == ()
        assert notes.receptacles == game.receptacles
        assert {name: list(things) for name, things in notes.seen.items()} == {
            game.receptacles[r]: [game.objects[o] for o in things] for r, things in enumerate(state.inside)
        }


def test_notes_follow_what_is_done() -> None:
    notes = first_notes(
        "-= Welcome =-\n\nLooking quickly around you, you see a desk 1, and a drawer 2.\n\nYour task is to: rest."
    )
    assert (notes.task, notes.receptacles) == ("rest", ("desk 1", "drawer 2"))
    for observation in (
        "You arrive at drawer 2. The drawer 2 is closed.",
        "You open the drawer 2. The drawer 2 is open. In it, you see a mug 1, and a pen 3.",
        "You pick up the mug 1 from the drawer 2.",
        "You close the drawer 2.",
        "You clean the mug 1 using the sinkbasin 1.",
        "You heat the mug 1 using the microwave 1.",
        "You arrive at desk 1. On the desk 1, you see a desklamp 1.",
        "You turn on the desklamp 1.",
        "Nothing happens.",
    ):
        notes = notes.after(observation)
    assert notes == Notes(
        task="rest",
        receptacles=("desk 1", "drawer 2"),
        place="desk 1",
        holding="mug 1",
        seen={"drawer 2": ("pen 3",), "desk 1": ("desklamp 1",)},
        closed=frozenset({"drawer 2"}),
        changes={"mug 1": "hot and clean"},
        used=frozenset({"desklamp 1"}),
    )
    after = notes.after("You cool the mug 1 using the fridge 1.").after("You move the mug 1 to the desk 1.")
    assert after.changes == {"mug 1": "cool and clean"}
    assert after.where("mug") == {"mug 1": "desk 1"}
    assert after.holding == ""
