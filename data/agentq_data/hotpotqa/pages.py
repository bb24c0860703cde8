"""Reader of Wikipedia pages as JSON lines, streamed: from a file, a folder, or a tar archive of such files.

A line is an object with ``title`` and ``text``; the text is a string (lines are paragraphs), a list of sentences
(one paragraph), or a list of such lists (paragraphs). Other fields are ignored. This is what WikiExtractor
writes with ``--json``, and the format of the two Wikipedia archives that HotPotQA publishes (arXiv 1809.09600,
appendix; abstracts and full pages). Every file may be compressed (.bz2, .gz).
"""

from __future__ import annotations

import bz2
import gzip
import json
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from agentq.errors import DataError

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2")
_HIDDEN = (".", "_")  # first characters of files that are no data


@dataclass(frozen=True, slots=True)
class WikiPage:
    """A page before it is indexed; the lines of ``text`` are its paragraphs."""

    title: str
    text: str


def read_pages(path: str | Path) -> Iterator[WikiPage]:
    """Stream the pages of a file, of all files below a folder (in the order of their paths), or of an archive.

    Never holds more than one line. Raises DataError for a missing or broken file (with the line) and for a
    folder or archive without any page.
    """
    path = Path(path)
    if path.is_dir():
        pages = _folder(path)
    elif path.name.endswith(_TAR):
        pages = _archive(path)
    else:
        pages = _file(path)
    empty = True
    for page in pages:
        empty = False
        yield page
    if empty:
        raise DataError(f"{path}: there is no page in it. Expected JSON lines with `title` and `text`.")


def page_text(value: Any) -> str:
    """The text of a ``text`` field in any of its three forms. Raises TypeError for another form."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "".join(value)
    if isinstance(value, list) and all(isinstance(part, list) for part in value):
        return "\n".join(page_text(part) for part in value)
    raise TypeError(f"`text` is a {type(value).__name__}")


def _folder(folder: Path) -> Iterator[WikiPage]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if not path.name.startswith(_HIDDEN):
            yield from _file(path)


def _file(path: Path) -> Iterator[WikiPage]:
    try:
        with path.open("rb") as raw:
            yield from _lines(_unpacked(raw, path.name), str(path))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot read the pages ({error}). Give the path of a dump.") from error


def _archive(path: Path) -> Iterator[WikiPage]:
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None and not Path(member.name).name.startswith(_HIDDEN):
                    yield from _lines(_unpacked(content, member.name), f"{path}:{member.name}")
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{path}: cannot read the archive ({error}). Download it again.") from error


def _unpacked(raw: IO[bytes], name: str) -> Iterable[bytes]:
    if name.endswith(".bz2"):
        return bz2.open(raw)
    return gzip.open(raw) if name.endswith(".gz") else raw


def _lines(lines: Iterable[bytes], where: str) -> Iterator[WikiPage]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            page = WikiPage(str(record["title"]), page_text(record["text"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{where}: line {number} is no page ({type(error).__name__}: {error}). Expected a JSON object "
                "with `title` and `text`."
            ) from error
        yield page
