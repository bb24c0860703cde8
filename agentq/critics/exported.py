"""The client's side of an exported critic as files: config.json, heads, tokenizer, probe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from agentq.backbones.tokens import ChatTokenizer
from agentq.critics.loading import CLIENT, CONFIG, REMOTE, read_config
from agentq.critics.readouts import Readout, Task, open_readout
from agentq.errors import BackboneError, CheckpointError, ConfigError
from agentq.features.proposal import Proposal
from agentq.objectives.aggregation import Aggregation

FORMAT = 1
TOKENIZER, PROBE = "tokenizer", "probe.safetensors"
#: Largest error of a value on the probe, relative to the largest value there (at least 1).
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2, "float16": 1e-2}


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """What an exported critic says of itself, besides its heads."""

    task: Task
    aggregation: Aggregation
    pessimism: float
    grounding: str
    proposal: Proposal
    fingerprint: str  # of the local critic, with which the values agree
    max_length: int  # tokens of the longest sequence
    tolerance: float  # of the probe


@dataclass(frozen=True, slots=True)
class Probe:
    """Token sequences and what the exported model returns for them."""

    sequences: list[list[int]]
    rows: NDArray[np.float32]  # (n, width)


@dataclass(frozen=True, slots=True)
class ExportedCritic:
    """What a folder of ``agentq export`` holds for the client."""

    tokens: ChatTokenizer
    readout: Readout
    settings: RemoteSettings
    probe: Probe


def open_exported(folder: str | Path) -> ExportedCritic:
    """Read the folder of ``agentq export``, or its ``client/`` alone.

    Raises ``CheckpointError`` for a missing or broken file, a newer format and another chat template.
    """
    own = Path(folder)
    own = own / CLIENT if (own / CLIENT / CONFIG).is_file() else own
    content = read_config(own)
    if content["type"] != REMOTE:
        raise CheckpointError(
            f"{own / CONFIG} describes {content['type']!r}, expected {REMOTE!r}. "
            "Make one with `agentq export CRITIC --to hidden-states --output FOLDER`."
        )
    if content.get("format", 0) > FORMAT:
        raise CheckpointError(
            f"{own / CONFIG} has format {content['format']}, this version reads up to {FORMAT}. Upgrade agentq."
        )
    try:
        settings = _settings(content)
        readout = open_readout(settings.task, content["readout"], own)
        return ExportedCritic(_tokenizer(own, content["backbone"]), readout, settings, _probe(own / PROBE))
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(
            f"{own / CONFIG} is not an exported critic of this version: {error!r}. Export the critic again."
        ) from error


def _settings(content: dict[str, Any]) -> RemoteSettings:
    critic, backbone = content["critic"], content["backbone"]
    task = content["task"]
    if task not in ("classify", "embed"):
        raise ConfigError(f"task {task!r}: expected classify or embed.")
    return RemoteSettings(
        task=cast(Task, task),
        aggregation=critic["aggregation"],
        pessimism=float(critic["pessimism"]),
        grounding=critic["grounding"],
        proposal=critic["proposal"],
        fingerprint=critic["fingerprint"],
        max_length=int(backbone["max_length"]),
        tolerance=TOLERANCE[backbone["dtype"]],
    )


def _tokenizer(folder: Path, backbone: dict[str, Any]) -> ChatTokenizer:
    """The exported tokenizer. Raises ``CheckpointError`` when it cannot be read or is another one."""
    from transformers import AutoTokenizer

    try:
        tokens = ChatTokenizer(AutoTokenizer.from_pretrained(folder / TOKENIZER), backbone["name"])
        found = tokens.template_fingerprint
    except (OSError, ValueError, BackboneError) as error:
        raise CheckpointError(
            f"{folder / TOKENIZER} is no tokenizer: {error}. Export the critic again."
        ) from error
    if found != backbone["template_fingerprint"]:
        raise CheckpointError(
            f"critic {folder} was trained with chat template {backbone['template_fingerprint']}, but the tokenizer "
            f"beside it has {found}: the same messages would become other tokens. Export the critic again."
        )
    return tokens


def _probe(path: Path) -> Probe:
    try:
        stored = load_file(path)
        sequences = [stored[f"ids_{i}"].tolist() for i in range(len(stored["rows"]))]
        return Probe(sequences, stored["rows"].numpy())
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(f"{path} is missing or broken: {error!r}. Export the critic again.") from error
