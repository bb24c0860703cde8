"""Small language models made from scratch: a word-like tokenizer and a Qwen3 of a few million weights.

They stand in for a real LLM where none can be downloaded: same classes, same files, same code paths.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agentq.backbones.backbone import Backbone
from agentq.backbones.config import BackboneConfig

PAD, USER, ASSISTANT, END = "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"

_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>{% else %}<|user|>{% endif %}"
    "{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# Words with their leading space, digits in threes, every other character alone: a word keeps one
# spelling wherever it stands, which is what lets a small model copy and compare words.
_SPLIT = r"[0-9]{1,3}| ?[^\W\d_]+| ?[^\s\w]| ?_|\s+"


@dataclass(frozen=True, slots=True)
class TinySettings:
    """Shape of a causal LM trained from scratch."""

    vocabulary: int = 3000
    hidden: int = 160
    intermediate: int = 400
    layers: int = 4
    heads: int = 4
    head_dim: int = 64
    max_length: int = 1024  # tokens
    rope_theta: float = 1e6
    copying_heads: bool = False  # start with a circuit that copies, see ``agentq.backbones.copying``
    seed: int = 0


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Byte-level BPE with word-like pieces, special tokens and a chat template; any text round-trips."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=PAD, eos_token=END, additional_special_tokens=[USER, ASSISTANT]
    )
    tokenizer.chat_template = _TEMPLATE
    return tokenizer


def new_backbone(tokenizer: Any, settings: TinySettings) -> Backbone:
    """A randomly initialised Qwen3 for ``tokenizer``, trainable, as a backbone."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from agentq.backbones.copying import build_copying_heads

    torch.manual_seed(settings.seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        intermediate_size=settings.intermediate,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        head_dim=settings.head_dim,
        rope_parameters={"rope_type": "default", "rope_theta": settings.rope_theta},
        max_position_embeddings=settings.max_length,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    model = Qwen3ForCausalLM(config)
    if settings.copying_heads:
        build_copying_heads(model, settings.seed)
    return Backbone(model, tokenizer, BackboneConfig(name="tiny", kind="causal"))
