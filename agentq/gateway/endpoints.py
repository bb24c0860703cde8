"""What each address of the gateway does."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from agentq.gateway.answers import completion, decision_headers, headers_of, metadata_of
from agentq.gateway.candidates import CHAT, why_passed
from agentq.gateway.guiding import Guide, Outcome
from agentq.gateway.journal import Feedback
from agentq.gateway.limits import (
    RefusedError,
    has_key,
    is_local,
    parsed_object,
    read_body,
    while_connected,
)
from agentq.gateway.live import LiveDecisions
from agentq.gateway.logs import log_event
from agentq.gateway.metrics import Metrics
from agentq.gateway.overrides import KEY, Overrides, RequestError, overrides_of
from agentq.gateway.settings import GatewaySettings
from agentq.gateway.streaming import chat_chunks, text_chunks
from agentq.gateway.upstream import PassedStream, UpstreamError, kept_headers

_LONGEST_NAME = 200  # characters of a session or task
_EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The handlers, over what one gateway holds. They raise; ``app`` turns errors into answers."""

    settings: GatewaySettings
    guide: Guide
    live: LiveDecisions
    metrics: Metrics
    defaults: Overrides
    key: str

    async def completions(self, request: Request) -> Response:
        """POST /v1/chat/completions and /v1/completions."""
        path = request.url.path
        raw = await read_body(request, self.settings.max_body, self.settings.body_timeout)
        body = parsed_object(raw)
        overrides = overrides_of(body.get(KEY), self.defaults, self.settings.max_n)
        if KEY in body:
            del body[KEY]
            raw = json.dumps(body).encode()
        session = session_of(request.headers.get("x-agentq-session"), overrides.session, body)
        checked_name(overrides.task, "task")
        reason = why_passed(path, body) if overrides.enabled else "disabled"
        if reason == "greedy" and self.settings.temperature is not None:
            reason = None
        if reason is not None:
            return await while_connected(request, self._passed(path, raw, body, reason, session))
        outcome = await while_connected(request, self.guide.complete(path, body, overrides, session))
        metadata = metadata_of(outcome)
        self._tell(path, outcome, metadata)
        return _answer(path, body, outcome, metadata if overrides.metadata else None)

    async def models(self, request: Request) -> Response:
        """GET /v1/models and /v1/models/NAME: the upstream's."""
        reply = await while_connected(request, self.guide.upstream.get(request.url.path))
        return Response(reply.body, reply.status, kept_headers(reply.headers))

    async def feedback(self, request: Request) -> Response:
        """POST /v1/agentq/feedback."""
        sessions = self.guide.sessions
        body = parsed_object(await read_body(request, self.settings.max_body, self.settings.body_timeout))
        feedback = feedback_of(body)
        if sessions is None:
            raise RefusedError(409, "no_log", "this gateway keeps no log. Start it with --log DIR.")
        loop = asyncio.get_running_loop()
        done = await loop.run_in_executor(self.guide.disk, sessions.feedback, feedback)
        self.metrics.feedback.inc()
        if done.closed:
            self.metrics.episodes.labels("done" if feedback.done else "truncated").inc()
        return JSONResponse(done.content())

    async def health(self, request: Request) -> Response:
        """GET /health: 200 while the process lives; what is behind it is in the body."""
        critic, upstream = self.guide.critic, self.guide.upstream
        if time.monotonic() - upstream.asked_at > 10:
            try:
                async with asyncio.timeout(2):
                    await upstream.get("/v1/models")
            except TimeoutError:
                upstream.failing = "no answer in 2 s"
            except UpstreamError:
                pass  # it has set what is told below
        content: dict[str, Any] = {
            "status": "ok",
            "critic": {"state": "none"}
            if critic is None
            else {"state": critic.state, "restarts": critic.restarts},
            "upstream": {"state": "ok" if upstream.failing is None else "failing", "error": upstream.failing},
        }
        if self.guide.sessions is not None:
            content["sessions_open"] = len(self.guide.sessions)
        return JSONResponse(content)

    async def figures(self, request: Request) -> Response:
        """GET /metrics."""
        guide, metrics = self.guide, self.metrics
        if guide.critic is not None:
            metrics.queue_depth.set(guide.critic.batcher.depth)
            metrics.batches.set(guide.critic.batcher.batches)
            metrics.batched_states.set(guide.critic.batcher.states)
            metrics.prefilled.set(guide.critic.batcher.prefilled)
            metrics.critic_restarts.set(guide.critic.restarts)
        if guide.sessions is not None:
            metrics.sessions_open.set(len(guide.sessions))
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def decisions(self, request: Request) -> Response:
        """GET /agentq/decisions: what the page shows, to whoever has the key, or to this machine."""
        allowed = has_key(request, self.key) if self.key else is_local(request)
        if not allowed:
            message = "decisions are shown to those who send the gateway's key, or without one to this machine alone."
            raise RefusedError(401 if self.key else 403, "not_allowed", message)
        since = request.query_params.get("since", "0")
        critic = self.guide.critic
        return JSONResponse(
            {
                "total": self.live.total,
                "critic": "none" if critic is None else f"{critic.name.rpartition('/')[2]}, {critic.state}",
                "selector": self.settings.selector,
                "n": self.settings.n,
                "decisions": self.live.since(int(since) if since.isdigit() else 0),
            }
        )

    async def _passed(
        self, path: str, raw: bytes, body: Mapping[str, Any], reason: str, session: str | None
    ) -> Response:
        """The upstream's own answer to the request as it came."""
        headers = decision_headers(reason, session=session or "")
        if body.get("stream"):
            opened = await self.guide.upstream.open_stream(path, raw)
            headers = {**kept_headers(opened.stream.headers), **headers}
            response: Response = _Passed(opened, headers)
        else:
            reply = await self.guide.upstream.post(path, raw)
            response = Response(reply.body, reply.status, {**kept_headers(reply.headers), **headers})
        self.metrics.decisions.labels("false", reason).inc()
        if response.status_code >= 400:
            self.metrics.upstream_errors.labels(str(response.status_code)).inc()
        self.live.add({"guided": False, "reason": reason, "session": session or "", "candidates": []}, None)
        return response

    def _tell(self, path: str, outcome: Outcome, metadata: dict[str, Any]) -> None:
        self.live.add({**metadata, "model": outcome.answer.envelope.get("model")}, outcome.messages)
        said: dict[str, Any] = {}
        if self.settings.log_content:
            messages = None if outcome.messages is None else [dict(m) for m in outcome.messages]
            said = {"messages": messages, "candidates": metadata["candidates"]}
        log_event(
            "decision",
            path=path,
            decision=metadata["decision"],
            session=metadata["session"],
            guided=metadata["guided"],
            reason=metadata["reason"],
            n=outcome.n,
            distinct=len(metadata["candidates"]),
            choice=metadata["choice"],
            latency=metadata["latency"],
            **said,
        )


