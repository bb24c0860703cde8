"""The made world as files: pages as JSON lines, questions in the official HotPotQA format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentq.errors import DataError
from agentq_data.dice import Dice
from agentq_data.hotpotqa.generator.articles import Article, ambiguous_article, write_article
from agentq_data.hotpotqa.generator.asking import MadeQuestion, QuestionWriter
from agentq_data.hotpotqa.generator.words import Names
from agentq_data.hotpotqa.generator.world import make_region

WORLD_VERSION = 1  # raised whenever the content for a seed changes
REGIONS = 24
PAGES_FILE, QUESTIONS_FILE = "pages.jsonl", "questions.json"
_BRIDGES, _COMPARISONS = 110, 40  # questions of a region
_MOST_REGIONS = 40  # names run out beyond


@dataclass(frozen=True, slots=True)
class World:
    """Pages and questions; the questions are raw records of the official format."""

    pages: tuple[Article, ...]
    questions: tuple[dict[str, Any], ...]


def generate(seed: int = 0, regions: int = REGIONS) -> World:
    """The world of a seed: about 100 pages and 150 questions a region. Raises DataError for other arguments."""
    for name, value, low, high in (("seed", seed, 0, 2**63 - 1), ("regions", regions, 1, _MOST_REGIONS)):
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DataError(f"{name}={value!r}: expected a whole number from {low} to {high}.")
    dice = Dice(f"agentq hotpotqa world {WORLD_VERSION}, seed {seed}")
    names = Names(dice)
    pages: list[Article] = []
    questions: list[MadeQuestion] = []
    for _ in range(regions):
        region = make_region(dice, names)
        entities = [entity for group in region.entities.values() for entity in group]
        articles = {entity.title: write_article(entity, dice) for entity in entities}
        pages += [*articles.values(), *(ambiguous_article(*item) for item in region.ambiguous.items())]
        writer = QuestionWriter(region, articles, dice)
        questions += [*writer.bridges(_BRIDGES), *writer.comparisons(_COMPARISONS)]
    return World(tuple(dice.shuffled(pages)), tuple(_record(q) for q in dice.shuffled(questions)))


def write_world(folder: Path, seed: int = 0, regions: int = REGIONS) -> tuple[Path, Path]:
    """Write the page file and the question file into ``folder`` and return their paths.

    Raises DataError for arguments out of range or a folder that cannot be written.
    """
    world = generate(seed, regions)
    pages, questions = folder / PAGES_FILE, folder / QUESTIONS_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pages.write_text(
            _lines({"title": p.title, "text": p.sentences} for p in world.pages), encoding="utf-8"
        )
        questions.write_text("[\n" + ",\n".join(map(_json, world.questions)) + "\n]\n", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{folder}: cannot write the pages ({error}). Name a writable folder with free space."
        ) from error
    return pages, questions


def _record(question: MadeQuestion) -> dict[str, Any]:
    return {
        "_id": hashlib.sha256(question.question.encode()).hexdigest()[:24],
        "question": question.question,
        "answer": question.answer,
        "type": question.type,
        "level": question.level,
        "supporting_facts": [list(fact) for fact in question.supporting_facts],
    }


def _lines(records: Iterable[dict[str, Any]]) -> str:
    return "".join(_json(record) + "\n" for record in records)


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)
