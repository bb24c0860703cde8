"""An index directory: flat little-endian arrays beside one description, opened memory-mapped.

A directory appears complete or not at all: it is written under another name in the same parent folder,
flushed to the disk, and renamed at the very end. `index.json` holds the format version, and length and
SHA-256 of every array.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from agentq.errors import DataError
from agentq_envs.webshop.search.arrays import IndexArrays

FORMAT = "agentq webshop search index"
FORMAT_VERSION = 1  # raise it whenever the analyser, the scoring or the layout changes
_DESCRIPTION = "index.json"
_ARRAY_TYPES = {
    "term_bytes": "u1",
    "term_starts": "<i8",
    "posting_starts": "<i8",
    "documents": "<i4",
    "saturations": "<f4",
    "ranks": "<i4",
}
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WRITE_SIZE = 1 << 20  # bytes gathered before they go to the file and into the hash


class ArrayFile:
    """One file under construction: append bytes, then leave the `with` block, which flushes to the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._pending = bytearray()
        self._digest = hashlib.sha256()
        self._bytes = 0

    def append(self, data: bytes | memoryview) -> None:
        """Add raw bytes."""
        self._pending += data
        if len(self._pending) >= _WRITE_SIZE:
            self._write()

    def _write(self) -> None:
        self._file.write(self._pending)
        self._digest.update(self._pending)
        self._bytes += len(self._pending)
        self._pending = bytearray()

    @property
    def description(self) -> dict[str, Any]:
        """Length and hash, final once the `with` block is left."""
        return {"bytes": self._bytes, "sha256": self._digest.hexdigest()}

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._write()
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()


def array_path(directory: Path, name: str) -> Path:
    """File of one array of an index directory."""
    return directory / f"{name}.bin"


def map_array(path: Path, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A whole file as a read-only memory-mapped array, (bytes / item size,)."""
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r").view(np.ndarray)


@contextmanager
def new_directory(directory: Path) -> Generator[Path]:
    """Working folder that becomes `directory` when the block ends well, and vanishes otherwise.

    An existing index under that name is replaced. Raises DataError when the name holds something else, when
    no folder can be made there, and when the disk is full.
    """
    if directory.exists() and not (directory / _DESCRIPTION).is_file() and not _is_empty_folder(directory):
        raise DataError(
            f"{directory} exists and is not a search index; it is not replaced. "
            "Name a new directory, or remove this one yourself."
        )
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        scratch_folder = tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=directory.parent)
    except OSError as error:
        raise DataError(
            f"no search index can be made at {directory}: {error}. "
            "Name a directory in a folder you may write to."
        ) from error
    try:
        with scratch_folder as scratch:
            working = Path(scratch) / "index"
            working.mkdir()
            yield working
            _sync_folder(working)
            if directory.exists():
                directory.rename(Path(scratch) / "replaced")
            working.rename(directory)
            _sync_folder(directory.parent)
    except OSError as error:
        if error.errno not in _DISK_FULL:  # the documents' own source may fail here too
            raise
        free = shutil.disk_usage(_existing_parent(directory)).free
        raise DataError(
            f"search index {directory} could not be written: {error} ({free / 1e6:.0f} MB free there). "
            "Nothing was left behind; free some space or name another directory, then build again."
        ) from error


def _is_empty_folder(directory: Path) -> bool:
    return directory.is_dir() and not any(directory.iterdir())


def _existing_parent(directory: Path) -> Path:
    return next(folder for folder in (directory, *directory.absolute().parents) if folder.is_dir())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_description(
    directory: Path, arrays: dict[str, ArrayFile], *, asin_bytes: int, total_tokens: int, content_hash: str
) -> None:
    """Write index.json, the last file of an index directory."""
    description = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "asin_bytes": asin_bytes,
        "total_tokens": total_tokens,
        "content_hash": content_hash,
        "arrays": {name: file.description for name, file in arrays.items()},
    }
    with ArrayFile(directory / _DESCRIPTION) as file:
        file.append(json.dumps(description, indent=1).encode())


def open_arrays(directory: Path, verify: bool = True) -> IndexArrays:
    """Map an index directory; `verify` reads every byte once and compares the hashes.

    Raises DataError when the directory is no index, is damaged, or was written by a newer version.
    """
    description = _read_description(directory)
    mapped: dict[str, npt.NDArray[Any]] = {}
    try:
        types = {**_ARRAY_TYPES, "asins": f"S{int(description['asin_bytes'])}"}
        for name, dtype in types.items():
            path = array_path(directory, name)
            expected = description["arrays"][name]
            if path.stat().st_size != expected["bytes"]:
                raise _damaged(
                    directory, f"{path.name} has {path.stat().st_size} bytes, not {expected['bytes']}"
                )
            mapped[name] = map_array(path, dtype)
            if verify and _sha256(mapped[name]) != expected["sha256"]:
                raise _damaged(directory, f"the content of {path.name} does not match its SHA-256")
        return IndexArrays(
            term_bytes=mapped["term_bytes"],
            term_starts=mapped["term_starts"],
            posting_starts=mapped["posting_starts"],
            documents=mapped["documents"],
            saturations=mapped["saturations"],
            asins=mapped["asins"],
            ranks=mapped["ranks"],
            total_tokens=int(description["total_tokens"]),
            content_hash=str(description["content_hash"]),
        )
    except (KeyError, TypeError, OSError) as error:
        raise _damaged(directory, f"{type(error).__name__}: {error}") from error


def _sha256(array: npt.NDArray[Any]) -> str:
    return hashlib.sha256(array.data).hexdigest()


def _damaged(directory: Path, what: str) -> DataError:
    return DataError(
        f"search index {directory} is damaged: {what}. Delete the directory and build the index again."
    )


def _read_description(directory: Path) -> dict[str, Any]:
    path = directory / _DESCRIPTION
    try:
        loaded: object = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{directory} holds no search index ({_DESCRIPTION} is missing). "
            "Build one with SearchIndex.build(documents, directory)."
        ) from error
    except ValueError as error:
        raise _damaged(directory, f"{_DESCRIPTION} is not JSON ({error})") from error
    description = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}
    if description.get("format") != FORMAT:
        raise _damaged(directory, f"{_DESCRIPTION} does not describe a search index")
    version = description.get("version")
    if version != FORMAT_VERSION:
        newer = isinstance(version, int) and version > FORMAT_VERSION
        action = "Upgrade agentq, or build" if newer else "Build"
        raise DataError(
            f"search index {directory} has format version {version!r}; this agentq reads {FORMAT_VERSION}. "
            f"{action} the index again with SearchIndex.build(documents, directory)."
        )
    return description