class _Passed(StreamingResponse):
    """An open stream of the upstream; its connection is closed however the response ends."""

    def __init__(self, opened: PassedStream, headers: Mapping[str, str]) -> None:
        super().__init__(opened.parts(), opened.stream.status, headers)
        self._opened = opened

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._opened.close()


def session_of(header: str | None, own: str | None, body: Mapping[str, Any]) -> str | None:
    """A request's session: the header, ``agentq.session`` or ``metadata.session``, in that order."""
    metadata = body.get("metadata")
    other = metadata.get("session") if isinstance(metadata, Mapping) else None
    name = header or own or (other if isinstance(other, str) and other else None)
    return checked_name(name, "session")


def checked_name(name: str | None, what: str) -> str | None:
    """A name that any file format can hold. Raises ``RequestError``."""
    if name is None or (name.isprintable() and 0 < len(name) <= _LONGEST_NAME):
        return name
    raise RequestError(
        f"the {what} is {name[:40]!r} ({len(name)} characters), expected 1 to {_LONGEST_NAME} printable ones.",
        what,
    )


def feedback_of(body: Mapping[str, Any]) -> Feedback:
    """A feedback body. Raises ``RequestError`` for unknown keys, wrong types and no session or decision."""
    known = {field.name for field in fields(Feedback)}
    unknown = sorted(str(key) for key in body if key not in known)
    if unknown:
        raise RequestError(
            f"unknown keys in the feedback: {', '.join(unknown)}. Known are {', '.join(sorted(known))}.",
            unknown[0],
        )
    kinds: dict[str, Any] = {
        "session": str, "decision": str, "step": int, "reward": (int, float), "done": bool,
        "truncated": bool, "success": bool, "info": dict,
    }  # fmt: skip
    for name, value in body.items():
        if not isinstance(value, kinds[name]) or (isinstance(value, bool) and kinds[name] is not bool):
            raise RequestError(f"{name} is {value!r:.60}, of the wrong type.", name)
    feedback = Feedback(**body)
    if not math.isfinite(feedback.reward):
        raise RequestError(f"reward is {feedback.reward}, expected a finite number.", "reward")
    if (feedback.session is None) == (feedback.decision is None):
        raise RequestError("expected either a session or a decision, to know what is rewarded.", "session")
    return feedback


def _answer(
    path: str, body: Mapping[str, Any], outcome: Outcome, metadata: dict[str, Any] | None
) -> Response:
    headers = headers_of(outcome)
    if not body.get("stream"):
        return JSONResponse(completion(outcome, metadata), headers=headers)
    options = body.get("stream_options")
    counted = isinstance(options, Mapping) and bool(options.get("include_usage"))
    chunks = chat_chunks if path == CHAT else text_chunks
    events: Iterable[bytes] = chunks(
        outcome.answer.envelope, outcome.choice, outcome.answer.usage if counted else None, metadata
    )
    return StreamingResponse(_each(events), media_type=_EVENT_STREAM, headers=headers)


async def _each(events: Iterable[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event
