"""Pages of the made world: sentences in some order, and in which of them each fact stands."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter

from agentq_data.dice import Dice
from agentq_data.hotpotqa.generator import words
from agentq_data.hotpotqa.generator.prose import FILLERS, PLAIN_FIELDS, SENTENCES
from agentq_data.hotpotqa.generator.world import Entity, with_article


@dataclass(frozen=True, slots=True)
class Article:
    """A page; ``places`` gives the index of the sentence that states a fact."""

    title: str
    sentences: tuple[str, ...]  # the second and later ones begin with a space
    places: dict[str, int]


def write_article(entity: Entity, dice: Dice) -> Article:
    """The page of an entity: an opening sentence, then facts and fillers in random order."""
    lead, *others = (dice.pick(group.split("|")) for group in SENTENCES[entity.kind])
    fillers = dice.sample(FILLERS[entity.kind], dice.between(1, 4))
    patterns = [lead, *dice.shuffled([*others, *fillers])]
    places: dict[str, int] = {}
    sentences: list[str] = []
    for index, pattern in enumerate(patterns):
        for fact in _fields(pattern) - PLAIN_FIELDS:
            places.setdefault(fact, index)
        sentences.append(_sentence(pattern, entity, dice))
    return Article(entity.title, _spaced(sentences), places)


def ambiguous_article(name: str, titles: list[str]) -> Article:
    """A page that lists what a title may mean."""
    return Article(name, (f"{name} may refer to: {', '.join(titles)}.",), {})


def _sentence(pattern: str, entity: Entity, dice: Dice) -> str:
    fields = _fields(pattern)
    # Drawn in a fixed order: the order of a set is not the same in every process.
    drawn = {
        name: dice.pick(choices)
        for name, choices in (("role", words.ROLES), ("sport", words.SPORTS), ("award", words.AWARDS))
        if name in fields
    }
    text = pattern.format(name=entity.name, **entity.facts, **drawn)
    text = with_article(text.replace("The The ", "The "))
    return text[0].upper() + text[1:]


def _fields(pattern: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(pattern) if name}


def _spaced(sentences: list[str]) -> tuple[str, ...]:
    return tuple(text if index == 0 else f" {text}" for index, text in enumerate(sentences))
