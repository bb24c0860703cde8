"""Load a backbone from the hub, a folder, or the model shipped with AgentQ."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from agentq.backbones.backbone import Backbone
from agentq.backbones.config import BackboneConfig, LoraSettings
from agentq.backbones.weight_files import files_digest, weight_files
from agentq.errors import BackboneError, MissingExtraError


def load_backbone(config: BackboneConfig) -> Backbone:
    """Load model and tokenizer; adapters of ``config.lora`` are attached and trainable, the rest frozen.

    Raises ``BackboneError`` when the model cannot be loaded, ``MissingExtraError`` without bitsandbytes
    for 8bit/4bit.
    """
    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

    path = resolve_name(config.name)
    loader: Any = AutoModelForCausalLM if config.kind == "causal" else AutoModel
    options: dict[str, Any] = {
        "dtype": getattr(torch, config.dtype),
        "revision": config.revision,
        "trust_remote_code": config.trust_remote_code,
        **_quantization_options(config),
    }
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            path, revision=config.revision, trust_remote_code=config.trust_remote_code
        )
        model = loader.from_pretrained(path, **options)
    except (OSError, ValueError) as error:
        raise BackboneError(
            f"could not load backbone {config.name!r} as {config.kind}: {error}. Expected a model folder "
            "with config.json, or a hub name and a network; `embedded` is always available."
        ) from error
    if config.quantization == "none":
        model = model.to(_device(config.device))
    model.eval()
    files = weight_files(path, config.revision) if config.quantization != "none" else []
    backbone = Backbone(model, tokenizer, config, files_digest(files) if files else None)
    if config.lora is not None:
        _ = backbone.fingerprint  # of the base weights, before adapters are attached
        backbone.model = attach_lora(model, config.lora, quantized=config.quantization != "none")
    else:
        model.requires_grad_(False)
    return backbone


def resolve_name(name: str) -> str:
    """A folder for a bundled model name (entry-point group ``agentq.models``), else ``name`` itself."""
    for entry in entry_points(group="agentq.models"):
        if entry.name == name:
            return str(entry.load()())
    if name.startswith(("/", "./", "../", "~")):
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise BackboneError(
                f"backbone folder {name!r} does not exist. Expected a folder with config.json and weights."
            )
        return str(folder)
    return name


def attach_lora(model: Any, settings: LoraSettings, quantized: bool = False) -> Any:
    """Wrap ``model`` with trainable low-rank adapters; everything else is frozen."""
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if quantized:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    targets: str | list[str] = settings.target_modules
    if targets != "all-linear":
        targets = [part.strip() for part in settings.target_modules.split(",") if part.strip()]
    config = LoraConfig(
        r=settings.r, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=targets
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return get_peft_model(model, config)


def _quantization_options(config: BackboneConfig) -> dict[str, Any]:
    if config.quantization == "none":
        return {}
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError(
            f"quantization={config.quantization!r} needs bitsandbytes, which is not installed. "
            'Run: pip install "agentq[train]"'
        )
    from transformers import BitsAndBytesConfig

    compute = getattr(torch, config.dtype)
    if config.quantization == "8bit":
        settings = BitsAndBytesConfig(load_in_8bit=True)
    else:
        settings = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute
        )
    return {"quantization_config": settings, "device_map": str(_device(config.device))}


def _device(device: str) -> torch.device:
    if device != "auto":
        return torch.device(device)
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator if accelerator is not None else torch.device("cpu")
