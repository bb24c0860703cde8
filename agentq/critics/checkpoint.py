"""A critic as a folder: config.json, heads.safetensors, adapter/ (LoRA), backbone/ (optional), README.md.

support.safetensors is there where the critic says how far candidates are from its log.

A head belongs to one set of backbone weights and one chat template; both are stored as fingerprints and
compared on loading, since a head on other features gives plausible nonsense without any error.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from agentq.backbones.backbone import Backbone
from agentq.backbones.config import BackboneConfig
from agentq.backbones.loading import load_backbone
from agentq.critics.heads import HeadSettings, QHeads
from agentq.critics.loading import CONFIG
from agentq.critics.loading import read_config as read_any_config
from agentq.critics.support import SupportIndex
from agentq.errors import BackboneError, CheckpointError, ConfigError, CriticError
from agentq.provenance import package_versions

if TYPE_CHECKING:
    from agentq.critics.q_head import FeatureFunction, QCritic


class SavedCritic(Protocol):
    """A critic that can be written as a folder."""

    def save_pretrained(self, folder: str | Path, save_backbone: bool = False) -> Path:
        """Write the folder and return it."""
        ...


FORMAT = 1
TYPE = "agentq.QCritic"
_SUPPORT_ARRAYS = ("keys", "pair_mean", "state_mean")
_SUPPORT_NUMBERS = ("beta", "radius", "quantile", "held_out")
HEADS, SUPPORT, ADAPTER, BACKBONE, CARD = (
    "heads.safetensors",
    "support.safetensors",
    "adapter",
    "backbone",
    "README.md",
)


def save_critic(critic: QCritic, folder: Path, save_backbone: bool) -> Path:
    """Write the folder; it appears complete or not at all."""
    with whole_folder(folder) as aside:
        content = describe(critic, adapter_of(critic.backbone) is not None, save_backbone)
        tensors = {name: t.detach().cpu().contiguous() for name, t in critic.heads.state_dict().items()}
        save_file(tensors, aside / HEADS)
        if critic.support is not None:
            arrays = {name: getattr(critic.support, name) for name in _SUPPORT_ARRAYS}
            save_file({name: torch.from_numpy(array) for name, array in arrays.items()}, aside / SUPPORT)
        write_common(aside, content, critic.backbone, save_backbone)
        (aside / CARD).write_text(_card(folder.name, content))
    return folder


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into that takes the place of ``folder`` at the end, or leaves no trace."""
    aside = folder.with_name(f".{folder.name}.writing")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        yield aside
        replace_folder(aside, folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise CheckpointError(
            f"critic could not be written to {folder}: {error}. Check space and permissions."
        ) from error


def write_common(folder: Path, content: Mapping[str, Any], backbone: Backbone, save_backbone: bool) -> None:
    """config.json, the adapter where there is one, and on request the backbone."""
    (folder / CONFIG).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    adapter = adapter_of(backbone)
    if adapter is not None:
        adapter.save_pretrained(str(folder / ADAPTER), safe_serialization=True)
        (folder / ADAPTER / CARD).unlink(missing_ok=True)  # peft's template; ours is one level up
    if save_backbone:
        _save_backbone(backbone, folder / BACKBONE)


def load_critic(
    cls: type[QCritic],
    source: str | Path,
    backbone: Backbone | None,
    device: str,
    revision: str | None,
    features: FeatureFunction | None,
    trust_grounding: bool,
) -> QCritic:
    """Read the folder, load or check the backbone, attach the adapter, fill the heads."""
    from agentq.critics.q_head import QCriticConfig

    folder = local_folder(str(source), revision)
    content = read_config(folder)
    try:
        heads = make_heads(content["heads"])
        fields: dict[str, Any] = {**content["critic"], "layers": tuple(content["critic"]["layers"])}
        config = QCriticConfig(**fields)
        stored: dict[str, Any] = content["backbone"]
        if backbone is None:
            backbone = stored_backbone(folder, stored, device)
        check_backbone(folder, stored, backbone)
        if stored["adapter"]:
            backbone = with_adapter(backbone, folder / ADAPTER)
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"{folder / CONFIG} is not a critic of this version: {error!r}.") from error
    fill_heads(heads, folder / HEADS)
    support = _support(content.get("support"), folder / SUPPORT)
    try:
        return cls(
            backbone,
            heads,
            config,
            features=features,
            trust_grounding=trust_grounding,
            support=support,
        )
    except ConfigError as error:
        raise CheckpointError(f"critic {folder}: {error}") from error


