"""How a backbone is loaded: name, precision, quantisation, adapters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["causal", "encoder"]
Dtype = Literal["float32", "bfloat16", "float16"]
Quantization = Literal["none", "8bit", "4bit"]


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """Low-rank adapters on the backbone (Hu et al. 2021, arXiv 2106.09685), through peft."""

    r: int = 8  # rank
    alpha: int = 16  # scaling numerator; the update is alpha / r * B A
    dropout: float = 0.0
    target_modules: str = "all-linear"  # peft's spelling; a comma-separated list is accepted
    seed: int = 0  # of the adapters' first weights


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """Which language model stands behind a policy or a critic."""

    name: str = "embedded"  # hub name, folder, or "embedded" for the model shipped with AgentQ
    kind: Kind = "causal"
    dtype: Dtype = "float32"
    quantization: Quantization = "none"  # 8bit and 4bit need the extra `train` (bitsandbytes)
    lora: LoraSettings | None = None
    device: str = "auto"  # auto: the first accelerator, else the CPU
    revision: str | None = None  # hub commit or tag
    trust_remote_code: bool = False
