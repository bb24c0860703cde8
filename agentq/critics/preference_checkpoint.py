"""A preference critic as a folder: config.json, adapter/ (LoRA), backbone/ (optional), README.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentq.critics.checkpoint import (
    ADAPTER,
    CARD,
    CONFIG,
    FORMAT,
    adapter_of,
    check_backbone,
    describe_backbone,
    local_folder,
    read_config,
    stored_backbone,
    whole_folder,
    with_adapter,
    write_common,
)
from agentq.errors import CheckpointError, ConfigError
from agentq.provenance import package_versions

if TYPE_CHECKING:
    from agentq.backbones.backbone import Backbone
    from agentq.critics.preference import PreferenceCritic

KIND = "agentq.PreferenceCritic"


def save_preference(critic: PreferenceCritic, folder: Path, save_backbone: bool) -> Path:
    """Write the folder; it appears complete or not at all."""
    with whole_folder(folder) as aside:
        content = describe_preference(critic, adapter_of(critic.backbone) is not None, save_backbone)
        write_common(aside, content, critic.backbone, save_backbone)
        (aside / CARD).write_text(_card(folder.name, content))
    return folder


def load_preference(
    cls: type[PreferenceCritic],
    source: str | Path,
    backbone: Backbone | None,
    reference: Backbone | None,
    device: str,
    revision: str | None,
    trust_grounding: bool,
) -> PreferenceCritic:
    """Read the folder, load or check both models, attach the adapter."""
    from agentq.critics.preference import PreferenceConfig

    folder = local_folder(str(source), revision)
    content = read_config(folder, KIND)
    try:
        config = PreferenceConfig(**content["critic"])
        stored: dict[str, Any] = content["backbone"]
        given = backbone is not None
        backbone = backbone if backbone is not None else stored_backbone(folder, stored, device)
        check_backbone(folder, stored, backbone)
        if stored["adapter"]:
            backbone = with_adapter(backbone, folder / ADAPTER, copied=given)
        other: dict[str, Any] | None = content["reference"]
        if other is not None:
            reference = reference if reference is not None else stored_backbone(folder, other, device)
            check_backbone(folder, other, reference)
        elif reference is not None:
            raise CheckpointError(
                f"critic {folder} has its reference inside (the adapter switched off), but another one was given. "
                "Leave out `reference`."
            )
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / CONFIG} is not a critic of this version: {error!r}.") from error
    try:
        return cls(backbone, reference, config, trust_grounding=trust_grounding)
    except ConfigError as error:
        raise CheckpointError(f"critic {folder}: {error}") from error


def describe_preference(critic: PreferenceCritic, adapter: bool, saved: bool) -> dict[str, Any]:
    """The content of config.json."""
    other = critic.reference
    return {
        "format": FORMAT,
        "type": KIND,
        "critic": asdict(critic.config),
        "backbone": describe_backbone(critic.backbone, adapter, saved),
        "reference": None if other is None else describe_backbone(other, False, False),
        "versions": package_versions(),
    }


def _card(name: str, content: Mapping[str, Any]) -> str:
    backbone, critic, other = content["backbone"], content["critic"], content["reference"]
    training = critic["training"]
    reference = "the same model with the adapter off" if other is None else f"`{other['name']}`"
    return f"""---
library_name: agentq
tags: [agentq, q-value, agents, dpo]
---
# {name}

Values an agent's replies by the log-ratio of a preference-tuned language model (`{backbone["name"]}`) and its reference
({reference}); read-out `{critic["read_out"]}`, beta {critic["beta"]}.

```python
from agentq.critics.loading import load_critic

critic = load_critic("{name}")
q = critic.score([(messages, candidates)])[0]  # higher is better, -inf for candidates that do not parse
```

| | |
|---|---|
| objective | {training.get("objective", {}).get("name", "not recorded")} |
| pairs (SHA-256) | {training.get("data_hash", "not recorded")} |
| backbone weights (SHA-256) | {backbone["fingerprint"]} |
| chat template (SHA-256) | {backbone["template_fingerprint"]} |
| behind a reply | {f"`{critic['grounding']}`" if critic["grounding"] else "nothing"} |
| LoRA adapter | {"yes" if backbone["adapter"] else "no"} |
| backbone included | {"yes" if backbone["saved"] else "no"} |

`config.json` has every setting. The folder holds safetensors and JSON only.
"""
