"""``agentq view RUN_OR_DIR``: look at episodes in the browser."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

HELP = "look at the episodes of runs and logs in the browser, also while they are being played"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", type=Path, metavar="RUN_OR_DIR", help="a run, a log, or a folder of them")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted. Raises ``EvaluationError`` when there is nothing to show."""
    from agentq_eval.viewer.app import create_app

    hosts = tuple(dict.fromkeys((arguments.host, "127.0.0.1", "localhost", "[::1]")))
    app = create_app(arguments.path, hosts)
    uvicorn: Any = importlib.import_module("uvicorn")
    address = f"http://{arguments.host}:{arguments.port}/"
    print(f"{address}  (stop with Ctrl-C)", flush=True)
    if not arguments.no_browser:
        import webbrowser

        webbrowser.open(address)
    uvicorn.run(app, host=arguments.host, port=arguments.port, log_level="warning")
    return 0
