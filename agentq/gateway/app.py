"""The server: addresses, keys, errors as answers, and what begins and ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from agentq import __version__
from agentq.errors import LogError
from agentq.gateway.critic_service import CriticService, start_critic
from agentq.gateway.logs import log_event
from agentq.gateway.metrics import Metrics, library
from agentq.gateway.settings import GatewaySettings
from agentq.selectors import load_selector

_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"  # noqa: E501
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
Handler = Callable[[Any], Awaitable[Any]]


def create_app(settings: GatewaySettings, critic: CriticService | None = None) -> Any:
    """The FastAPI application; its critic (unless one is given) is loaded and its log opened now.

    ``app.state.gateway`` holds the ``Endpoints``. Raises ``MissingExtraError`` without the extra ``serve``,
    ``ConfigError`` for an unknown selector or a key that is not set, and what the critic and the log raise.
    """
    fastapi = library("fastapi")
    metrics = Metrics()
    from agentq.gateway.endpoints import Endpoints
    from agentq.gateway.guiding import Guide
    from agentq.gateway.live import LiveDecisions
    from agentq.gateway.overrides import Overrides
    from agentq.gateway.proposing import Proposer
    from agentq.gateway.sessions import SessionLog
    from agentq.gateway.upstream import Upstream
    from agentq.policies.openai.client import ChatClient

    defaults = Overrides(settings.n, load_selector(settings.selector, **dict(settings.selector_options)))
    key = settings.api_key()
    client = ChatClient(settings.server())
    service = critic or start_critic(settings)
    disk = ThreadPoolExecutor(1, "agentq-log")
    log = None
    if settings.log is not None:
        opened = partial(
            SessionLog,
            settings.log,
            idle=settings.session_idle,
            most=settings.max_sessions,
            environment=settings.environment,
            metadata=_about(settings, service),
        )
        log = disk.submit(opened).result()  # a file lock belongs to the thread that took it
    guide = Guide(settings, Proposer(settings, Upstream(client), metrics), service, log, metrics, disk)
    endpoints = Endpoints(settings, guide, LiveDecisions(settings.log_content), metrics, defaults, key)

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(_close_idle(endpoints))
        try:
            yield
        finally:
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)
            await client.aclose()
            if service is not None:
                await asyncio.to_thread(service.close)
            if log is not None:
                await asyncio.get_running_loop().run_in_executor(disk, log.close)
            disk.shutdown()

    app: Any = fastapi.FastAPI(
        title="AgentQ", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    app.state.gateway = endpoints
    _add_routes(app, endpoints)
    return app


def _add_routes(app: Any, endpoints: Any) -> None:
    from agentq.gateway.gate import Gate

    gate = Gate(endpoints.settings, endpoints.key, endpoints.metrics)

    def add(path: str, handler: Handler, method: str = "GET", *, keyed: bool = True) -> None:
        app.router.add_route(path, gate.guard(path, handler, keyed=keyed), methods=[method])

    for path in ("/v1/chat/completions", "/v1/completions"):
        add(path, endpoints.completions, "POST")
    add("/v1/models", endpoints.models)
    add("/v1/models/{name:path}", endpoints.models)
    add("/v1/agentq/feedback", endpoints.feedback, "POST")
    add("/metrics", endpoints.figures)
    add("/health", endpoints.health, keyed=False)
    if endpoints.settings.page:
        add("/agentq/decisions", endpoints.decisions, keyed=False)  # it asks for more than the key
        add("/", _static, keyed=False)  # the page itself holds nothing
        add("/static/{name}", _static, keyed=False)


async def _static(request: Any) -> Any:
    responses: Any = importlib.import_module("starlette.responses")
    name = request.path_params.get("name", "index.html")
    known = {item.name: item for item in files("agentq.gateway").joinpath("static").iterdir()}
    if name not in known:
        return responses.PlainTextResponse("not found", 404)
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return responses.Response(known[name].read_bytes(), media_type=_TYPES[Path(name).suffix], headers=headers)


async def _close_idle(endpoints: Any) -> None:
    """End quiet sessions from time to time."""
    sessions = endpoints.guide.sessions
    if sessions is None:
        return
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(30.0, endpoints.settings.session_idle / 4))
        try:
            closed = await loop.run_in_executor(endpoints.guide.disk, sessions.close_idle)
        except LogError as error:  # a full disk: the sessions stay open, and it is tried again
            endpoints.metrics.log_errors.inc()
            log_event("log_error", level=logging.ERROR, error=str(error))
        else:
            endpoints.metrics.episodes.labels("idle").inc(closed)


def _about(settings: GatewaySettings, service: CriticService | None) -> dict[str, Any]:
    """What an episode's metadata says of the gateway."""
    return {
        "agentq": __version__,
        "n": settings.n,
        "selector": settings.selector,
        "selector_options": dict(settings.selector_options),
        "checks": [check if isinstance(check, str) else repr(check) for check in settings.checks],
        "resample": settings.resample,
        "critic": "none" if service is None else service.name,
        "critic_fingerprint": None if service is None else service.about.get("fingerprint"),
        "upstream": settings.upstream,
    }
