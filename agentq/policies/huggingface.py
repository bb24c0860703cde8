"""A policy that samples candidate actions from a transformers model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from agentq.backbones.backbone import Backbone
from agentq.errors import CandidateError, ConfigError
from agentq.policies.constrained import FreeGrammar, Grammar, Grammars
from agentq.policies.engines import Engine, RecomputeEngine, SharedPrefixEngine
from agentq.policies.parsing import ActionParser, deduplicate
from agentq.policies.replies import Reader
from agentq.policies.requests import check_greedy, check_request
from agentq.policies.sampling import Temper, uniforms
from agentq.policies.trees import Finished, grow, root
from agentq.policies.vocabulary import ActionVocabulary
from agentq.scoring.key_values import PromptKeyValues
from agentq.scoring.prefix_store import PrefixStore
from agentq.scoring.support import require_sharing
from agentq.types import Candidate, FloatArray, Messages

Decoding = Literal["shared", "recompute"]


@dataclass(slots=True)
class PolicyStatistics:
    """What a policy computed since it was made; the counts only grow."""

    states: int = 0
    candidates: int = 0  # samples before deduplication
    computed_tokens: int = 0  # through the model, padding left out
    reused_tokens: int = 0  # of prompts, taken from the prefix cache or from an equal state of the batch
    sampled_tokens: int = 0  # in all samples, forced and shared ones included
    forwards: int = 0
    seconds: float = 0.0  # wall clock inside propose
    drifted: int = 0  # distinct free texts whose tokenisation differs from the sampled ids


@dataclass(frozen=True, slots=True)
class _Row:
    """A distinct (prompt, admissible actions); equal states of a batch share it."""

    prompt: tuple[int, ...]
    grammar: Grammar
    members: list[int]  # global sample numbers: state * n + i


class HuggingFacePolicy:
    """Samples candidates with one pass over each prompt, whatever n is.

    ``temperature`` 0 is greedy decoding and only possible with n = 1. ``top_p`` keeps the nucleus after
    temperature and restriction. ``max_new_tokens`` bounds free text; admissible actions are never cut.
    ``restrict`` samples only admissible actions in states that list them, which may hold one free-text
    slot (``constrained.FREE_TEXT``); ``parser`` reads the action out of free text.
    ``max_batch_tokens`` bounds the padded prompt tokens of one forward pass, ``prefix_cache_bytes`` the
    memory for prompts whose keys and values are reused when a later prompt starts the same way (0: none).
    ``decoding="recompute"`` reads every sequence from its start again: slow, for models that cannot share
    a prompt. Candidates keep their sampled token ids with natural-log probabilities under the restricted
    and tempered distribution (0.0 for tokens without a choice, and for greedy decoding).
    """

    def __init__(
        self,
        backbone: Backbone,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_new_tokens: int = 32,
        restrict: bool = True,
        *,
        parser: ActionParser | None = None,
        max_batch_tokens: int = 4096,
        prefix_cache_bytes: int = 256 << 20,
        decoding: Decoding = "shared",
    ) -> None:
        if max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens={max_new_tokens}; expected at least 1 token for an action.")
        if decoding not in ("shared", "recompute"):
            raise ConfigError(f"decoding={decoding!r} is unknown; expected 'shared' or 'recompute'.")
        self.backbone = backbone
        self.temper = Temper(temperature, top_p)
        self.max_new_tokens = max_new_tokens
        self.restrict = restrict
        self.max_batch_tokens = max_batch_tokens
        self.decoding: Decoding = decoding
        self.statistics = PolicyStatistics()
        vocabulary = ActionVocabulary(backbone)
        self._grammars = Grammars(vocabulary)
        self._reader = Reader(vocabulary, parser, max_new_tokens)
        self._free = FreeGrammar(_end_tokens(backbone), len(backbone.tokenizer))
        self._store = PrefixStore(prefix_cache_bytes)
        self._weights_version: int | None = None

    def propose(
        self,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[list[Candidate]]:
        """As in ``Policy.propose``: candidates in order of first sample, equal actions merged.

        Sample i of a state is the same for every n > i and in any batch, up to the rounding of the
        model's float arithmetic. Raises ``CandidateError`` for a request that cannot be met, and
        ``BackboneError`` for a model that cannot share prompts.
        """
        started = time.perf_counter()
        allowed = check_request(batch, n, seeds, admissible)
        check_greedy(self.temper.temperature, n)
        rows = self._rows(batch, n, allowed)
        numbers = self._uniforms(rows, n, seeds)
        finished: list[list[Finished]] = [[] for _ in rows]
        with torch.no_grad(), _evaluating(self.backbone):
            self._check_weights()
            for group in self._groups(rows):
                self._grow(rows, group, numbers, finished)
        result = self._candidates(rows, finished, len(batch), n)
        self.statistics.states += len(batch)
        self.statistics.candidates += len(batch) * n
        self.statistics.seconds += time.perf_counter() - started
        return result

    def clear_cache(self) -> None:
        """Forget the prompts' keys and values; done by itself when parameters change in place."""
        self._store.clear()

    def _rows(self, batch: Sequence[Messages], n: int, allowed: Sequence[Sequence[str] | None]) -> list[_Row]:
        rows: dict[tuple[tuple[int, ...], int], _Row] = {}
        for position, (messages, actions) in enumerate(zip(batch, allowed, strict=True)):
            prompt = tuple(self.backbone.prompt_ids(messages))
            restricted = self.restrict and actions is not None
            grammar = self._grammars.of(actions) if restricted and actions else self._free
            self._check_length(position, len(prompt), grammar)
            row = rows.setdefault((prompt, id(grammar)), _Row(prompt, grammar, []))
            row.members.extend(range(position * n, position * n + n))
        return list(rows.values())

    def _room(self, grammar: Grammar) -> int:
        """Tokens that a reply may take."""
        return max(grammar.longest, grammar.opening + self.max_new_tokens)

    def _uniforms(self, rows: Sequence[_Row], n: int, seeds: Sequence[int]) -> list[FloatArray]:
        """The streams of all samples; their width depends on the sample's own state alone."""
        numbers: list[FloatArray] = [np.empty(0)] * (len(seeds) * n)
        for row in rows:
            for state in dict.fromkeys(member // n for member in row.members):
                numbers[state * n : state * n + n] = uniforms(seeds[state], n, self._room(row.grammar))
        return numbers

    def _check_length(self, position: int, length: int, grammar: Grammar) -> None:
        room = self._room(grammar)
        if not 1 <= length <= self.backbone.max_length - room:
            raise CandidateError(
                f"state {position}: its prompt has {length} tokens, but the model has "
                f"{self.backbone.max_length} positions and {room} are kept for the action, so 1 to "
                f"{self.backbone.max_length - room} fit. Shorten the observation or the history, or lower "
                "max_new_tokens."
            )

    def _check_weights(self) -> None:
        version = self.backbone.weights_state(adapters=True)
        if version != self._weights_version:
            self._store.clear()
            self._weights_version = version

    def _groups(self, rows: Sequence[_Row]) -> Iterator[list[int]]:
        """Rows of similar length together, at most ``max_batch_tokens`` padded tokens."""
        group: list[int] = []
        for index in sorted(range(len(rows)), key=lambda i: len(rows[i].prompt)):
            if group and (len(group) + 1) * len(rows[index].prompt) > self.max_batch_tokens:
                yield group
                group = []
            group.append(index)
        if group:
            yield group

    def _grow(
        self,
        rows: Sequence[_Row],
        group: Sequence[int],
        numbers: Sequence[FloatArray],
        finished: list[list[Finished]],
    ) -> None:
        """Sample the members of some rows; rows without any choice never reach the model."""
        roots = [root(i, rows[i].prompt[-1], rows[i].grammar.begin(), rows[i].members) for i in group]
        for done in roots:
            if isinstance(done, Finished):
                finished[done.row].append(done)
        nodes = [node for node in roots if not isinstance(node, Finished)]
        if not nodes:
            return
        wanted = [node.row for node in nodes]
        for position, node in enumerate(nodes):
            node.row = position
        engine = self._engine([rows[i] for i in wanted])
        grammars = [rows[i].grammar for i in wanted]
        for done in grow(engine, nodes, grammars, numbers, self.temper, self.max_new_tokens):
            finished[wanted[done.row]].append(done)
        self.statistics.computed_tokens += engine.computed
        self.statistics.forwards += engine.forwards

    def _engine(self, rows: Sequence[_Row]) -> Engine:
        model, prompts = self.backbone.model, [row.prompt for row in rows]
        if self.decoding == "recompute":
            return RecomputeEngine(model, prompts, self.backbone.pad_id)
        longest = max(len(row.prompt) + self._room(row.grammar) for row in rows)
        require_sharing(self.backbone, longest, "decoding='recompute'")
        known: list[PromptKeyValues | None] = [self._store.find(prompt[:-1]) for prompt in prompts]
        engine = SharedPrefixEngine(model, prompts, known)
        for row, (prompt, found) in enumerate(zip(prompts, known, strict=True)):
            length = 0 if found is None else found.keys[0].shape[1]
            self.statistics.reused_tokens += length
            if self._store.budget and length < len(prompt) - 1:
                self._store.put(prompt[:-1], engine.key_values(row))
        return engine

    def _candidates(
        self, rows: Sequence[_Row], finished: list[list[Finished]], states: int, n: int
    ) -> list[list[Candidate]]:
        distinct = {
            (row.grammar, done.path): done.complete
            for row, ends in zip(rows, finished, strict=True)
            for done in ends
        }
        replies = self._reader.read(distinct)
        self.statistics.drifted = self._reader.drifted
        samples: list[list[tuple[int, Candidate]]] = [[] for _ in range(states)]
        for index, row in enumerate(rows):
            for done in finished[index]:
                reply = replies[row.grammar, done.path]
                self.statistics.sampled_tokens += len(done.path) * len(done.members)
                counts: dict[int, list[int]] = {}
                for member in done.members:
                    counts.setdefault(member // n, []).append(member)
                for state, members in counts.items():
                    candidate = Candidate(
                        reply.text, reply.action, reply.error, done.path, done.logprobs, len(members)
                    )
                    samples[state].append((members[0], candidate))
        for state in samples:
            state.sort(key=lambda item: item[0])
        return [deduplicate(candidate for _, candidate in state) for state in samples]


def _end_tokens(backbone: Backbone) -> frozenset[int]:
    generation = getattr(backbone.model, "generation_config", None)
    more = getattr(generation, "eos_token_id", None)
    ids = more if isinstance(more, list) else [more]
    return frozenset({backbone.end_id, *(int(i) for i in ids if i is not None)})


@contextmanager
def _evaluating(backbone: Backbone) -> Iterator[None]:
    """Dropout off, and on again behind, so that proposals do not depend on the training mode."""
    training = backbone.model.training
    backbone.model.eval()
    try:
        yield
    finally:
        backbone.model.train(training)
