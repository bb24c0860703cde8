"""Task sets from files or from the made world, shared between the environments of a process."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Hashable
from pathlib import Path
from typing import Literal, TypeAlias

from agentq.errors import ConfigError, DataError
from agentq_data.cache import cache_folder
from agentq_data.hotpotqa.pages import read_pages
from agentq_data.hotpotqa.questions import Question, context_pages, read_questions
from agentq_envs.hotpotqa.corpus import Corpus, MemoryCorpus
from agentq_envs.hotpotqa.index import SqliteCorpus, build_corpus
from agentq_envs.hotpotqa.tasks import TaskSet

#: Pages a question can search: those of all questions, or the paragraphs of its own context.
Pages: TypeAlias = Literal["all", "own"]

_INDEXED_FROM = 5000  # pages; fewer are compared one by one as fast
_CORPUS_FILE = "corpus.sqlite"
_lock = threading.RLock()
_loaded: dict[Hashable, TaskSet] = {}


def load_tasks(
    questions: str | Path | None = None,
    corpus: str | Path | Corpus | None = None,
    *,
    pages: Pages = "all",
    world_seed: int = 0,
) -> TaskSet:
    """The questions of a file and what they are asked of; without a file those of the made world.

    ``corpus`` is a file of ``build_corpus`` or any ``Corpus``; without one the paragraphs that come with the
    questions are the corpus. Loaded once per process while the files do not change. Raises ConfigError for
    settings that contradict each other, DataError for broken or incomplete files.
    """
    if pages not in ("all", "own"):
        raise ConfigError(f"pages is {pages!r}, expected 'all' or 'own'.")
    if pages == "own" and (corpus is not None or questions is None):
        raise ConfigError(
            "pages='own' takes each question's paragraphs from the question file: name one with contexts, and no "
            "corpus."
        )
    # A corpus that is an object is its own key; a path counts with size and time of change.
    source: Hashable = _stamp(corpus) if isinstance(corpus, str | Path) else corpus
    key = (_stamp(questions) if questions is not None else world_seed, source, pages)
    with _lock:
        if key not in _loaded:
            _loaded[key] = _load(questions, corpus, pages, world_seed)
        return _loaded[key]


def forget_tasks() -> None:
    """Drop the shared task sets, so that their memory can be freed."""
    with _lock:
        _loaded.clear()


def made_files(seed: int = 0) -> tuple[Path, Path]:
    """(corpus file, question file) of the made world in the user's cache folder; written when not there yet."""
    from agentq_data.hotpotqa.generator import WORLD_VERSION
    from agentq_data.hotpotqa.generator.writer import QUESTIONS_FILE

    folder = cache_folder() / "hotpotqa" / f"v{WORLD_VERSION}-seed{seed}"
    if not folder.is_dir():
        _write_made(folder, seed)
    return folder / _CORPUS_FILE, folder / QUESTIONS_FILE


def _load(
    questions: str | Path | None, corpus: str | Path | Corpus | None, pages: Pages, world_seed: int
) -> TaskSet:
    if questions is None:
        made_corpus, made_questions = made_files(world_seed)
        return TaskSet(read_questions(made_questions), _opened(corpus) or SqliteCorpus(made_corpus))
    found = read_questions(questions)
    if pages == "own" and (bare := next((q.id for q in found if not q.context), None)) is not None:
        raise DataError(f"{questions}: question {bare!r} has no context, which pages='own' needs.")
    return TaskSet(found, _opened(corpus) or _context_corpus(Path(questions), found), pages == "own")


def _opened(corpus: str | Path | Corpus | None) -> Corpus | None:
    return SqliteCorpus(corpus) if isinstance(corpus, str | Path) else corpus


def _context_corpus(path: Path, questions: tuple[Question, ...]) -> Corpus:
    """The union of all contexts; a large one is indexed once, in the cache folder."""
    pages = context_pages(questions)
    if not pages:
        raise DataError(
            f"{path}: the questions have no contexts, so there is nothing to search. Pass corpus=, the file of a "
            "Wikipedia dump made with `python -m agentq_envs.hotpotqa.index DUMP FILE`."
        )
    if len(pages) < _INDEXED_FROM:
        return MemoryCorpus(pages)
    name = hashlib.sha256(repr(_stamp(path)).encode()).hexdigest()[:16]
    file = cache_folder() / "hotpotqa" / f"contexts-{name}.sqlite"
    return SqliteCorpus(file) if file.is_file() else build_corpus(pages, file)


def _write_made(folder: Path, seed: int) -> None:
    """Write beside the folder and rename, so that a reader never sees half of it."""
    from agentq_data.hotpotqa.generator import write_world

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            new = Path(scratch) / "new"
            pages, _ = write_world(new, seed)
            build_corpus(read_pages(pages), new / _CORPUS_FILE)
            try:
                new.rename(folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was first, with the same content
                    raise
    except OSError as error:
        raise DataError(
            f"{folder}: cannot write the made world ({error}). Set AGENTQ_CACHE to a writable folder."
        ) from error


def _stamp(path: str | Path) -> tuple[str | int, ...]:
    """Changes when the file does; a missing one is reported by its reader."""
    path = Path(path).resolve()
    if not path.exists():
        return (str(path),)
    return (str(path), path.stat().st_size, path.stat().st_mtime_ns)
