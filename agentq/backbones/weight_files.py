"""The weight files a model was loaded from: what identifies weights that a device has rounded its own way.

Kernels of different devices round 4- and 8-bit weights differently, so the codes in memory say where a model was
loaded, not which model it is.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_FILES = ("*.safetensors", "*.bin")  # the first kind found is what transformers loads
_BLOCK = 1 << 22  # bytes


def weight_files(source: str, revision: str | None = None) -> list[Path]:
    """The weight files of a model folder, or of a hub name whose files are on this machine; sorted by name."""
    folder = Path(source)
    if not folder.is_dir():
        from transformers.utils.hub import cached_file

        folder = Path(str(cached_file(source, "config.json", revision=revision))).parent
    for pattern in _FILES:
        if found := sorted(folder.glob(pattern)):
            return found
    return []


def files_digest(files: list[Path]) -> str:
    """SHA-256 over names and contents, in hex."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} {path.stat().st_size} ".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