def describe(critic: QCritic, adapter: bool, saved: bool) -> dict[str, Any]:
    """The content of config.json."""
    backbone = critic.backbone
    return {
        "format": FORMAT,
        "type": TYPE,
        "heads": {
            "inputs": critic.heads.inputs,
            "state_inputs": critic.heads.state_inputs,
            "settings": asdict(critic.heads.settings),
        },
        "critic": asdict(critic.config),
        "backbone": describe_backbone(backbone, adapter, saved),
        "support": None
        if critic.support is None
        else {name: getattr(critic.support, name) for name in _SUPPORT_NUMBERS},
        "versions": package_versions(),
    }


def describe_backbone(backbone: Backbone, adapter: bool, saved: bool) -> dict[str, Any]:
    """What a checkpoint says about a backbone: enough to load it again and to refuse another one."""
    return {
        "name": backbone.config.name,
        "kind": backbone.kind,
        "dtype": backbone.config.dtype,
        "quantization": backbone.config.quantization,
        "revision": backbone.config.revision,
        "fingerprint": backbone.fingerprint,
        "template_fingerprint": backbone.template_fingerprint,
        "adapter": adapter,
        "saved": saved,
    }


def read_config(folder: Path, kind: str = TYPE) -> dict[str, Any]:
    """config.json of a critic folder. Raises ``CheckpointError``: missing, broken, newer, something else."""
    content = read_any_config(folder)
    path = folder / CONFIG
    if content["type"] != kind:
        raise CheckpointError(f"{path} describes {content['type']!r}, expected {kind!r}.")
    if content.get("format", 0) > FORMAT:
        raise CheckpointError(
            f"{path} has format {content['format']}, this version reads up to {FORMAT}. Upgrade agentq."
        )
    return content


def check_backbone(folder: Path, stored: Mapping[str, Any], backbone: Backbone) -> None:
    """Raise ``CheckpointError`` unless weights and chat template are those the heads were trained on."""
    if backbone.kind != stored["kind"] or backbone.fingerprint != stored["fingerprint"]:
        raise CheckpointError(
            f"critic {folder} belongs to backbone {stored['name']!r} ({stored['kind']}, {stored['dtype']}, "
            f"quantization {stored['quantization']}) with weights {stored['fingerprint']}, but "
            f"{backbone.config.name!r} "
            f"({backbone.kind}, {backbone.config.dtype}, quantization {backbone.config.quantization}) has "
            f"{backbone.fingerprint}. Load the stored one in the same precision (leave out `backbone`), or train "
            "the heads again on this one."
        )
    if backbone.template_fingerprint != stored["template_fingerprint"]:
        raise CheckpointError(
            f"critic {folder} was trained with chat template {stored['template_fingerprint']}, but the tokenizer of "
            f"{backbone.config.name!r} now has {backbone.template_fingerprint}: the same messages would become "
            "other tokens. Restore the template, or compute features and train the heads again."
        )


def push_critic(critic: SavedCritic, repo: str, private: bool, save_backbone: bool, api: Any) -> str:
    """Upload the critic's folder to the repository ``repo``."""
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    with tempfile.TemporaryDirectory() as scratch:
        folder = critic.save_pretrained(Path(scratch) / repo.rpartition("/")[2], save_backbone)
        api.create_repo(repo, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo, folder_path=str(folder)))


def local_folder(source: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """The folder of a critic; one on the hub is downloaded, data files only, with the model's ``weights`` or not.

    Raises ``CheckpointError`` when there is none.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if source.startswith(("/", ".", "~")) or source.count("/") != 1:
        raise CheckpointError(
            f"critic folder {source} does not exist. Expected a folder, or a hub name like org/name."
        )
    from huggingface_hub import snapshot_download

    unwanted = ["*.py", "*.bin", "*.pkl", "*.pt", *([] if weights else ["model*.safetensors"])]
    try:
        return Path(snapshot_download(source, revision=revision, ignore_patterns=unwanted))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"critic {source!r} is no folder and could not be downloaded: {error}. "
            "Check the spelling, the network and your access to that repository."
        ) from error


def stored_backbone(folder: Path, stored: Mapping[str, Any], device: str) -> Backbone:
    """The backbone that a checkpoint describes, without its adapter. Raises ``CheckpointError``: not to be had."""
    name = str(folder / BACKBONE) if stored["saved"] else stored["name"]
    config = BackboneConfig(
        name=name if not stored["saved"] or Path(name).is_absolute() else f"./{name}",
        kind=stored["kind"],
        dtype=stored["dtype"],
        quantization=stored["quantization"],
        revision=None if stored["saved"] else stored["revision"],
        device=device,
    )
    try:
        return load_backbone(config)
    except BackboneError as error:
        raise CheckpointError(
            f"critic {folder} needs backbone {stored['name']!r} with weights {stored['fingerprint']}: {error} "
            "Pass it as `backbone`, or save the critic with save_backbone=True."
        ) from error


def with_adapter(backbone: Backbone, folder: Path, copied: bool = True) -> Backbone:
    """The backbone with the critic's adapter, as a copy on request: peft changes the model it wraps in place."""
    from peft import PeftModel

    if not (folder / "adapter_model.safetensors").is_file():
        raise CheckpointError(
            f"{folder} has no adapter_model.safetensors. Copy or download the critic again."
        )
    try:
        model: Any = copy.deepcopy(backbone.model) if copied else backbone.model
        wrapped = PeftModel.from_pretrained(model, str(folder)).eval()
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"the adapter in {folder} cannot be loaded: {error}.") from error
    return backbone.with_model(wrapped)


