"""Reader of HotPotQA question files.

Format as published with "HotpotQA: A Dataset for Diverse, Explainable Multi-hop Question Answering" (arXiv
1809.09600): a JSON list, or one object a line, each optionally gzipped. Fields: ``_id`` (or ``id``, or ``idx``),
``question``, ``answer``, ``type``, ``level``, ``supporting_facts`` [[title, sentence index], ...] and ``context``
[[title, [sentences]], ...]; all but the question may be absent, as in the test file and in simplified copies.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentq.errors import DataError
from agentq_data.hotpotqa.pages import WikiPage


@dataclass(frozen=True, slots=True)
class Question:
    """One question; ``answer`` is None where the file has none."""

    id: str
    question: str
    answer: str | None
    type: str = ""  # bridge or comparison
    level: str = ""  # easy, medium or hard
    supporting_facts: tuple[tuple[str, int], ...] = ()  # (title, index of the sentence in its context)
    context: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (title, sentences with their own spaces)

    def pages(self) -> tuple[WikiPage, ...]:
        """The paragraphs of the context as pages, their sentences joined."""
        return tuple(WikiPage(title, "".join(sentences)) for title, sentences in self.context)


def read_questions(path: str | Path) -> tuple[Question, ...]:
    """The questions of a file, in file order.

    Raises DataError for a missing, empty or broken file, a question without its text, or an id that occurs
    twice.
    """
    path = Path(path)
    records = _records(path)
    questions = tuple(_question(record, number, path) for number, record in enumerate(records, start=1))
    if not questions:
        raise DataError(f"{path}: the file has no questions. Give a HotPotQA question file.")
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise DataError(f"{path}: the id {question.id!r} occurs twice. Remove one of the two questions.")
        seen.add(question.id)
    return questions


def questions_hash(questions: Iterable[Question]) -> str:
    """SHA-256, in hex, of ids, questions, answers and supporting facts; the contexts do not count."""
    digest = hashlib.sha256()
    for q in questions:
        content = [q.id, q.question, q.answer, [list(fact) for fact in q.supporting_facts]]
        digest.update(json.dumps(content, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def context_pages(questions: Iterable[Question]) -> list[WikiPage]:
    """All paragraphs of the questions' contexts, each title once: the first one counts."""
    pages: dict[str, WikiPage] = {}
    for question in questions:
        for page in question.pages():
            pages.setdefault(page.title, page)
    return list(pages.values())


def _records(path: Path) -> list[Any]:
    try:
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
        text = content.decode("utf-8")
        if text.lstrip().startswith("["):
            return json.loads(text)
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(
            f"{path}: not readable as a question file ({type(error).__name__}: {error}). Expected a JSON list or "
            "one JSON object a line, as HotPotQA publishes them."
        ) from error


def _question(record: Any, number: int, path: Path) -> Question:
    where = f"{path}: question {number}"
    if not isinstance(record, Mapping) or not isinstance(record.get("question"), str):
        raise DataError(f"{where} has no text in `question`. Repair this entry or remove it.")
    name = next((record[key] for key in ("_id", "id", "idx") if key in record), number - 1)
    answer = record.get("answer")
    if answer is not None and not isinstance(answer, str):
        raise DataError(f"{where} has the answer {answer!r}, expected a text. Repair this entry.")
    try:
        return Question(
            id=str(name),
            question=record["question"],
            answer=answer,
            type=str(record.get("type", "")),
            level=str(record.get("level", "")),
            supporting_facts=tuple((str(t), int(i)) for t, i in record.get("supporting_facts", ())),
            context=tuple((str(t), tuple(map(str, s))) for t, s in record.get("context", ())),
        )
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: `supporting_facts` or `context` is not as expected ({error}). Expected "
            "[[title, index], ...] and [[title, [sentences]], ...]."
        ) from error
