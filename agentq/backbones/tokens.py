"""From messages and actions to token ids: all that scoring needs to know of a backbone besides its weights."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from functools import cached_property
from typing import Any

from agentq.errors import BackboneError
from agentq.types import Messages

_PROMPT_CACHE_SIZE = 4096


class ChatTokenizer:
    """A Hugging Face tokenizer with its chat template; ``name`` is what errors call the model."""

    def __init__(self, tokenizer: Any, name: str) -> None:
        self.tokenizer = tokenizer
        self.name = name
        self._prompt_cache: OrderedDict[str, list[int]] = OrderedDict()

    @property
    def pad_id(self) -> int:
        """Token id used to fill ragged batches."""
        for token_id in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0):
            if token_id is not None:
                return int(token_id)
        raise AssertionError("unreachable")

    @property
    def end_id(self) -> int:
        """Token id that ends an assistant turn."""
        end = self.tokenizer.eos_token_id
        if end is None:
            raise BackboneError(
                f"tokenizer of {self.name!r} has no end-of-sequence token, so an action has no end. "
                "Set tokenizer.eos_token to the template's end-of-turn token and save it again."
            )
        return int(end)

    @cached_property
    def template_fingerprint(self) -> str:
        """SHA-256 over chat template, special tokens and vocabulary: what turns messages into ids."""
        vocabulary = sorted(self.tokenizer.get_vocab().items(), key=lambda item: item[1])
        content = {
            "template": self.tokenizer.chat_template,
            "special": {k: str(v) for k, v in self.tokenizer.special_tokens_map.items()},
            "vocabulary": vocabulary,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def prompt_ids(self, messages: Messages) -> list[int]:
        """Token ids of the state: chat template with the assistant's turn opened.

        Raises ``BackboneError`` for image parts or a tokenizer without a chat template.
        """
        key = json.dumps([dict(message) for message in messages], sort_keys=True)
        cached = self._prompt_cache.get(key)
        if cached is not None:
            self._prompt_cache.move_to_end(key)
            return cached
        self._check_text(messages)
        if not self.tokenizer.chat_template:
            raise BackboneError(
                f"tokenizer of {self.name!r} has no chat template. Use an instruction-tuned model, "
                "or set tokenizer.chat_template and save it beside the weights."
            )
        ids: list[int] = self.tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
        )
        self._prompt_cache[key] = ids
        if len(self._prompt_cache) > _PROMPT_CACHE_SIZE:
            self._prompt_cache.popitem(last=False)
        return ids

    def action_ids(self, text: str) -> list[int]:
        """Token ids of an assistant reply, its end-of-turn token included."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [*ids, self.end_id]

    def decode(self, ids: list[int]) -> str:
        """Text of sampled ids without special tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def _check_text(self, messages: Messages) -> None:
        for position, message in enumerate(messages):
            if not isinstance(message.get("content"), str):
                raise BackboneError(
                    f"message {position} ({message.get('role')!r}) holds "
                    f"{type(message.get('content')).__name__} content, but {self.name!r} was loaded "
                    "as a text model. Render the observation as text."
                )
