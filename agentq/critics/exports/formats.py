"""Write a critic as a model for a server, with what its client needs, and check that both give its values.

```
FOLDER/              what the server loads: config.json, weights with adapters merged, tokenizer
FOLDER/client/       what scores through it (``agentq.critics.remote``): settings, tokenizer, heads, a probe
```
"""

from __future__ import annotations

import copy
import importlib
import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors.torch import save_file
from torch import Tensor

from agentq.backbones.backbone import Backbone
from agentq.critics.checkpoint import CARD, CONFIG, HEADS, replace_folder
from agentq.critics.exported import FORMAT, PROBE, TOKENIZER, TOLERANCE
from agentq.critics.exports.names import export_format_names
from agentq.critics.loading import CLIENT, REMOTE
from agentq.critics.q_head import QCritic
from agentq.critics.readouts import Readout, Task
from agentq.errors import CheckpointError, ConfigError
from agentq.provenance import package_versions
from agentq.scoring import score_features

_PACKAGE = __name__.rpartition(".")[0]
_PROBE_STATE = [
    {"role": "user", "content": "Goal: a red mug below 10 $\n[b01] Red mug, 8 $\n[b02] Blue cup, 5 $"}
]
_PROBE_ACTIONS = ("click[b01]", "search[a red mug that costs less than ten dollars]", "back")


class ExportFormat(Protocol):
    """What a module of this package has. Its name with "-" for "_" is the format's."""

    HELP: str
    TASK: Task
    SERVE: tuple[str, ...]

    def problems(self, critic: QCritic) -> list[str]:
        """Why this critic does not fit, besides what fits no format."""
        ...

    def write(self, critic: QCritic, model: Any, folder: Path, *, join_heads: bool) -> Readout:
        """Write what the server loads; returns what the client computes."""
        ...

    def read(self, folder: Path, dtype: torch.dtype, rows: list[list[int]]) -> Tensor:
        """What the server should return for token sequences: (n, width) float32."""
        ...


@dataclass(frozen=True, slots=True)
class Exported:
    """A written folder and how a server loads it."""

    folder: Path
    command: str  # of vLLM
    error: float  # largest difference of a head's raw output to the local critic on the probe


def load_export_format(name: str) -> ExportFormat:
    """The format called ``name``. Raises ``ConfigError`` for an unknown one."""
    if name not in export_format_names():
        raise ConfigError(
            f"no format {name!r} for critics: expected one of {', '.join(export_format_names())}."
        )
    return cast(ExportFormat, importlib.import_module(f"{_PACKAGE}.{name.replace('-', '_')}"))


def export_critic(critic: QCritic, name: str, output: Path, *, join_heads: bool = False) -> Exported:
    """Write ``critic`` in the format ``name`` to the folder ``output``; it appears complete or not at all.

    ``join_heads``: one label, the mean of the heads, for a critic with ``aggregation="mean"``. Raises
    ``ConfigError`` for a critic that the format cannot express, with every reason, ``CheckpointError`` when
    the files cannot be written or do not give the critic's values.
    """
    chosen = load_export_format(name)
    check_exportable(critic, name, join_heads)
    taken = output.exists() and not (output.is_dir() and not any(output.iterdir()))
    if taken and not (output / CLIENT / CONFIG).is_file():
        raise ConfigError(f"{output} exists and is no exported critic. Name a new folder.")
    aside = output.with_name(f".{output.name}.writing")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        readout = chosen.write(critic, merged(critic.backbone), aside, join_heads=join_heads)
        _save_tokenizers(critic.backbone, aside)
        probe, error = _probe(critic, chosen, readout, aside, join_heads)
        save_file(readout.tensors(), aside / CLIENT / HEADS)
        save_file(probe, aside / CLIENT / PROBE)
        content = json.dumps(_client(critic, chosen, readout, name), indent=2, sort_keys=True)
        (aside / CLIENT / CONFIG).write_text(content + "\n")
        (aside / CARD).write_text(_card(output.name, critic, name, chosen))
        replace_folder(aside, output)
    except OSError as error_:
        raise CheckpointError(
            f"{output} could not be written: {error_}. Check space and permissions."
        ) from error_
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Exported(output, serve_command(str(output), critic, chosen), error)


