"""What a critic is trained on: feature matrices, and arrays that say which row belongs to which step."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentq.errors import FeatureError, TrainingError
from agentq.training.rows import Rows
from agentq.training.sources import IndexArray

NumberArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class CriticData:
    """T transitions and M candidate groups over R distinct (state, action) rows and S distinct states.

    A group is one state with up to N candidates: a row -1 fills up, a label NaN means not labelled (labels
    come from snapshot continuations). ``terminated`` is not ``truncated``: a step cut by the step limit has
    ``next_state_rows`` -1 unless its next state was kept, and TD then leaves it out.
    Raises ``TrainingError`` when the arrays do not fit together.
    """

    q_features: Rows  # (R, D)
    q_rows: IndexArray  # (T,) features of the logged (state, action)
    returns: NumberArray  # (T,) discounted return from the step on
    rewards: NumberArray | None = None  # (T,)
    terminated: NDArray[np.bool_] | None = None  # (T,)
    state_features: Rows | None = None  # (S, Ds)
    state_rows: IndexArray | None = None  # (T,)
    next_state_rows: IndexArray | None = None  # (T,) -1: unknown, or after the end
    tasks: Sequence[str] | None = None  # (T,) the validation split never cuts a task
    group_rows: IndexArray | None = None  # (M, N) rows of q_features
    group_labels: NumberArray | None = None  # (M, N)
    group_logged: IndexArray | None = None  # (M,) column of the logged action, -1: none
    group_tasks: Sequence[str] | None = None  # (M,)
    next_steps: IndexArray | None = None  # (T,) transition that followed in the episode, -1: none
    next_groups: IndexArray | None = None  # (T,) group of the next state's candidates, -1: none
    group_log_probs: NumberArray | None = None  # (M, N) of the policy, nats; NaN: unknown

    def __post_init__(self) -> None:
        count = len(self.q_rows)
        per_step = ("returns", "rewards", "terminated", "state_rows", "next_state_rows", "tasks")
        for name in (*per_step, "next_steps", "next_groups"):
            value = getattr(self, name)
            if value is not None and len(value) != count:
                raise TrainingError(f"{name} has {len(value)} entries for {count} transitions (q_rows).")
        for name in ("group_labels", "group_logged", "group_tasks", "group_log_probs"):
            value = getattr(self, name)
            if value is not None and len(value) != self.groups:
                raise TrainingError(f"{name} has {len(value)} entries for {self.groups} groups (group_rows).")
        for name in ("group_labels", "group_log_probs"):
            value = getattr(self, name)
            if value is not None and self.group_rows is not None and value.shape != self.group_rows.shape:
                raise TrainingError(
                    f"{name} is {value.shape}, group_rows {self.group_rows.shape}; expected the same (M, N)."
                )
        _check_rows("q_rows", self.q_rows, self.q_features, 0)
        _check_rows("group_rows", self.group_rows, self.q_features, -1)
        _check_rows("state_rows", self.state_rows, self.state_features, 0)
        _check_rows("next_state_rows", self.next_state_rows, self.state_features, -1)
        _check_numbers("next_steps", self.next_steps, count, "transitions", -1)
        _check_numbers("next_groups", self.next_groups, self.groups, "groups", -1)
        for name in ("returns", "rewards"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value).all():
                bad = int(np.flatnonzero(~np.isfinite(value))[0])
                raise TrainingError(f"{name}[{bad}] is {value[bad]}. Expected a finite number in every step.")

    @property
    def transitions(self) -> int:
        """T."""
        return len(self.q_rows)

    @property
    def groups(self) -> int:
        """M."""
        return 0 if self.group_rows is None else len(self.group_rows)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all index and target arrays and some of the rows they name: the data's identity.

        Rows that a store holds besides are not part of it.
        """
        digest = hashlib.sha256()
        for name in sorted(self.__dataclass_fields__):
            value = getattr(self, name)
            digest.update(name.encode())
            if value is None:
                continue
            if name.endswith("_features"):
                digest.update(f"{int(value.shape[1])} {value.dtype}".encode())
                used = self._used_rows(name)
                sample = used[np.linspace(0, len(used) - 1, min(64, len(used))).astype(np.int64)]
                digest.update(np.ascontiguousarray(value[sample]).tobytes())
            elif name.endswith("tasks"):
                digest.update("\x00".join(map(str, value)).encode())
            else:
                digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    def _used_rows(self, features: str) -> IndexArray:
        """Distinct rows of a feature matrix that an index array names, ascending."""
        names = ("q_rows", "group_rows") if features == "q_features" else ("state_rows", "next_state_rows")
        rows = [
            np.asarray(getattr(self, name)).reshape(-1) for name in names if getattr(self, name) is not None
        ]
        used = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *rows]))
        return used[used >= 0]

    def split(self, share: float, seed: int) -> tuple[Split, Split]:
        """Training and validation parts; a task is in one of them only.

        Raises ``TrainingError`` without tasks, or when a part would be empty.
        """
        everything = Split(np.arange(self.transitions), np.arange(self.groups))
        if share == 0:
            return everything, Split(np.arange(0), np.arange(0))
        if self.tasks is None or (self.groups and self.group_tasks is None):
            raise TrainingError(
                f"validation_share={share} needs the tasks of steps and groups (tasks, group_tasks)."
            )
        held, group_held = held_out(self.tasks, share, seed), held_out(self.group_tasks or (), share, seed)
        parts = [
            Split(np.flatnonzero(held == side), np.flatnonzero(group_held == side)) for side in (False, True)
        ]
        for part, word in zip(parts, ("training", "validation"), strict=True):
            if not len(part.transitions):
                raise TrainingError(
                    f"the {word} part of the split is empty: {len(set(self.tasks))} tasks, "
                    f"validation_share={share}. Collect more tasks or change the share."
                )
        return parts[0], parts[1]


