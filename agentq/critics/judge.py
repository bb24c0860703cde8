"""A critic that asks a chat model for a grade: the value source of LATS, and a zero-shot baseline.

"Language Agent Tree Search" (arXiv 2310.04406) values a state by a model's grade from 1 to 10. The judge is any
policy, since a policy is what answers messages with text: a local model, a server, a function.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from agentq.agent import decision_seed
from agentq.critics.base import Scores
from agentq.errors import ConfigError, CriticError
from agentq.policies.base import Policy
from agentq.types import Candidate, FloatArray, Message, Messages

#: last: the last number from 1 to 10 in the answer; published: the largest that occurs anywhere in its text.
Reading = Literal["last", "published"]
#: (the state's messages, the candidate) -> the judge's messages.
Question = Callable[[Messages, Candidate], Messages]
UNGRADED = -1.0  # a reply without a grade, as published
_NUMBER = re.compile(r"(?<![\d.])(10|[1-9])(?![\d]|\.\d)")


def grading_question(messages: Messages, candidate: Candidate) -> tuple[Message, ...]:
    """One user turn: the conversation so far, the reply, and the request for a grade."""
    lines = [f"[{message['role']}]\n{_text(message)}" for message in messages]
    return (
        {
            "role": "user",
            "content": "An agent works on a task. This is the conversation so far:\n\n"
            + "\n\n".join(lines)
            + f"\n\nThe agent considers this next reply:\n\n{candidate.text}\n\n"
            "How likely does this reply lead to full success at the task? Think briefly, then end with one line: "
            '"Grade: N", where N is an integer from 1 (it fails) to 10 (it certainly succeeds).',
        },
    )


def read_grade(text: str, reading: Reading = "last") -> float | None:
    """The grade in (0, 1] that an answer gives, None when it gives none.

    ``published`` looks for "10", "9", ..., "1" in this order anywhere, so "step 10: grade 3" is read as 10.
    """
    if reading == "published":
        return next((number / 10 for number in range(10, 0, -1) if str(number) in text), None)
    found = _NUMBER.findall(text)
    return int(found[-1]) / 10 if found else None


class JudgeCritic:
    """Values a candidate by the mean grade of ``votes`` answers; implements ``agentq.critics.base.Critic``.

    Answers without a grade do not count; a candidate without any grade is worth -1, below every grade. Grades
    depend on the state, the candidate and ``seed`` alone. More than one vote needs a judge with temperature.
    """

    def __init__(
        self,
        judge: Policy,
        *,
        votes: int = 1,
        reading: Reading = "last",
        question: Question = grading_question,
        seed: int = 0,
        batch: int = 256,
    ) -> None:
        if votes < 1 or batch < 1:
            raise ConfigError(f"votes={votes}, batch={batch}: expected at least 1 each.")
        if reading not in ("last", "published"):
            raise ConfigError(f"reading={reading!r}: expected 'last' or 'published'.")
        self.judge = judge
        self.votes = votes
        self.reading: Reading = reading
        self.question = question
        self.seed = seed
        self.batch = batch
        #: Answers without a grade so far; many mean that the judge does not follow the format.
        self.ungraded = 0

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        """One (N,) float64 array per state; -inf for a candidate that did not parse."""
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        """Like ``score`` with why a candidate is -inf. Raises ``CriticError`` for an empty candidate list."""
        questions: dict[str, Messages] = {}
        keys: list[list[str | None]] = []
        for number, (messages, candidates) in enumerate(batch):
            if not candidates:
                raise CriticError(f"state {number} has no candidates to grade. Expected at least one.")
            row: list[str | None] = []
            for candidate in candidates:
                asked = self.question(messages, candidate) if candidate.valid else None
                row.append(None if asked is None else repr([dict(message) for message in asked]))
                if asked is not None:
                    questions.setdefault(str(row[-1]), asked)  # equal ones are asked once
            keys.append(row)
        grades = self._grades(questions)
        return [
            Scores(
                q=np.array([-np.inf if key is None else grades[key] for key in row]),
                reasons=tuple(
                    None if c.valid else c.error or "the text does not parse into an action"
                    for c in candidates
                ),
            )
            for row, (_, candidates) in zip(keys, batch, strict=True)
        ]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the question's wording, the reading, the votes, and of the judge's weights where it has any."""
        backbone = getattr(self.judge, "backbone", None)
        wording = self.question(({"role": "user", "content": "?"},), Candidate("?", "?"))
        parts = [repr(wording), self.reading, str(self.votes), str(getattr(backbone, "fingerprint", ""))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _grades(self, questions: dict[str, Messages]) -> dict[str, float]:
        found: dict[str, float] = {}
        keys = list(questions)
        for start in range(0, len(keys), self.batch):
            some = keys[start : start + self.batch]
            answers = self.judge.propose(
                [questions[key] for key in some],
                self.votes,
                [decision_seed(key, self.seed, 0) for key in some],
            )
            for key, candidates in zip(some, answers, strict=True):
                found[key] = self._mean(candidates)
        return found

    def _mean(self, answers: Sequence[Candidate]) -> float:
        """Over the answers that give a grade, each as often as it was sampled."""
        total, count = 0.0, 0
        for answer in answers:
            grade = read_grade(answer.text, self.reading)
            if grade is None:
                self.ungraded += answer.count
                continue
            total, count = total + grade * answer.count, count + answer.count
        return total / count if count else UNGRADED


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    raise CriticError(
        f"a message of role {message.get('role')!r} has {type(content).__name__} content, which a judge cannot be "
        "asked about. Render the observation as text."
    )
