"""How far a candidate is from what was logged: the nearest neighbour among logged (state, action) features.

"Policy Regularization with Dataset Constraint for Offline Reinforcement Learning" (PRDC, arXiv 2306.06569): the
key of a step is [beta s ; a] and its distance to a set of logged keys says how far it leaves the data. An action
that was never seen in this state but in similar ones is near. Here s and a are hidden states of the critic's
backbone at the end of the prompt and of the action, centred on the log's mean and of unit length:

    d(s, a) = min_i sqrt(beta^2 |e(s) - e(s_i)|^2 + |e(s, a) - e(s_i, a_i)|^2)

in units of ``radius``, within which a share of held-out logged steps has a neighbour.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentq.errors import CriticError
from agentq.types import FloatArray

Vectors = NDArray[np.floating[Any]]
_BLOCK = 256  # queries of one matrix product


@dataclass(frozen=True)
class Neighbours:
    """One key near each of n queries."""

    index: NDArray[np.int64]  # (n,)
    distance: FloatArray  # (n,) Euclidean


def prdc_keys(states: Vectors, actions: Vectors, beta: float) -> FloatArray:
    """[beta s ; a], (n, Ds + Da), from (n, Ds) and (n, Da)."""
    return np.concatenate([beta * states.astype(np.float64), actions.astype(np.float64)], axis=1)


def nearest(keys: FloatArray, queries: FloatArray, rank: int = 1) -> Neighbours:
    """Exact search by one matrix product for each block of queries, (M, D) and (n, D) -> n neighbours.

    ``rank`` 2 finds the second nearest instead, and so on; PRDC's k is such a rank.

    Memory is 2 KB per key. The distance of the neighbour that is found is computed from the difference, since
    the product loses digits where both are close.
    """
    norms = np.einsum("md,md->m", keys, keys)
    index = np.zeros(len(queries), dtype=np.int64)
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        order = norms - 2 * (block @ keys.T)  # squared distance but for the query's own norm
        index[start : start + len(block)] = (
            np.argmin(order, axis=1) if rank == 1 else np.argpartition(order, rank - 1, axis=1)[:, rank - 1]
        )
    return Neighbours(index, np.linalg.norm(queries - keys[index], axis=1))


@dataclass(frozen=True)
class SupportIndex:
    """Keys of logged steps and the unit of their distances; ``agentq.training.support`` builds it.

    Only features are kept, no text. Raises ``CriticError`` for shapes that do not fit or a radius that is
    not a positive number.
    """

    keys: NDArray[np.float32]  # (M, Ds + D), beta times the state's part in front; Ds = 0: pairs alone
    pair_mean: NDArray[np.float32]  # (D,)
    state_mean: NDArray[np.float32]  # (Ds,)
    beta: float  # weight of the state's part
    radius: float  # distance within which ``quantile`` of held-out logged steps have a neighbour
    quantile: float
    held_out: int  # steps that the radius was measured on

    def __post_init__(self) -> None:
        width = len(self.state_mean) + len(self.pair_mean)
        if self.keys.ndim != 2 or self.keys.shape[1] != width or not len(self.keys):
            raise CriticError(f"support keys are {self.keys.shape}, expected (M, {width}) with M >= 1.")
        if not (np.isfinite(self.radius) and self.radius > 0):
            raise CriticError(f"support radius is {self.radius}, expected a positive number.")

    @property
    def reads_states(self) -> bool:
        """Whether ``distances`` needs features of states besides those of pairs."""
        return len(self.state_mean) > 0

    def distances(self, pairs: Vectors, states: Vectors | None = None) -> FloatArray:
        """(n,) in radii, from features of pairs (n, D) and of their states (n, Ds) where those are read.

        Raises ``CriticError`` for other widths.
        """
        given = (0 if states is None else states.shape[1], pairs.shape[1])
        if given != (len(self.state_mean), len(self.pair_mean)):
            raise CriticError(
                f"features of states and pairs are {given} wide, the support index has "
                f"{(len(self.state_mean), len(self.pair_mean))}. It belongs to another critic; build it again."
            )
        queries = support_keys(pairs, states, self.pair_mean, self.state_mean, self.beta)
        return nearest(self._keys, queries).distance / self.radius

    @cached_property
    def _keys(self) -> FloatArray:
        return self.keys.astype(np.float64)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that decides a distance."""
        digest = hashlib.sha256(f"{self.beta!r} {self.radius!r}".encode())
        for array in (self.keys, self.pair_mean, self.state_mean):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def support_keys(
    pairs: Vectors,
    states: Vectors | None,
    pair_mean: NDArray[np.float32],
    state_mean: NDArray[np.float32],
    beta: float,
) -> FloatArray:
    """Keys of n steps, (n, Ds + D): features minus the log's mean, of unit length, the state's part times beta."""
    if states is None:
        states = np.zeros((len(pairs), 0), dtype=np.float32)
    return prdc_keys(_unit(states - state_mean), _unit(pairs - pair_mean), beta)


def _unit(rows: Vectors) -> FloatArray:
    rows = rows.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)
