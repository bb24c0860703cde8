"""A policy that samples candidate actions from a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import httpx

from agentq.errors import ConfigError, ServerError
from agentq.policies.openai.candidates import candidate_of_choice
from agentq.policies.openai.client import (
    ChatClient,
    ClientStatistics,
    Completions,
    ServerSettings,
    sample_seed,
    together,
)
from agentq.policies.openai.connected import Connected
from agentq.policies.openai.constraints import AdmissibleActions, admissible_actions
from agentq.policies.openai.statistics import ServerPolicyStatistics
from agentq.policies.parsing import ActionParser, deduplicate
from agentq.policies.requests import check_greedy, check_request, check_sampling
from agentq.types import Candidate, Messages

CHAT = "/v1/chat/completions"
Restrict = Literal["decode", "check", "off"]
Dialect = Literal["auto", "vllm", "openai"]
Seeding = Literal["request", "sample"]


class OpenAIPolicy(Connected[ChatClient]):
    """Samples candidates from vLLM or any server of OpenAI's chat protocol.

    ``model`` may be left out where the server has just one. ``restrict`` says what happens in states that list
    their admissible actions: ``"decode"`` has the server sample only those (vLLM; a reply outside them raises
    ``ServerError``), ``"check"`` lets it sample freely and marks other replies invalid, ``"off"`` ignores the
    list. Without a choice it is "decode", or "check" where ``tools`` are given (chat-completion tools; a call
    is a candidate action). ``dialect`` "auto" asks the server whether it is vLLM, which alone is sent
    ``return_token_ids`` and ``structured_outputs``. ``seeding`` "request" samples n candidates in one request,
    "sample" each in its own with a seed of its own (docs/policies.md: what a sample depends on).
    ``parser`` reads the action out of free text as in every policy; ``whole_reply`` takes all of it instead.
    ``extra_body`` is merged into every request. Candidates keep token ids and log-probabilities as returned.
    """

    def __init__(
        self,
        server: ServerSettings | str,
        model: str | None = None,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_new_tokens: int = 32,
        restrict: Restrict | None = None,
        *,
        parser: ActionParser | None = None,
        whole_reply: bool = False,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: str | Mapping[str, Any] | None = None,
        logprobs: bool = True,
        dialect: Dialect = "auto",
        seeding: Seeding = "request",
        extra_body: Mapping[str, Any] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.settings = ServerSettings(server) if isinstance(server, str) else server
        super().__init__(f"agentq {self.settings.root}")
        self.model = model
        self.restrict: Restrict = restrict or ("check" if tools else "decode")
        self.dialect: Dialect = dialect
        self.seeding: Seeding = seeding
        self.statistics = ServerPolicyStatistics()
        check_sampling(temperature, top_p, max_new_tokens)
        _check(self.restrict, dialect, seeding, bool(tools))
        self._temperature = temperature
        self._parser: ActionParser | None = None if whole_reply else (parser or _same)
        self._extra = dict(extra_body or {})
        self._body: dict[str, Any] = {"temperature": temperature, "top_p": top_p}
        if "max_completion_tokens" not in self._extra:
            self._body["max_tokens"] = max_new_tokens
        if logprobs:
            self._body["logprobs"] = True
        if tools:
            self._body["tools"] = [dict(tool) for tool in tools]
            if tool_choice is not None:
                self._body["tool_choice"] = tool_choice
        self._transport = transport
        self._wire = ClientStatistics()  # of all connections that this policy ever opens

    def propose(
        self,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[list[Candidate]]:
        """As in ``Policy.propose``; all states are asked for at once, under the settings' limits.

        Raises ``CandidateError`` for a request that cannot be met, ``InfrastructureError`` when the server is
        not reached, ``ServerError`` when it refuses or does not keep to the admissible actions.
        """
        line = self._connect()
        return line.loop.run(self._propose(line.client, batch, n, seeds, admissible))

    async def apropose(
        self,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[list[Candidate]]:
        """``propose`` for asynchronous callers: same connections, same limits, any event loop."""
        line = self._connect()
        future = line.loop.submit(self._propose(line.client, batch, n, seeds, admissible))
        return await asyncio.wrap_future(future)

    @property
    def fingerprint(self) -> str:
        """The server's own name of the model and its weights' folder; names, so equal ones may differ in weights."""
        line = self._connect()
        return line.loop.run(self._fingerprint(line.client))

    async def _open(self) -> ChatClient:
        return ChatClient(self.settings, transport=self._transport, statistics=self._wire)

    async def _propose(
        self,
        client: ChatClient,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None,
    ) -> list[list[Candidate]]:
        started = time.perf_counter()
        allowed = check_request(batch, n, seeds, admissible)
        check_greedy(self._temperature, n)
        limits = [
            None if actions is None or self.restrict == "off" else admissible_actions(actions)
            for actions in allowed
        ]
        try:
            if self.model is None or self.dialect == "auto":
                await self._recognise(client)
            states = zip(batch, seeds, limits, strict=True)
            proposals = await together(
                [self._state(client, messages, n, seed, limit) for messages, seed, limit in states]
            )
        finally:  # what failed was sent, too
            self.statistics.requests = self._wire.requests
            self.statistics.retries = self._wire.retries
        self.statistics.states += len(batch)
        self.statistics.candidates += len(batch) * n
        self.statistics.seconds += time.perf_counter() - started
        return proposals

    async def _state(
        self, client: ChatClient, messages: Messages, n: int, seed: int, limit: AdmissibleActions | None
    ) -> list[Candidate]:
        body = {
            **self._body,
            **self._extra,
            "model": self.model,
            "messages": [dict(message) for message in messages],
        }
        forced = False
        if self.dialect == "vllm":
            body["return_token_ids"] = True
        if limit is not None and self.restrict == "decode":
            if self.dialect != "vllm":
                raise ServerError(
                    f"{self.settings.root} is no vLLM server as far as /v1/models says, so it cannot be made to sample "
                    "admissible actions only. Use restrict='check', or dialect='vllm' where vLLM is behind a proxy."
                )
            body["structured_outputs"] = limit.structured_outputs()
            forced = limit.literal and len(limit.actions) == 1  # one sample says all
        asked = 1 if forced else n
        completions = await self._ask(client, body, asked, seed)
        for one in completions:
            self._count(one.usage)
        choices = [choice for one in completions for choice in one.choices]
        candidates = [self._candidate(choice, limit) for choice in choices]
        if forced:
            candidates = [replace(candidates[0], count=n)]
        return deduplicate(candidates)

    async def _ask(self, client: ChatClient, body: dict[str, Any], n: int, seed: int) -> list[Completions]:
        if self.seeding == "request":
            return [await client.completions({**body, "seed": sample_seed(seed, 0)}, n, path=CHAT)]
        bodies = [{**body, "seed": sample_seed(seed, i)} for i in range(n)]
        return await together([client.completions(one, 1, path=CHAT) for one in bodies])

    def _candidate(self, choice: Mapping[str, Any], limit: AdmissibleActions | None) -> Candidate:
        candidate = candidate_of_choice(choice, self._parser)
        if limit is None or candidate.action is None:
            return candidate
        action = limit.find(candidate.action)
        if action is not None:
            return replace(candidate, action=action)
        if self.restrict == "decode":
            raise ServerError(
                f"{self.settings.root} answered {candidate.text[:60]!r} where only {len(limit.actions)} admissible "
                "actions were allowed: it ignores structured_outputs. Update vLLM, or use restrict='check'."
            )
        return replace(candidate, action=None, error=f"{candidate.action[:60]!r} is not admissible here")

    def _count(self, usage: Mapping[str, int]) -> None:
        cached = usage.get("cached_tokens", 0)
        sampled = usage.get("completion_tokens", 0)
        self.statistics.reused_tokens += cached
        self.statistics.sampled_tokens += sampled
        self.statistics.computed_tokens += usage.get("prompt_tokens", 0) - cached + sampled

    async def _recognise(self, client: ChatClient) -> None:
        """Fill in the model and the dialect from what the server says about itself."""
        models = await _models(client)
        names = [str(model.get("id")) for model in models]
        if self.model is None:
            if len(names) != 1:
                raise ConfigError(
                    f"{self.settings.root} serves {', '.join(names) or 'no model'}; expected one model where none is "
                    "named. Pass model=..."
                )
            self.model = names[0]
        if self.dialect == "auto":
            own = [model for model in models if model.get("owned_by") == "vllm"]
            self.dialect = "vllm" if own else "openai"

    async def _fingerprint(self, client: ChatClient) -> str:
        await self._recognise(client)
        for model in await _models(client):
            if model.get("id") == self.model:
                root = str(model.get("root") or "").rstrip("/").rsplit("/", 1)[-1]
                return f"{self.dialect}:{self.model}" + (f":{root}" if root and root != self.model else "")
        return f"{self.dialect}:{self.model}"


async def _models(client: ChatClient) -> list[Mapping[str, Any]]:
    reply = await client.get("/v1/models")
    answer = reply.json() if reply.status == 200 else None
    models = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(models, list):
        raise ServerError(
            f"{client.settings.url('/v1/models')} answered status {reply.status} without a list of models. Pass "
            "model=... and dialect='openai' (or 'vllm') for a server that does not list them.",
            reply.status,
            reply.body,
        )
    return models


def _same(line: str) -> str:
    return line


def _check(restrict: str, dialect: str, seeding: str, tools: bool) -> None:
    for name, value, known in (
        ("restrict", restrict, ("decode", "check", "off")),
        ("dialect", dialect, ("auto", "vllm", "openai")),
        ("seeding", seeding, ("request", "sample")),
    ):
        if value not in known:
            raise ConfigError(f"{name}={value!r} is unknown; expected one of {', '.join(known)}.")
    if tools and restrict == "decode":
        raise ConfigError(
            "restrict='decode' with tools: a server samples either among given texts or tool calls. "
            "Use restrict='check', which marks calls that are not admissible as invalid."
        )