def check_exportable(critic: QCritic, name: str, join_heads: bool = False) -> None:
    """Raise ``ConfigError`` with every reason why ``critic`` has no such export."""
    backbone, config = critic.backbone, critic.config
    found: list[str] = []
    if backbone.kind != "causal":
        found.append("its backbone is an encoder, which reads state and action apart")
    elif tuple(critic.layers) != (backbone.num_layers,):
        found.append(
            f"it reads layers {config.layers} of {backbone.num_layers}, and a server returns the last one"
        )
    if config.pooling != "last":
        found.append(f"it pools by {config.pooling!r}, and a server returns the last token")
    if backbone.config.quantization != "none":
        found.append(
            f"its backbone is quantised ({backbone.config.quantization}): merged weights would be others"
        )
    if critic.support is not None:
        found.append(
            "it says how far candidates are from its log, which an export does not; set critic.support = None "
            "to leave that out"
        )
    general = bool(found)
    if backbone.kind == "causal":
        found += load_export_format(name).problems(critic)
    if join_heads and (config.aggregation != "mean" or critic.heads.settings.output == "logit"):
        found.append(
            f"one label can only be the mean of regression heads, and it joins {critic.heads.settings.output} heads "
            f"by {config.aggregation!r}"
        )
    if found:
        others = [other for other in export_format_names() if other != name]
        hint = f" Try {', '.join(others)}." if not general else " Score with it where the agent runs."
        raise ConfigError(f"this critic has no export as {name}: {'; '.join(found)}.{hint}")


def merged(backbone: Backbone) -> Any:
    """The model with its adapters added into its weights; the backbone keeps its own."""
    model: Any = backbone.model
    if not hasattr(model, "merge_and_unload"):
        return model
    return copy.deepcopy(model).merge_and_unload().eval()


def serve_command(folder: str, critic: QCritic, chosen: ExportFormat) -> str:
    """How vLLM serves the folder; without --dtype it would compute float32 weights in half precision."""
    words = ["vllm", "serve", shlex.quote(folder), "--runner", "pooling", *chosen.SERVE]
    return " ".join([*words, "--dtype", critic.backbone.config.dtype, "--served-model-name", "critic"])


def _save_tokenizers(backbone: Backbone, folder: Path) -> None:
    from agentq.critics.exports.sequence_classification import padding_id

    backbone.tokenizer.save_pretrained(str(folder / CLIENT / TOKENIZER))
    served = copy.deepcopy(backbone.tokenizer)
    served.pad_token = served.convert_ids_to_tokens(padding_id(backbone))
    served.save_pretrained(str(folder))


def _probe(
    critic: QCritic, chosen: ExportFormat, readout: Readout, folder: Path, join_heads: bool
) -> tuple[dict[str, Tensor], float]:
    """Sequences with what a server must return for them, and how far that is from the critic's own values."""
    backbone = critic.backbone
    prompt = backbone.prompt_ids(_PROBE_STATE)
    actions = [backbone.action_ids(text) for text in _PROBE_ACTIONS]
    proposals = torch.zeros(len(actions), critic.heads.inputs - backbone.hidden_size)
    with torch.no_grad():
        own = score_features(
            backbone, [prompt], [actions], critic.layers, "last", method=critic.config.method
        )
        features = torch.cat([own[0].float().cpu(), proposals], dim=1).to(backbone.device)
        expected = critic.heads.q_values(features).cpu()  # (K, n)
        if join_heads:
            expected = expected.mean(dim=0, keepdim=True)
    sequences = [[*prompt, *action] for action in actions]
    rows = chosen.read(folder, getattr(torch, backbone.config.dtype), sequences)
    error = float((readout.values(rows, proposals) - expected).abs().max())
    if not error <= TOLERANCE[backbone.config.dtype] * max(1.0, float(expected.abs().max())):
        raise CheckpointError(
            f"the written model gives other values than the critic (by {error:.2g} on the probe): its classification "
            "or its last hidden state is not what the heads were trained on. Try the other format, or report "
            f"the architecture {type(backbone.model).__name__}."
        )
    return {f"ids_{i}": torch.tensor(ids) for i, ids in enumerate(sequences)} | {"rows": rows}, error


def _client(critic: QCritic, chosen: ExportFormat, readout: Readout, name: str) -> dict[str, Any]:
    """The client's config.json."""
    backbone, config = critic.backbone, critic.config
    return {
        "type": REMOTE,
        "format": FORMAT,
        "export": name,
        "task": chosen.TASK,
        "readout": readout.content(),
        "critic": {
            "aggregation": config.aggregation,
            "pessimism": config.pessimism,
            "grounding": config.grounding,
            "proposal": config.proposal,
            "fingerprint": critic.fingerprint,
            "training": dict(config.training),
        },
        "backbone": {
            "name": backbone.config.name,
            "dtype": backbone.config.dtype,
            "max_length": backbone.max_length,
            "template_fingerprint": backbone.template_fingerprint,
        },
        "versions": package_versions(),
    }


def _card(folder: str, critic: QCritic, name: str, chosen: ExportFormat) -> str:
    return f"""---
library_name: transformers
tags: [agentq, q-value, agents]
---
# {folder}

A critic of AgentQ on `{critic.backbone.config.name}`, exported as {name}. It values candidate actions of an agent.

```console
{serve_command(folder, critic, chosen)}
agentq eval ... --critic {folder}@http://HOST:8000
```

`client/` is all that scoring through the server needs: copy it to where the agent runs. Token ids are made there;
the server must see them unchanged.
"""