@dataclass(frozen=True, slots=True)
class Split:
    """A part of the data: numbers of transitions and of groups."""

    transitions: IndexArray
    groups: IndexArray


@dataclass(frozen=True, slots=True)
class HeadBatch:
    """Features and targets of B transitions and G candidate groups, float32.

    With windows of steps (dqc) ``rewards`` is their discounted sum, and ``terminated`` and ``next_states`` are
    those of the window's last step.
    """

    q: Tensor  # (B, D)
    returns: Tensor  # (B,)
    rewards: Tensor | None = None  # (B,)
    terminated: Tensor | None = None  # (B,) 1: the episode ended here
    states: Tensor | None = None  # (B, Ds)
    next_states: Tensor | None = None  # (B, Ds) zeros where there is none
    candidates: Tensor | None = None  # (G, N, D)
    present: Tensor | None = None  # (G, N) bool
    labels: Tensor | None = None  # (G, N) NaN: not labelled
    logged: Tensor | None = None  # (G,) column of the logged action, -1: none
    next_q: Tensor | None = None  # (B, N, D) candidates of the next state (rover); the executed one (sarsa)
    next_present: Tensor | None = None  # (B, N) bool
    next_log_probs: Tensor | None = None  # (B, N) of the policy, nats (rover, backup "expected")
    chunks: Tensor | None = None  # (B, h, D) logged steps of the window, its last one repeated (dqc)
    horizons: Tensor | None = None  # (B,) int64, steps of the window

    def to(self, device: torch.device) -> HeadBatch:
        """The same batch on another device."""
        moved: dict[str, Any] = {}
        for name in self.__slots__:
            value: Tensor | None = getattr(self, name)
            moved[name] = None if value is None else value.to(device, non_blocking=True)
        return HeadBatch(**moved)


def _check_rows(name: str, rows: IndexArray | None, features: Rows | None, least: int) -> None:
    if rows is not None and np.size(rows) and features is None:
        raise TrainingError(f"{name} is given without the features it counts in.")
    _check_numbers(name, rows, 0 if features is None else features.shape[0], "feature rows", least)


def _check_numbers(name: str, numbers: IndexArray | None, size: int, what: str, least: int) -> None:
    if numbers is None or np.size(numbers) == 0:
        return
    low, high = int(np.min(numbers)), int(np.max(numbers))
    if low < least or high >= size:
        raise TrainingError(
            f"{name} reaches from {low} to {high}, but there are {size} {what} (smallest allowed: {least})."
        )


def check_finite(features: NDArray[Any], rows: IndexArray, what: str) -> None:
    """Raise ``FeatureError`` naming the first row with NaN or infinity."""
    if features.dtype == np.float16:
        # An exponent of all ones is NaN or infinity; integers are compared many at a time, halves are not.
        clean = not ((features.view(np.uint16) & 0x7C00) == 0x7C00).any()
    else:  # a sum is finite only if all elements are (or it overflows, which the exact look then clears)
        clean = bool(np.isfinite(features.sum(dtype=np.float64)))
    if clean:
        return
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise FeatureError(
            f"row {int(rows[bad[0]])} of the {what} is not finite ({len(bad)} of {len(rows)} rows read). "
            "Compute these features again; with float16 try float32 or bfloat16 backbones."
        )


def held_out(tasks: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Whether each entry belongs to a held-out task: by hash, so that more data moves no task."""
    verdict: dict[str, bool] = {}
    for task in tasks:
        name = str(task)
        if name not in verdict:
            digest = hashlib.blake2b(f"{seed}\x00{name}".encode(), digest_size=8).digest()
            verdict[name] = int.from_bytes(digest, "big") < share * 2**64
    return np.array([verdict[str(task)] for task in tasks], dtype=bool)
