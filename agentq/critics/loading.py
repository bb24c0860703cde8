"""Open a critic by one word: a folder, a bundled or hub name, or either on a server (``FOLDER@URL``).

The kind of critic stands in its config.json (``type``). Other packages add kinds with the entry-point
group ``agentq.critics``: the entry's name is the type, its object a class with ``from_pretrained``.
"""

from __future__ import annotations

import importlib
import json
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from agentq.critics.base import Critic
from agentq.errors import CheckpointError, ConfigError

GROUP = "agentq.critics"
CONFIG = "config.json"
CLIENT = "client"  # folder of an exported model with all that scoring through a server needs
REMOTE = "agentq.RemoteCritic"  # the type that needs a server
_OWN = {
    "agentq.QCritic": "agentq.critics.q_head:QCritic",
    "agentq.PreferenceCritic": "agentq.critics.preference:PreferenceCritic",
    REMOTE: "agentq.critics.remote:RemoteCritic",
}
_AT_SERVER = re.compile(r"(?P<folder>.+)@(?P<url>https?://.+)", re.DOTALL)


def load_critic(
    spec: str | Path, *, device: str = "auto", revision: str | None = None, **options: Any
) -> Critic:
    """The critic that ``spec`` names, of whatever kind.

    ``spec``: a folder, a name bundled with an installed package (group ``agentq.models``), a hub name, or
    ``FOLDER@http://host:port`` for a critic of ``agentq export`` that a server computes. ``options`` go to
    the kind's ``from_pretrained``. Raises ``CheckpointError`` for a folder that is missing, broken or of
    another version, ``ConfigError`` for a kind that is not installed or cannot be used so.
    """
    name, base_url = split_spec(str(spec))
    folder = find_critic(name, revision, weights=base_url is None)
    kind = str(read_config(folder)["type"])
    if base_url is None and kind == REMOTE:
        raise ConfigError(
            f"critic {name!r} is computed by a server. Name it as {name}@http://HOST:PORT, the server that "
            "has the exported model."
        )
    if base_url is not None:
        if kind != REMOTE:
            raise ConfigError(
                f"critic {name!r} is of type {kind!r}, which is computed here, but {base_url} was given. Make "
                f"the folder for a server first: agentq export {name} --to hidden-states --output FOLDER."
            )
        options["base_url"] = base_url
    else:
        options["device"] = device
    return cast(Critic, critic_class(kind).from_pretrained(folder, **options))


def split_spec(spec: str) -> tuple[str, str | None]:
    """A critic's name and the server's address behind "@", None without one."""
    match = _AT_SERVER.fullmatch(spec)
    return (match["folder"], match["url"]) if match else (spec, None)


def find_critic(name: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """The folder with the critic's config.json. Raises ``CheckpointError`` when there is none.

    Without ``weights`` a critic on the hub is downloaded without those of its model, which a server has.
    """
    from agentq.backbones.loading import resolve_name
    from agentq.critics.checkpoint import local_folder
    from agentq.errors import BackboneError

    try:
        folder = local_folder(resolve_name(name), revision, weights=weights)
    except BackboneError as error:  # of a path; its text speaks of backbones
        raise CheckpointError(
            f"critic folder {name!r} does not exist. Expected a folder, or a bundled or hub name."
        ) from error
    client = folder / CLIENT
    return client if (client / CONFIG).is_file() else folder


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of any kind of critic. Raises ``CheckpointError``: missing, broken, or no critic."""
    path = folder / CONFIG
    try:
        content: Any = json.loads(path.read_text())
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}). Expected the folder of a saved critic."
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path} is broken: {error}. Copy or download the critic again.") from error
    if not isinstance(content, dict) or not isinstance(content.get("type"), str):
        raise CheckpointError(
            f"{path} has no type, so it is no saved critic. Expected a folder of save_pretrained or `agentq export`."
        )
    return content


def critic_class(kind: str) -> Any:
    """The class behind a type. Raises ``ConfigError`` for one that no installed package has."""
    if kind in _OWN:
        module, _, attribute = _OWN[kind].partition(":")
        return getattr(importlib.import_module(module), attribute)
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if kind not in found:
        raise ConfigError(
            f"critic type {kind!r} is unknown; expected one of {', '.join(sorted({*_OWN, *found}))}. Install the "
            f"package that has it (entry-point group {GROUP})."
        )
    return found[kind].load()
