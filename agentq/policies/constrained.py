"""Which tokens may come next when only admissible actions may be sampled.

The admissible actions of a state form a trie over their token ids, spelt as in training
(``Backbone.action_ids``), so sampling from the model's probabilities renormalised over a node's children
can only produce admissible actions, and always in the spelling the model was trained on. An action with
a free-text slot, such as ``search[<free text>]``, opens the vocabulary behind its literal part until its
closing text is complete. A token may cross that boundary on either side ("[r", "s]"), as it does in
tokenizers that merge brackets with words, and what it holds beyond the boundary is checked by character.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from agentq.errors import CandidateError
from agentq.policies.requests import FREE_TEXT
from agentq.policies.vocabulary import ActionVocabulary, BoolArray, IntArray, SlotVocabulary

_NARROW = 256  # up to so many allowed tokens are listed, more are a mask over the vocabulary
_GRAMMARS_KEPT = 4096


class SlotState(NamedTuple):
    """Inside a slot: how many characters of its closing text are complete."""

    slot: int
    matched: int


class State(NamedTuple):
    """Where a partly sampled action stands: a trie node (-1: off the trie) and open slots."""

    node: int
    slots: tuple[SlotState, ...] = ()


END = State(-2)  # the action is complete, its end-of-turn token included
FREE = State(-3)  # unrestricted text


@dataclass(frozen=True, slots=True)
class Allowed:
    """The tokens that may come next: listed in ascending order, or as a mask; both None: all."""

    ids: IntArray | None = None  # (K,)
    mask: BoolArray | None = None  # (V,)

    @property
    def only(self) -> int | None:
        """The single allowed token, if there is just one."""
        return int(self.ids[0]) if self.ids is not None and len(self.ids) == 1 else None


@dataclass(frozen=True, slots=True)
class Follow:
    """What a sampled token leads to: further tokens without a choice, then a state."""

    forced: tuple[int, ...]
    state: State


class FreeGrammar:
    """Any text up to an end-of-turn token."""

    longest = 0
    opening = 0
    start = FREE

    def __init__(self, ends: frozenset[int], size: int) -> None:
        self.ends = ends
        # Models often have more output rows than the tokenizer has tokens.
        self._allowed = Allowed(mask=np.ones(size, dtype=np.bool_))

    def allowed(self, state: State) -> Allowed:
        """Every token of the tokenizer."""
        return self._allowed

    def follow(self, state: State, token: int) -> Follow:
        """Goes on until an end token."""
        return Follow((), END if token in self.ends else FREE)

    def begin(self) -> Follow:
        """Nothing is forced."""
        return Follow((), FREE)

    def literal(self, ids: tuple[int, ...]) -> str | None:
        """No text is known beforehand."""
        return None


@dataclass(frozen=True, slots=True)
class _Slot:
    free: SlotVocabulary
    first: IntArray  # (V,) characters matched after a token that opens the slot, -1: not allowed
    healed: IntArray  # (V,) the same for a token that also spells the end of the literal part


class ActionGrammar:
    """The admissible actions of one state as a token automaton."""

    def __init__(self, actions: Sequence[str], vocabulary: ActionVocabulary) -> None:
        self._vocabulary = vocabulary
        self._children: list[dict[int, int]] = [{}]
        self._opens: dict[int, list[int]] = {}  # node -> slots whose free text starts here
        self._heals: dict[int, list[int]] = {}  # node -> slots whose last literal token comes next
        self._slots: list[_Slot] = []
        self.opening = 0  # tokens of the longest literal part before free text
        self._texts: dict[tuple[int, ...], str] = {}
        self._ends: set[int] = set()
        self._allowed: dict[State, Allowed] = {}
        self._follow: dict[tuple[State, int], Follow] = {}
        literals = [action for action in dict.fromkeys(actions) if FREE_TEXT not in action]
        for action, ids in zip(literals, vocabulary.action_ids(literals), strict=True):
            self._texts[ids] = action
            self._ends.add(self._insert(ids))
        for action in dict.fromkeys(actions):
            if FREE_TEXT in action:
                self._add_slot(action)
        self.longest = max((len(ids) for ids in self._texts), default=0)  # tokens of an action
        self.start = State(0)

    def literal(self, ids: tuple[int, ...]) -> str | None:
        """The admissible action that ``ids`` spell, None for one with sampled text."""
        return self._texts.get(ids)

    def begin(self) -> Follow:
        """Tokens that every admissible action starts with, and the first state with a choice."""
        return self._run(self.start)

    def allowed(self, state: State) -> Allowed:
        """The tokens that may come next; never empty before the end."""
        found = self._allowed.get(state)
        if found is None:
            found = self._allowed[state] = self._find_allowed(state)
        return found

    def follow(self, state: State, token: int) -> Follow:
        """The state after ``token`` and after every token behind it that leaves no choice."""
        found = self._follow.get((state, token))
        if found is None:
            found = self._follow[state, token] = self._run(self._advance(state, token))
        return found

    def _run(self, state: State) -> Follow:
        forced: list[int] = []
        while state != END:
            token = self.allowed(state).only
            if token is None:
                break
            forced.append(token)
            state = self._advance(state, token)
        return Follow(tuple(forced), state)

    def _insert(self, ids: Sequence[int]) -> int:
        node = 0
        for token in ids:
            child = self._children[node].get(token)
            if child is None:
                child = self._children[node][token] = len(self._children)
                self._children.append({})
            node = child
        return node

    def _add_slot(self, action: str) -> None:
        prefix, _, closing = action.partition(FREE_TEXT)
        if FREE_TEXT in closing:
            raise CandidateError(
                f"admissible action {action!r} holds {FREE_TEXT!r} twice; one slot per action is supported. "
                "Offer it as two actions, or parse the second part out of the first."
            )
        free = self._vocabulary.slot(closing)
        ids = self._vocabulary.action_ids([prefix])[0][:-1] if prefix else ()
        self.opening = max(self.opening, len(ids))
        node = self._insert(ids)
        self._opens.setdefault(node, []).append(len(self._slots))
        if ids:
            self._heals.setdefault(self._insert(ids[:-1]), []).append(len(self._slots))
        healed = free.after(self._vocabulary.texts[ids[-1]]) if ids else free.none
        self._slots.append(_Slot(free, free.after(""), healed))

    def _find_allowed(self, state: State) -> Allowed:
        tokens: set[int] = set()
        masks: list[BoolArray] = []
        if state.node >= 0:
            tokens.update(self._children[state.node])
            masks += [self._slots[i].first >= 0 for i in self._opens.get(state.node, ())]
            masks += [self._slots[i].healed >= 0 for i in self._heals.get(state.node, ())]
        for index, matched in state.slots:
            free = self._slots[index].free
            if matched == len(free.closing):
                tokens.add(self._vocabulary.end)
            if not free.complete(matched):
                masks.append(free.moves[matched] >= 0)
        if masks:
            mask = np.logical_or.reduce(masks)
            if int(mask.sum()) + len(tokens) > _NARROW:
                mask[list(tokens)] = True
                return Allowed(mask=mask)
            tokens.update(np.flatnonzero(mask).tolist())
        return Allowed(ids=np.array(sorted(tokens), dtype=np.int64))

    def _advance(self, state: State, token: int) -> State:
        node, slots = -1, list[SlotState]()
        if state.node >= 0:
            node = self._children[state.node].get(token, -1)
            if node in self._ends:
                return END
            opened = [(i, self._slots[i].first) for i in self._opens.get(state.node, ())]
            opened += [(i, self._slots[i].healed) for i in self._heals.get(state.node, ())]
            slots += [SlotState(i, int(moves[token])) for i, moves in opened if moves[token] >= 0]
        for index, matched in state.slots:
            free = self._slots[index].free
            if matched == len(free.closing) and token == self._vocabulary.end:
                return END
            if not free.complete(matched) and free.moves[matched][token] >= 0:
                slots.append(SlotState(index, int(free.moves[matched][token])))
        return State(node, tuple(dict.fromkeys(slots)))


Grammar: TypeAlias = ActionGrammar | FreeGrammar


class Grammars:
    """The automata of recent lists of admissible actions, each built once."""

    def __init__(self, vocabulary: ActionVocabulary) -> None:
        self._vocabulary = vocabulary
        self._kept: OrderedDict[tuple[str, ...], ActionGrammar] = OrderedDict()

    def of(self, actions: Sequence[str]) -> ActionGrammar:
        """The automaton of one state's admissible actions."""
        key = tuple(actions)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = ActionGrammar(key, self._vocabulary)
            if len(self._kept) > _GRAMMARS_KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found
