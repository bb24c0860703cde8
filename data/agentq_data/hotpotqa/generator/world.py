"""The made world: regions of towns, people, films, novels, bands and so on, that refer to each other.

Regions share no page, so questions of different regions can be given to training and test without a leak.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from agentq_data.dice import Dice
from agentq_data.hotpotqa.generator import words
from agentq_data.hotpotqa.generator.words import Names

#: Pages of each kind in one region; ambiguous titles come on top.
COUNTS: Mapping[str, int] = {
    "town": 6, "river": 2, "college": 2, "company": 4, "person": 40, "film": 20, "novel": 10, "band": 8, "album": 8,
}  # fmt: skip
PAGES_PER_REGION = sum(COUNTS.values())
_OCCUPATIONS = (
    ("film director", 6), ("actor", 8), ("composer", 3), ("novelist", 5), ("singer", 8), ("entrepreneur", 4),
    ("politician", 6),
)  # fmt: skip
_BRANCHES = (
    ("film studio", ("Pictures", "Films")), ("film studio", ("Pictures", "Films")),
    ("publishing house", ("Press", "Books")), ("record label", ("Records", "Music")),
)  # fmt: skip
_ADAPTED = 0.15  # of the novels have a film of the same name


@dataclass
class Entity:
    """Something with a page of its own. ``refs`` gives the title of the page that a fact's value names."""

    kind: str
    title: str
    name: str
    facts: dict[str, str] = field(default_factory=dict[str, str])
    refs: dict[str, str] = field(default_factory=dict[str, str])

    def refer(self, fact: str, other: Entity) -> None:
        """State ``fact`` by naming another entity."""
        self.facts[fact], self.refs[fact] = other.name, other.title


@dataclass
class Region:
    """One region and what is in it."""

    name: str
    entities: dict[str, list[Entity]]  # by kind
    ambiguous: dict[str, list[str]] = field(
        default_factory=dict[str, list[str]]
    )  # title -> titles it may mean


def make_region(dice: Dice, names: Names) -> Region:
    """A region with ``COUNTS`` pages of each kind, every reference leading to a page inside it."""
    region = Region(names.region(), {kind: [] for kind in COUNTS})
    kinds = region.entities
    for kind, count in COUNTS.items():
        for _ in range(count):
            name = _name(kind, len(kinds[kind]), names)
            kinds[kind].append(Entity(kind, name, name))
    _places(kinds, dice)
    _people(kinds, dice)
    _works(kinds, dice)
    _adapt(region, dice)
    for entities in kinds.values():
        for entity in entities:
            entity.facts["region"] = region.name
    return region


def with_article(text: str) -> str:
    """ "a" becomes "an" before a vowel."""
    return re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", text)


def _name(kind: str, number: int, names: Names) -> str:
    if kind == "company":
        return names.company(_BRANCHES[number][1])
    if kind == "college":
        return f"{names.town()} College"
    makers = {
        "town": names.town,
        "river": names.river,
        "person": names.person,
        "film": names.work,
        "novel": names.work,
        "album": names.work,
        "band": names.band,
    }
    return with_article(makers[kind]())


def _places(kinds: Mapping[str, list[Entity]], dice: Dice) -> None:
    towns, people = kinds["town"], _occupied(kinds)
    for river in kinds["river"]:
        river.facts |= {"length": str(dice.between(40, 900)), "sea": dice.pick(words.SEAS)}
    for town, mayor in zip(towns, people["politician"], strict=True):
        town.refer("river", dice.pick(kinds["river"]))
        town.refer("mayor", mayor)
        town.facts |= {
            "population": f"{dice.between(2000, 90000):,}",
            "founded": str(dice.between(1050, 1850)),
            "product": dice.pick(words.PRODUCTS),
        }
    for college in kinds["college"]:
        college.refer("town", dice.pick(towns))
        college.facts |= {
            "founded": str(dice.between(1400, 1950)),
            "students": f"{dice.between(600, 30000):,}",
            "animal": dice.pick(words.ANIMALS),
        }
    for company, founder, (branch, _) in zip(
        kinds["company"], people["entrepreneur"], _BRANCHES, strict=True
    ):
        company.refer("founder", founder)
        company.refer("town", dice.pick(towns))
        company.facts |= {
            "branch": branch,
            "founded": str(dice.between(1880, 1985)),
            "staff": f"{dice.between(12, 4000):,}",
        }


def _people(kinds: Mapping[str, list[Entity]], dice: Dice) -> None:
    for occupation, people in _occupied(kinds).items():
        for person in people:
            person.refer("birth_town", dice.pick(kinds["town"]))
            person.refer("college", dice.pick(kinds["college"]))
            person.facts |= {
                "last": person.name.split()[-1],
                "occupation": occupation,
                "birth_day": f"{dice.between(1, 28)} {dice.pick(words.MONTHS)}",
                "birth_year": str(dice.between(1900, 1990)),
            }


def _works(kinds: Mapping[str, list[Entity]], dice: Dice) -> None:
    people, companies = _occupied(kinds), kinds["company"]
    for film in kinds["film"]:
        film.refer("director", dice.pick(people["film director"]))
        film.refer("star", dice.pick(people["actor"]))
        film.refer("composer", dice.pick(people["composer"]))
        film.refer("studio", dice.pick(companies[:2]))
        film.facts |= {
            "year": str(dice.between(1935, 2015)),
            "genre": dice.pick(words.FILM_GENRES),
            "minutes": str(dice.between(62, 190)),
        }
    for novel in kinds["novel"]:
        novel.refer("author", dice.pick(people["novelist"]))
        novel.refer("publisher", companies[2])
        novel.refer("setting", dice.pick(kinds["town"]))
        novel.facts |= {
            "year": str(dice.between(1925, 2015)),
            "genre": dice.pick(words.NOVEL_GENRES),
            "length": str(dice.between(90, 900)),
        }
    for band, singer in zip(kinds["band"], people["singer"], strict=True):
        band.refer("town", dice.pick(kinds["town"]))
        band.refer("singer", singer)
        band.refer("label", companies[3])
        band.facts |= {"year": str(dice.between(1955, 2012)), "genre": dice.pick(words.MUSIC_GENRES)}
    for album in kinds["album"]:
        album.refer("band", dice.pick(kinds["band"]))
        album.refer("producer", dice.pick(people["composer"]))
        album.facts |= {"year": str(dice.between(1960, 2018)), "tracks": str(dice.between(6, 24))}


def _adapt(region: Region, dice: Dice) -> None:
    """Give some films the name of a novel, which makes the plain title ambiguous."""
    films = iter(region.entities["film"])
    for novel in region.entities["novel"]:
        if dice.chance(_ADAPTED):
            film = next(films)
            film.name = novel.name
            film.title, novel.title = f"{novel.name} (film)", f"{novel.name} (novel)"
            region.ambiguous[novel.name] = [film.title, novel.title]


def _occupied(kinds: Mapping[str, list[Entity]]) -> dict[str, list[Entity]]:
    """The people by occupation."""
    people, found = iter(kinds["person"]), dict[str, list[Entity]]()
    for occupation, count in _OCCUPATIONS:
        found[occupation] = [next(people) for _ in range(count)]
    return found
