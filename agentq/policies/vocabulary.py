"""What the tokens of a backbone spell: ids of actions, and moves through free text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agentq.backbones.backbone import Backbone

_ACTION_IDS_KEPT = 65536

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class SlotVocabulary:
    """How every token of a vocabulary moves through free text and its closing text, by character."""

    def __init__(self, closing: str, texts: Sequence[str], usable: BoolArray) -> None:
        self.closing = closing
        self._texts = texts
        self._usable = usable
        self._after: dict[str, IntArray] = {}

    @cached_property
    def none(self) -> IntArray:
        """Allows no token."""
        return np.full(len(self._texts), -1, dtype=np.int64)

    @cached_property
    def moves(self) -> list[IntArray]:
        """moves[m][token]: closing characters complete after the token, from m of them; -1: forbidden."""
        return [self._moves(matched) for matched in range(max(1, len(self.closing)))]

    def complete(self, matched: int) -> bool:
        """Whether only the end of the turn may follow."""
        return bool(self.closing) and matched == len(self.closing)

    def after(self, literal: str) -> IntArray:
        """Moves of tokens that spell ``literal`` and then at least one character of free text."""
        found = self._after.get(literal)
        if found is None:
            found = self.none.copy()
            for token in map(int, np.flatnonzero(self._usable)):
                text = self._texts[token]
                rest = text[len(literal) :]
                if text.startswith(literal) and rest and not (self.closing and rest[0] == self.closing[0]):
                    found[token] = self._walk(rest, 0)
            self._after[literal] = found
        return found

    def _moves(self, matched: int) -> IntArray:
        moves = self.none.copy()
        for token in map(int, np.flatnonzero(self._usable)):
            moves[token] = self._walk(self._texts[token], matched)
        return moves

    def _walk(self, text: str, matched: int) -> int:
        for character in text:
            if matched and (matched == len(self.closing) or character != self.closing[matched]):
                return -1
            if matched or (self.closing and character == self.closing[0]):
                matched += 1
        return matched


class ActionVocabulary:
    """Token ids of actions and texts of tokens for one backbone."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._ids: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._slots: dict[str, SlotVocabulary] = {}
        self.end = backbone.end_id

    @cached_property
    def texts(self) -> list[str]:
        """The text of every token id."""
        tokenizer = self._backbone.tokenizer
        single = [[i] for i in range(len(tokenizer))]
        backend = getattr(tokenizer, "backend_tokenizer", None)  # a hundred times faster in one call
        if backend is not None:
            return [str(text) for text in backend.decode_batch(single, skip_special_tokens=False)]
        return [str(text) for text in tokenizer.batch_decode(single)]

    def decode(self, replies: Sequence[Sequence[int]]) -> list[str]:
        """``Backbone.decode`` of many replies in one call."""
        if not replies:
            return []
        lists = [list(ids) for ids in replies]
        return [str(t) for t in self._backbone.tokenizer.batch_decode(lists, skip_special_tokens=True)]

    @cached_property
    def _usable(self) -> BoolArray:
        usable = np.array([bool(text) and text.splitlines() == [text] for text in self.texts])
        usable[[i for i in self._backbone.tokenizer.all_special_ids if i < len(usable)]] = False
        return usable

    def slot(self, closing: str) -> SlotVocabulary:
        """Moves through free text that ends with ``closing``."""
        if closing not in self._slots:
            self._slots[closing] = SlotVocabulary(closing, self.texts, self._usable)
        return self._slots[closing]

    def action_ids(self, actions: Sequence[str]) -> list[tuple[int, ...]]:
        """``Backbone.action_ids`` of many actions; unknown ones are tokenised in one call."""
        missing = [action for action in actions if action not in self._ids]
        if missing:
            encoded = self._backbone.tokenizer(missing, add_special_tokens=False)["input_ids"]
            for action, ids in zip(missing, encoded, strict=True):
                self._ids[action] = (*ids, self.end)
        result = [self._ids[action] for action in actions]
        while len(self._ids) > _ACTION_IDS_KEPT:
            self._ids.popitem(last=False)
        return result