def adapter_of(backbone: Backbone) -> Any:
    """The model as a peft model, or None when no adapter is attached."""
    if "peft" not in sys.modules:  # then nothing can be one; the import costs seconds and loads bitsandbytes
        return None
    from peft import PeftModel

    return backbone.model if isinstance(backbone.model, PeftModel) else None


def _save_backbone(backbone: Backbone, folder: Path) -> None:
    """Weights without adapters, and the tokenizer."""
    model: Any = backbone.model
    adapter = adapter_of(backbone)
    if adapter is not None:
        state = {
            name.removeprefix("base_model.model.").replace(".base_layer.", "."): tensor
            for name, tensor in model.state_dict().items()
            if "lora_" not in name
        }
        adapter.get_base_model().save_pretrained(str(folder), state_dict=state)
    else:
        model.save_pretrained(str(folder))
    backbone.tokenizer.save_pretrained(str(folder))


def make_heads(content: Mapping[str, Any]) -> QHeads:
    """Untrained heads of the shape that a config.json describes."""
    settings: dict[str, Any] = {**content["settings"], "hidden": tuple(content["settings"]["hidden"])}
    return QHeads(content["inputs"], HeadSettings(**settings), content["state_inputs"])


def fill_heads(heads: QHeads, path: Path) -> None:
    """Load the heads' weights. Raises ``CheckpointError`` for a file that is missing, broken or of other heads."""
    try:
        heads.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is missing, broken or of another shape than {CONFIG} says: {error}. Copy or download it again."
        ) from error
    heads.eval().requires_grad_(False)


def _support(numbers: Mapping[str, Any] | None, path: Path) -> SupportIndex | None:
    if numbers is None:  # also in folders of versions that knew no support
        return None
    try:
        arrays = {name: tensor.numpy() for name, tensor in load_file(path).items()}
        return SupportIndex(**arrays, **numbers)
    except (OSError, SafetensorError, TypeError, CriticError) as error:
        raise CheckpointError(
            f"{path} is missing, broken or other than {CONFIG} says: {error}. Copy or download it again."
        ) from error


def replace_folder(aside: Path, folder: Path) -> None:
    """Put the written folder in place of an earlier one."""
    if folder.exists():
        earlier = folder.with_name(f".{folder.name}.earlier")
        shutil.rmtree(earlier, ignore_errors=True)
        os.replace(folder, earlier)
        os.replace(aside, folder)
        shutil.rmtree(earlier, ignore_errors=True)
    else:
        os.replace(aside, folder)


def _card(name: str, content: Mapping[str, Any]) -> str:
    backbone, heads, critic = content["backbone"], content["heads"], content["critic"]
    objective = critic["training"].get("objective", {})
    return f"""---
library_name: agentq
tags: [agentq, q-value, agents]
---
# {name}

Values candidate actions of an agent: {heads["settings"]["heads"]} heads on hidden states of `{backbone["name"]}`
(layers {critic["layers"]}, pooling {critic["pooling"]}), joined by `{critic["aggregation"]}`.

```python
from agentq.critics.q_head import QCritic

critic = QCritic.from_pretrained("{name}")
q = critic.score([(messages, candidates)])[0]  # higher is better, -inf for candidates that do not parse
```

| | |
|---|---|
| objective | {objective.get("name", "not recorded")} |
| training data (SHA-256) | {critic["training"].get("data_hash", "not recorded")} |
| backbone weights (SHA-256) | {backbone["fingerprint"]} |
| chat template (SHA-256) | {backbone["template_fingerprint"]} |
| support index | {"yes" if content["support"] else "no"} |
| LoRA adapter | {"yes" if backbone["adapter"] else "no"} |
| backbone included | {"yes" if backbone["saved"] else "no"} |

`config.json` has every setting. The folder holds safetensors and JSON only.
"""
