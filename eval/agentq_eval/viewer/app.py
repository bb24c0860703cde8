"""The server: JSON of the logs, and the static page. Local by default; it only ever reads."""

from __future__ import annotations

import importlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from agentq.errors import AgentQError, MissingExtraError
from agentq_eval.viewer.sources import PAGES, find_sources, plain

_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"  # noqa: E501
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".png": "image/png"}


def create_app(path: str | Path, hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")) -> Any:
    """The FastAPI application over a run, a log, or a folder of them.

    Requests under another host name are refused (DNS rebinding). Raises ``EvaluationError`` when there is
    nothing to show, ``MissingExtraError`` without fastapi.
    """
    fastapi = _fastapi()
    responses: Any = importlib.import_module("fastapi.responses")
    root = Path(path)
    sources = find_sources(root)
    app: Any = fastapi.FastAPI(title="AgentQ", docs_url=None, redoc_url=None, openapi_url=None)

    async def guard(request: Any, call_next: Any) -> Any:
        name = request.headers.get("host", "")
        bare = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() else name
        if bare not in hosts:
            return responses.PlainTextResponse(
                f"this server answers to {', '.join(hosts)}, not to {bare!r}", 400
            )
        response = await call_next(request)
        if not request.url.path.endswith("report.html"):  # it is self-contained, with styles inside
            response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response

    def failed(request: Any, error: Exception) -> Any:
        return responses.JSONResponse({"error": str(error)}, 404)

    def about() -> Any:
        if "" not in sources:  # runs that began since
            for name, source in find_sources(root).items():
                sources.setdefault(name, source)
        return {"title": root.resolve().name, "runs": [source.about() for source in sources.values()]}

    def episodes(run: str = "", since: int = 0) -> Any:
        source = _source(sources, run)
        about = source.about()
        return {**about, "rows": source.index.rows(max(since, 0))}

    def episode(id: str, run: str = "") -> Any:
        return plain(_source(sources, run).index.trajectory(id))

    def page(name: str, run: str = "") -> Any:
        file = _source(sources, run).folder / name
        if name not in PAGES or not file.is_file():
            return responses.PlainTextResponse(f"{name} is not there (yet)", 404)
        return responses.FileResponse(file, media_type=_TYPES[file.suffix])

    def static(name: str = "index.html") -> Any:
        known = {item.name: item for item in files("agentq_eval.viewer").joinpath("static").iterdir()}
        if name not in known:
            return responses.PlainTextResponse("not found", 404)
        return responses.Response(known[name].read_bytes(), media_type=_TYPES[Path(name).suffix])

    app.middleware("http")(guard)
    app.add_exception_handler(AgentQError, failed)
    app.add_api_route("/api/source", about)
    app.add_api_route("/api/episodes", episodes)
    app.add_api_route("/api/episode", episode)
    for name in PAGES:
        app.add_api_route(f"/{name}", _named(page, name))
    app.add_api_route("/", static)
    app.add_api_route("/static/{name}", static)
    return app


def _named(page: Any, name: str) -> Any:
    def of_run(run: str = "") -> Any:
        return page(name, run)

    return of_run


def _source(sources: dict[str, Any], run: str) -> Any:
    from agentq.errors import EvaluationError

    if run not in sources:
        raise EvaluationError(f"run {run!r} is not here; there are {', '.join(sources) or 'none'}.")
    return sources[run]


def _fastapi() -> Any:
    try:
        return importlib.import_module("fastapi")
    except ImportError as error:
        raise MissingExtraError(
            'agentq view needs fastapi and uvicorn, which are not installed. Run: pip install "agentq[view]"'
        ) from error
