"""Tasks: questions with the corpus they are asked of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentq.errors import DataError, TaskError
from agentq_data.hotpotqa.questions import Question, questions_hash
from agentq_envs.hotpotqa.corpus import Corpus, MemoryCorpus


@dataclass(frozen=True)
class TaskSet:
    """Questions, one shared corpus, and whether each question sees only the paragraphs of its own context."""

    questions: Sequence[Question]
    corpus: Corpus
    distractor: bool = False
    ids: tuple[str, ...] = field(init=False)
    data_hash: str = field(init=False)  # of questions and corpus
    _index: dict[str, int] = field(init=False, repr=False)
    _own: dict[int, Corpus] = field(default_factory=dict[int, Corpus], init=False, repr=False)

    def __post_init__(self) -> None:
        unanswered = next((q for q in self.questions if q.answer is None), None)
        if unanswered is not None:
            raise DataError(
                f"question {unanswered.id!r} has no answer, so an episode cannot be scored. Use a file with answers "
                "(the test file has none)."
            )
        parts = [questions_hash(self.questions), self.corpus.content_hash, str(self.distractor)]
        # Frozen for its users; what follows from the fields is set once here.
        object.__setattr__(self, "ids", tuple(task_id(question) for question in self.questions))
        object.__setattr__(self, "data_hash", hashlib.sha256("\n".join(parts).encode()).hexdigest())
        object.__setattr__(self, "_index", {task: i for i, task in enumerate(self.ids)})

    def index(self, task: str) -> int:
        """Position of a task id. Raises TaskError for an unknown one."""
        if task not in self._index:
            raise TaskError(
                f"task {task!r} is not among these {len(self.ids)} questions. Load the questions that it belongs "
                "to; ids begin with 'hotpotqa:' and change with a question's text."
            )
        return self._index[task]

    def corpus_of(self, index: int) -> Corpus:
        """The corpus that a question is asked of."""
        if not self.distractor:
            return self.corpus
        if index not in self._own:
            self._own[index] = MemoryCorpus(self.questions[index].pages())
        return self._own[index]


def task_id(question: Question) -> str:
    """``hotpotqa:<id>:<8 hex digits>``; the digits change with the question's text or answer."""
    content = json.dumps([question.question, question.answer], ensure_ascii=False)
    return f"hotpotqa:{question.id}:{hashlib.sha256(content.encode()).hexdigest()[:8]}"
