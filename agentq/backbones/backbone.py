"""A loaded language model with everything that ties features and heads to it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agentq.backbones.config import BackboneConfig, Dtype, Kind
from agentq.backbones.tokens import ChatTokenizer


class Backbone(ChatTokenizer):
    """A Hugging Face model, its tokenizer, and the fingerprints that identify both.

    ``kind`` is "causal" (AutoModelForCausalLM: states are chat prompts, an action continues them)
    or "encoder" (AutoModel: state and action are encoded apart).
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any, config: BackboneConfig, files: str | None = None
    ) -> None:
        """``files`` identifies the weights where they are in 4 or 8 bits, see ``agentq.backbones.weight_files``."""
        super().__init__(tokenizer, config.name)
        self.model = model
        self.config = config
        self._files = files
        self._hashed: tuple[int, str] | None = None  # state of the weights, and their hash

    def with_model(self, model: nn.Module) -> Backbone:
        """This base inside ``model``, e.g. with an adapter: its base weights and so its fingerprint are the same."""
        return Backbone(model, self.tokenizer, self.config, self._files)

    @property
    def kind(self) -> Kind:
        """Whether states and actions are one sequence ("causal") or two ("encoder")."""
        return self.config.kind

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.model.parameters()).device

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return int(self._text_config.hidden_size)

    @property
    def num_layers(self) -> int:
        """Number of transformer layers; hidden states are numbered 0 (embeddings) to this."""
        return int(self._text_config.num_hidden_layers)

    @property
    def max_length(self) -> int:
        """Longest sequence in tokens that the positions cover."""
        return int(getattr(self._text_config, "max_position_embeddings", 1 << 30))

    @property
    def _text_config(self) -> Any:
        config: Any = self.model.config
        get_text_config = getattr(config, "get_text_config", None)
        return get_text_config() if callable(get_text_config) else config

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the base weights (adapters left out) and the architecture, 64 hex digits.

        Weights in 4 or 8 bits cannot be trained, and every device rounds them its own way: there the files that they
        were made of count.
        One pass over all weights, repeated only when they have changed in place.
        """
        state = self.weights_state()
        if self._hashed is None or self._hashed[0] != state:
            self._hashed = state, self.hash_weights()
        return self._hashed[1]

    def weights_state(self, adapters: bool = False) -> int:
        """A number that changes when a weight is replaced or written to: cheap, for caches to ask.

        Adapters count on request. torch counts most writes in ``_version``; fused optimisers, which change
        nearly every element, go past it, so 64 elements of each tensor are looked at too.
        """
        named = [(n, p.detach()) for n, p in self.model.named_parameters() if adapters or "lora_" not in n]
        probes = [p.flatten()[:: max(1, p.numel() // 64)][:64].double().sum() for _, p in named]
        sums = torch.stack([probe.to(self.device) for probe in probes]).tolist() if probes else []
        counts = [(p.data_ptr(), p._version) for _, p in named]
        return hash((tuple(counts), tuple(sums)))

    def hash_weights(self) -> str:
        """``fingerprint`` computed anew; also sees writes that went past torch's count (``tensor.data``)."""
        digest = hashlib.sha256()
        config = {k: v for k, v in self._text_config.to_dict().items() if not k.startswith("_")}
        for volatile in (
            "architectures",
            "transformers_version",
            "dtype",
            "torch_dtype",
            "use_cache",
            "name_or_path",
        ):
            config.pop(volatile, None)
        digest.update(json.dumps(config, sort_keys=True, default=str).encode())
        if self._files is not None:
            digest.update(f"{self.config.quantization} {self._files}".encode())
            return digest.hexdigest()
        tensors = {
            name.replace("base_model.model.", "").replace(".base_layer.", "."): tensor
            for name, tensor in self.model.state_dict().items()
            if "lora_" not in name
        }
        for name in sorted(tensors):
            tensor = tensors[name].detach().to("cpu").contiguous()
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def save_pretrained(self, folder: str | Path, dtype: Dtype | None = None) -> None:
        """Write weights (adapters merged into them, which ends their training) and tokenizer as a model folder.

        With ``dtype`` the files hold that type, and the weights here are rounded to it: what is measured next is
        what was written.
        """
        model: Any = self.model
        if self.config.lora is not None:
            model = model.merge_and_unload()
        if dtype is None:
            model.save_pretrained(folder)
        else:
            computing = next(model.parameters()).dtype
            model.to(getattr(torch, dtype)).save_pretrained(folder)
            model.to(computing)
        self.tokenizer.save_pretrained(folder)
