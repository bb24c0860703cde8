"""What stands before every handler: the key, the number of requests on their way, and errors as answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import JSONResponse, Response

from agentq.errors import AgentQError, LogError
from agentq.gateway.limits import ClientGoneError, RefusedError, has_key
from agentq.gateway.logs import log_event
from agentq.gateway.metrics import Metrics
from agentq.gateway.overrides import RequestError
from agentq.gateway.sessions import UnknownSessionError
from agentq.gateway.settings import GatewaySettings
from agentq.gateway.upstream import UpstreamError
from agentq.scoring.micro_batching import QueueFullError

Handler = Callable[[Any], Awaitable[Any]]
_UNREAD = frozenset({401, 408, 413, 429})  # answers given while the request's body may still be coming


class Gate:
    """Guards the handlers of one gateway; ``running`` counts the completions on their way."""

    def __init__(self, settings: GatewaySettings, key: str, metrics: Metrics) -> None:
        self.settings, self.key, self.metrics = settings, key, metrics
        self.running = 0

    def guard(self, path: str, handler: Handler, *, keyed: bool) -> Handler:
        """``handler`` behind the gate; whatever it raises on purpose becomes an answer of OpenAI's form."""
        counted = path.startswith("/v1/")

        async def answer(request: Any) -> Any:
            began = time.perf_counter()
            self.running += counted
            try:
                self._check(request, keyed, counted)
                response = await handler(request)
            except (AgentQError, OSError) as error:
                response = self._refusal(error)
            finally:
                self.running -= counted
                self.metrics.in_flight.set(self.running)
            self.metrics.requests.labels(path, str(response.status_code)).inc()
            if counted:
                seconds = round(time.perf_counter() - began, 6)
                log_event("request", path=path, status=response.status_code, seconds=seconds)
            return response

        return answer

    def _check(self, request: Any, keyed: bool, counted: bool) -> None:
        if keyed and self.key and not has_key(request, self.key):
            message = "this gateway asks for a key: send Authorization: Bearer KEY."
            raise RefusedError(401, "invalid_api_key", message)
        if counted and self.running > self.settings.max_requests:
            raise RefusedError(
                429,
                "too_many_requests",
                f"{self.settings.max_requests} requests are on their way, no more may be. Try again later.",
                retry_after=1.0,
            )

    def _refusal(self, error: Exception) -> Response:
        if isinstance(error, UpstreamError):
            self.metrics.upstream_errors.labels(error.kind).inc()
            return Response(error.body, error.status, dict(error.headers))
        if isinstance(error, ClientGoneError):
            self.metrics.disconnects.inc()
            return Response(status_code=499)  # as nginx calls it; nobody reads it
        refused = as_refusal(error)
        self.metrics.rejected.labels(refused.code).inc()
        if refused.status >= 500:
            log_event("error", level=logging.ERROR, kind=type(error).__name__, error=str(error))
        headers = {} if refused.status not in _UNREAD else {"connection": "close"}
        if refused.retry_after is not None:
            headers["retry-after"] = str(max(1, round(refused.retry_after)))
        if refused.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(refused.content(), refused.status, headers)


def as_refusal(error: Exception) -> RefusedError:
    """The answer to an error."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, QueueFullError):
        return RefusedError(429, "critic_busy", str(error), retry_after=error.seconds)
    if isinstance(error, RequestError):
        return RefusedError(400, "bad_request", str(error), param=error.parameter)
    if isinstance(error, UnknownSessionError):
        return RefusedError(404, "unknown_session", str(error))
    if isinstance(error, LogError):
        return RefusedError(507, "log_error", "the log could not be written; see the server's own log.")
    return RefusedError(500, "internal_error", f"{type(error).__name__}; see the server's own log.")
