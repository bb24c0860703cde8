"""From what a server returns for a sequence to the values of K heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from agentq.critics.checkpoint import HEADS, fill_heads, make_heads
from agentq.critics.heads import Output, QHeads
from agentq.errors import CheckpointError

#: What the server computes: labels of a classification checkpoint, or the last hidden state of a sequence.
Task: TypeAlias = Literal["classify", "embed"]


class Readout(Protocol):
    """The part of a critic that is computed here."""

    @property
    def heads(self) -> int:
        """K, the number of values."""
        ...

    @property
    def width(self) -> int:
        """Numbers that the server returns for each sequence."""
        ...

    def values(self, rows: Tensor, proposals: Tensor) -> Tensor:
        """(K, n) from (n, ``width``) of the server and (n, P) proposal features."""
        ...

    def content(self) -> dict[str, Any]:
        """What ``open_readout`` needs besides ``tensors``, as JSON."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Weights to store."""
        ...


class LabelReadout:
    """Labels are the heads' raw outputs but for what does not depend on the hidden state.

    ``proposal_weight`` (K, P), ``offset`` (K,): added to the labels.
    """

    def __init__(self, proposal_weight: Tensor, offset: Tensor, output: Output) -> None:
        self.proposal_weight, self.offset = proposal_weight, offset
        self.output: Output = output

    @property
    def heads(self) -> int:
        """K, the number of labels."""
        return len(self.offset)

    @property
    def width(self) -> int:
        """K, too."""
        return len(self.offset)

    def values(self, rows: Tensor, proposals: Tensor) -> Tensor:
        """(K, n) from labels (n, K) and proposal features (n, P)."""
        raw = rows + proposals @ self.proposal_weight.T + self.offset
        return (torch.sigmoid(raw) if self.output == "logit" else raw).T

    def content(self) -> dict[str, Any]:
        """The number of labels and what they are."""
        return {"labels": self.heads, "output": self.output}

    def tensors(self) -> dict[str, Tensor]:
        """Offsets and proposal weights."""
        return {"offset": self.offset, "proposal_weight": self.proposal_weight}


class HiddenStateReadout:
    """The critic's own heads on hidden states."""

    def __init__(self, q_heads: QHeads, hidden_size: int) -> None:
        self.q_heads, self.hidden_size = q_heads.eval(), hidden_size

    @property
    def heads(self) -> int:
        """K, the number of Q heads."""
        return self.q_heads.settings.heads

    @property
    def width(self) -> int:
        """D, of the hidden state."""
        return self.hidden_size

    def values(self, rows: Tensor, proposals: Tensor) -> Tensor:
        """(K, n) from hidden states (n, D) and proposal features (n, P)."""
        with torch.no_grad():
            return self.q_heads.q_values(torch.cat([rows, proposals], dim=1))

    def content(self) -> dict[str, Any]:
        """The heads' shape, as in a local critic's config.json."""
        return {
            "hidden_size": self.hidden_size,
            "inputs": self.q_heads.inputs,
            "state_inputs": self.q_heads.state_inputs,
            "settings": asdict(self.q_heads.settings),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The heads' weights, mean and spread."""
        return {name: t.detach().cpu().contiguous() for name, t in self.q_heads.state_dict().items()}


def open_readout(task: Task, content: Mapping[str, Any], folder: Path) -> Readout:
    """The readout of an exported critic. Raises ``CheckpointError`` for a missing or broken file."""
    if task == "embed":
        heads = make_heads(content)
        fill_heads(heads, folder / HEADS)
        return HiddenStateReadout(heads, content["hidden_size"])
    try:
        stored = load_file(folder / HEADS)
        return LabelReadout(stored["proposal_weight"], stored["offset"], content["output"])
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(
            f"{folder / HEADS} is missing or broken: {error!r}. Export the critic again."
        ) from error
