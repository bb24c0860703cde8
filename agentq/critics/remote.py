"""A critic whose language model runs on a server: no weights of it are needed here.

States and actions become token ids here, with the tokenizer and chat template that the heads were trained
with; the server returns labels or hidden states of the last token (``agentq.critics.exports``), and what is
left of the heads, the aggregation and the bookkeeping of candidates are computed here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
import torch
from numpy.typing import NDArray

from agentq.backbones.tokens import ChatTokenizer
from agentq.critics.base import Scores
from agentq.critics.exported import Probe, RemoteSettings, open_exported
from agentq.critics.groundings import resolve_grounding
from agentq.critics.pooling_server import PoolingServer
from agentq.critics.readouts import Readout
from agentq.critics.requests import ScoreRequest, request_scores, request_tokens, score_request
from agentq.errors import CheckpointError, ConfigError, CriticError
from agentq.features.proposal import proposal_width
from agentq.policies.openai.client import ChatClient, ClientStatistics, ServerSettings
from agentq.policies.openai.connected import Connected
from agentq.types import Candidate, FloatArray, Messages

KEY_VARIABLE = "AGENTQ_CRITIC_KEY"

Batch = Sequence[tuple[Messages, Sequence[Candidate]]]


@dataclass
class _Checked:
    """A server, and whether it has reproduced the probe."""

    server: PoolingServer
    verified: bool = False
    verifying: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.server.client.aclose()


class RemoteCritic(Connected[_Checked]):
    """Values candidates through a pooling server; implements ``agentq.critics.base.Critic``.

    Before the first scores the server must reproduce the export's probe, so one that has another model, lower
    precision or an activation is refused. Usable from any thread and, by ``ascore_heads``, from any event
    loop; connections are kept between calls. Make it with ``from_pretrained``.
    """

    def __init__(
        self,
        tokens: ChatTokenizer,
        readout: Readout,
        settings: RemoteSettings,
        probe: Probe,
        server: ServerSettings,
        *,
        model: str = "",
        batch: int = 32,
        trust_grounding: bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(f"agentq critic {server.root}")
        self.settings = settings
        self.readout = readout
        self.grounding = resolve_grounding(settings.grounding, trusted=trust_grounding)
        #: Distinct tokens scored since the critic was made: every prompt once, and its actions.
        self.tokens = 0
        self._tokenizer, self._probe = tokens, probe
        self._address, self._transport = server, transport
        self._model, self._batch = model, batch

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        base_url: str | None = None,
        server: ServerSettings | None = None,
        model: str = "",
        batch: int = 32,
        tolerance: float | None = None,
        trust_grounding: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> RemoteCritic:
        """Open the folder of ``agentq export``, or its ``client/`` alone; nothing is sent yet.

        ``base_url``: the server's address; its key, if any, is in AGENTQ_CRITIC_KEY. ``server`` instead also
        sets timeouts, retries and the limit of concurrent requests. ``model``: the model's name there, ""
        for the only one. ``tolerance``: largest error on the probe, to accept a server in half precision.
        Raises ``CheckpointError`` for a missing or broken file and for another chat template, ``ConfigError``
        for settings that contradict each other.
        """
        if (base_url is None) == (server is None):
            raise ConfigError("give a remote critic either base_url or server: the address of the server.")
        exported = open_exported(folder)
        settings = exported.settings
        if tolerance is not None:
            settings = replace(settings, tolerance=tolerance)
        return cls(
            exported.tokens,
            exported.readout,
            settings,
            exported.probe,
            server or ServerSettings(base_url or "", key_variable=KEY_VARIABLE),
            model=model,
            batch=batch,
            trust_grounding=trust_grounding,
            transport=transport,
        )

    def score(self, batch: Batch) -> list[FloatArray]:
        """One (N,) float64 array per state; -inf for a candidate that did not parse. Raises as ``score_heads``."""
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Batch) -> list[Scores]:
        """Like ``score`` with the value of each head (K, N) and why a candidate is -inf.

        Raises ``CriticError`` for an empty candidate list, a sequence that is too long and values that are not
        finite, ``CheckpointError`` for a server that does not reproduce the probe, ``InfrastructureError``
        when it is not reached, ``ServerError`` when it refuses.
        """
        requests, sequences = self._prepared(batch)
        rows = None
        if sequences:
            line = self._connect()
            rows = line.loop.run(self._rows(line.client, sequences))
        return self._scores(requests, rows)

    async def ascore_heads(self, batch: Batch) -> list[Scores]:
        """``score_heads`` for a caller inside an event loop; cancelling it cancels the requests."""
        requests, sequences = self._prepared(batch)
        rows = None
        if sequences:
            line = self._connect()
            rows = await asyncio.wrap_future(line.loop.submit(self._rows(line.client, sequences)))
        return self._scores(requests, rows)

    @property
    def fingerprint(self) -> str:
        """That of the critic that was exported: the values are the same."""
        return self.settings.fingerprint

    @property
    def statistics(self) -> ClientStatistics:
        """Requests, attempts and retries since the connections were opened."""
        return self._connect().client.server.client.statistics

    def _prepared(self, batch: Batch) -> tuple[list[ScoreRequest], list[list[int]]]:
        """What each state needs, and the token sequences of all of its distinct actions, one state after another."""
        requests = [
            score_request(number, *state, self.settings.proposal) for number, state in enumerate(batch)
        ]
        sequences: list[list[int]] = []
        for request in requests:
            if request.actions:
                prompt, actions = request_tokens(
                    request, self._tokenizer, self.grounding, self.settings.max_length
                )
                sequences += [[*prompt, *action] for action in actions]
                self.tokens += len(prompt) + sum(map(len, actions))
        return requests, sequences

    async def _open(self) -> _Checked:
        client = ChatClient(self._address, transport=self._transport)
        server = PoolingServer(client, self.settings.task, self.readout.width, self._model, self._batch)
        return _Checked(server)

    async def _rows(self, checked: _Checked, sequences: list[list[int]]) -> NDArray[np.float32]:
        async with checked.verifying:
            if not checked.verified:
                self._verify(await checked.server.rows(self._probe.sequences))
                checked.verified = True
        return await checked.server.rows(sequences)

    def _verify(self, rows: NDArray[np.float32]) -> None:
        """Raise ``CheckpointError`` unless the server's ``rows`` of the probe give the exported values."""
        expected, found = self._values(self._probe.rows), self._values(rows)
        error = float(np.abs(found - expected).max())
        limit = self.settings.tolerance * max(1.0, float(np.abs(expected).max()))
        if not error <= limit:
            raise CheckpointError(
                f"{self._address.root} does not compute the exported model: values of the probe differ by "
                f"{error:.2g}, at most {limit:.2g} expected. Serve the exported folder with the command in its "
                "README.md (--runner pooling, --dtype), or accept its precision with tolerance=..."
            )

    def _values(self, rows: NDArray[np.float32], proposals: NDArray[np.float32] | None = None) -> FloatArray:
        """(K, n) of rows (n, width); unknown proposals where none are given."""
        if proposals is None:
            proposals = np.zeros((len(rows), proposal_width(self.settings.proposal)), np.float32)
        values = self.readout.values(torch.from_numpy(rows), torch.from_numpy(proposals))
        return values.double().numpy()

    def _scores(self, requests: Sequence[ScoreRequest], rows: NDArray[np.float32] | None) -> list[Scores]:
        values: FloatArray | None = None
        if rows is not None:
            if not np.isfinite(rows).all():
                raise CriticError(
                    f"{self._address.root} returned numbers that are not finite for "
                    f"{int((~np.isfinite(rows)).any(axis=1).sum())} of {len(rows)} sequences. "
                    "Serve the model in float32 or bfloat16."
                )
            values = self._values(rows, np.concatenate([request.proposals for request in requests]))
        found: list[Scores] = []
        start = 0
        for request in requests:
            stop = start + len(request.actions)
            own = values[:, start:stop] if values is not None and request.actions else None
            how, pessimism = self.settings.aggregation, self.settings.pessimism
            found.append(request_scores(request, own, self.readout.heads, how, pessimism))
            start = stop
        return found
