"""A critic whose language model runs on a server: no weights of it are needed here.

States and actions become token ids here, with the tokenizer and chat template that the heads were trained
with; the server returns labels or hidden states of the last token (``agentq.critics.exports``), and what is
left of the heads, the aggregation and the bookkeeping of candidates are computed here.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import httpx
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from agentq.backbones.tokens import ChatTokenizer
from agentq.critics.base import Scores
from agentq.critics.groundings import resolve_grounding
from agentq.critics.loading import CLIENT, CONFIG, REMOTE, read_config
from agentq.critics.pooling_server import PoolingServer
from agentq.critics.readouts import Readout, Task, open_readout
from agentq.critics.requests import ScoreRequest, request_scores, request_tokens, score_request
from agentq.errors import BackboneError, CheckpointError, ConfigError, CriticError
from agentq.features.proposal import Proposal
from agentq.objectives.aggregation import Aggregation
from agentq.policies.openai.background import BackgroundLoop
from agentq.policies.openai.client import ChatClient, ServerSettings
from agentq.types import Candidate, FloatArray, Messages

FORMAT = 1
TOKENIZER, PROBE = "tokenizer", "probe.safetensors"
KEY_VARIABLE = "AGENTQ_CRITIC_KEY"
#: Largest error of a value on the probe, relative to the largest value there (at least 1).
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2, "float16": 1e-2}

Batch = Sequence[tuple[Messages, Sequence[Candidate]]]


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """What an exported critic says of itself, besides its heads."""

    task: Task
    aggregation: Aggregation
    pessimism: float
    grounding: str
    proposal: Proposal
    fingerprint: str  # of the local critic, with which the values agree
    max_length: int  # tokens of the longest sequence
    tolerance: float  # of the probe


@dataclass(frozen=True, slots=True)
class Probe:
    """Token sequences and what the exported model returns for them."""

    sequences: list[list[int]]
    rows: NDArray[np.float32]  # (n, width)


class RemoteCritic:
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
        self.settings = settings
        self.readout = readout
        self.grounding = resolve_grounding(settings.grounding, trusted=trust_grounding)
        #: Distinct tokens scored since the critic was made: every prompt once, and its actions.
        self.tokens = 0
        self._tokenizer, self._probe = tokens, probe
        self._client = ChatClient(server, transport=transport)
        self._server = PoolingServer(self._client, settings.task, readout.width, model, batch)
        self._verified = False
        self._verifying = asyncio.Lock()
        self._loop = BackgroundLoop("agentq-remote-critic")
        self._loop.at_end(self._client.aclose)
        self._finalizer = weakref.finalize(self, self._loop.close)

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
        own = Path(folder)
        own = own / CLIENT if (own / CLIENT / CONFIG).is_file() else own
        content = read_config(own)
        if content.get("type") != REMOTE:
            raise CheckpointError(
                f"{own / CONFIG} describes {content.get('type')!r}, expected {REMOTE!r}. "
                "Make one with `agentq export CRITIC --to hidden-states --output FOLDER`."
            )
        if content.get("format", 0) > FORMAT:
            raise CheckpointError(
                f"{own / CONFIG} has format {content['format']}, this version reads up to {FORMAT}. Upgrade agentq."
            )
        try:
            settings = _settings(content)
            readout = open_readout(settings.task, content["readout"], own)
            tokens = _tokenizer(own, content["backbone"])
            probe = _probe(own / PROBE)
        except (KeyError, TypeError, ConfigError) as error:
            raise CheckpointError(
                f"{own / CONFIG} is not an exported critic of this version: {error!r}."
            ) from error
        if tolerance is not None:
            settings = replace(settings, tolerance=tolerance)
        return cls(
            tokens,
            readout,
            settings,
            probe,
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
        rows = self._loop.run(self._rows(sequences)) if sequences else None
        return self._scores(requests, rows)

    async def ascore_heads(self, batch: Batch) -> list[Scores]:
        """``score_heads`` for a caller inside an event loop; cancelling it cancels the requests."""
        requests, sequences = self._prepared(batch)
        rows = None
        if sequences:
            rows = await asyncio.wrap_future(self._loop.submit(self._rows(sequences)))
        return self._scores(requests, rows)

    @property
    def fingerprint(self) -> str:
        """That of the critic that was exported: the values are the same."""
        return self.settings.fingerprint

    @property
    def statistics(self) -> Any:
        """Requests, attempts and retries of the client."""
        return self._client.statistics

    def close(self) -> None:
        """Close the connections."""
        self._finalizer()

    def __enter__(self) -> RemoteCritic:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

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

    async def _rows(self, sequences: list[list[int]]) -> NDArray[np.float32]:
        await self._verify()
        return await self._server.rows(sequences)

    async def _verify(self) -> None:
        async with self._verifying:
            if self._verified:
                return
            expected = self._values(self._probe.rows)
            found = self._values(await self._server.rows(self._probe.sequences))
            error = float(np.abs(found - expected).max())
            limit = self.settings.tolerance * max(1.0, float(np.abs(expected).max()))
            if not error <= limit:
                raise CheckpointError(
                    f"{self._client.settings.root} does not compute the exported model: values of the probe differ by "
                    f"{error:.2g}, at most {limit:.2g} expected. Serve the exported folder with the command in its "
                    "README.md (--runner pooling, --dtype), or accept its precision with tolerance=..."
                )
            self._verified = True

    def _values(self, rows: NDArray[np.float32], proposals: NDArray[np.float32] | None = None) -> FloatArray:
        """(K, n) of rows (n, width); unknown proposals where none are given."""
        if proposals is None:
            from agentq.features.proposal import proposal_width

            proposals = np.zeros((len(rows), proposal_width(self.settings.proposal)), np.float32)
        values = self.readout.values(torch.from_numpy(rows), torch.from_numpy(proposals))
        return values.double().numpy()

    def _scores(self, requests: Sequence[ScoreRequest], rows: NDArray[np.float32] | None) -> list[Scores]:
        values: FloatArray | None = None
        if rows is not None:
            if not np.isfinite(rows).all():
                raise CriticError(
                    f"{self._client.settings.root} returned numbers that are not finite for "
                    f"{int((~np.isfinite(rows)).any(axis=1).sum())} of {len(rows)} sequences. Serve the model in float32."
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


def _settings(content: dict[str, Any]) -> RemoteSettings:
    critic, backbone = content["critic"], content["backbone"]
    task = content["task"]
    if task not in ("classify", "embed"):
        raise ConfigError(f"task {task!r}: expected classify or embed.")
    return RemoteSettings(
        task=cast(Task, task),
        aggregation=critic["aggregation"],
        pessimism=float(critic["pessimism"]),
        grounding=critic["grounding"],
        proposal=critic["proposal"],
        fingerprint=critic["fingerprint"],
        max_length=int(backbone["max_length"]),
        tolerance=TOLERANCE[backbone["dtype"]],
    )


def _tokenizer(folder: Path, backbone: dict[str, Any]) -> ChatTokenizer:
    """The exported tokenizer. Raises ``CheckpointError`` when it cannot be read or is another one."""
    from transformers import AutoTokenizer

    try:
        tokens = ChatTokenizer(AutoTokenizer.from_pretrained(folder / TOKENIZER), backbone["name"])
        found = tokens.template_fingerprint
    except (OSError, ValueError, BackboneError) as error:
        raise CheckpointError(
            f"{folder / TOKENIZER} is no tokenizer: {error}. Export the critic again."
        ) from error
    if found != backbone["template_fingerprint"]:
        raise CheckpointError(
            f"critic {folder} was trained with chat template {backbone['template_fingerprint']}, but the tokenizer "
            f"beside it has {found}: the same messages would become other tokens. Export the critic again."
        )
    return tokens


def _probe(path: Path) -> Probe:
    try:
        stored = load_file(path)
        sequences = [stored[f"ids_{i}"].tolist() for i in range(len(stored["rows"]))]
        return Probe(sequences, stored["rows"].numpy())
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(f"{path} is missing or broken: {error!r}. Export the critic again.") from error
