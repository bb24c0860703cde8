"""``agentq serve``: a critic behind any agent, without a change to the agent but its base_url."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

HELP = "serve an OpenAI-compatible endpoint that chooses among an upstream's candidates by a critic's values"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments; each is a field of ``GatewaySettings``."""
    add = parser.add_argument
    add("--upstream", required=True, metavar="URL", help="the OpenAI-compatible server behind it")
    add("--critic", required=True, metavar="PATH", help='folder or name of a QCritic; "none": only log')
    add("--n", type=int, help="candidates per request (8)")
    add("--selector", help="how one is chosen (best_of_n)")
    add("--selector-option", action="append", default=[], metavar="KEY=VALUE", help="may be repeated")
    add("--check", dest="checks", action="append", default=[], metavar="NAME[:KEY=VALUE,...]",
        help="refuses candidates before scoring, e.g. repeated:times=2; may be repeated")  # fmt: skip
    add("--resample", action="store_true", help="where checks refuse all, ask once more with their reasons")
    add("--host", help="address to listen on (127.0.0.1: this machine only)")
    add("--port", type=int, help="8080")
    add("--api-key-variable", metavar="NAME", help="environment variable with the key that clients must send")
    add("--upstream-key-variable", metavar="NAME", help="environment variable with the upstream's key")
    add("--upstream-timeout", type=float, metavar="SECONDS", help="longest silence of the upstream (600)")
    add("--upstream-concurrency", type=int, help="requests to the upstream at a time (512)")
    add("--temperature", type=float, help="of the candidates, whatever requests say (default: the request's)")
    add("--deadline", type=float, metavar="SECONDS", help="for scoring; then the first goes through (1.0)")
    add("--max-n", type=int, help="most candidates that a request may ask for (32)")
    add("--max-body", type=int, metavar="BYTES", help="16777216")
    add("--body-timeout", type=float, metavar="SECONDS", help="until a request's body is complete (30)")
    add("--max-requests", type=int, help="on their way at a time; more get 429 (1024)")
    add("--max-queue", type=int, help="states that wait for the critic; more get 429 (256)")
    add("--max-batch", type=int, help="states per call of the critic (4 on a CPU, else 32)")
    add("--max-characters", type=int, help="of a state; longer ones are not scored (200000)")
    add("--actions", choices=("text", "react"), help='the whole reply, or what follows "Action:" (text)')
    add("--logprobs", choices=("auto", "always", "never"), help="ask the upstream for them (auto)")
    add("--device", help="of the critic (auto)")
    add("--threads", type=int, help="of torch (one less than there are cores)")
    add("--prefix-cache", type=int, metavar="BYTES", help="of prompts that the critic has read (268435456)")
    add("--critic-process", action="store_true", help="the critic runs in a process of its own")
    add("--log", type=Path, metavar="DIR", help="folder of a trajectory log of the traffic")
    add("--environment", help="its name in the log (gateway)")
    add("--session-idle", type=float, metavar="SECONDS", help="then a session is closed as truncated (1800)")
    add("--max-sessions", type=int, help="open at a time (10000)")
    add("--log-content", action="store_true", help="own log and page hold messages, too")
    add("--no-page", action="store_true", help="without the page of live decisions")


def settings_of(arguments: argparse.Namespace) -> Any:
    """The settings that the words name; an option that is left out keeps the dataclass's default."""
    from agentq.gateway.settings import GatewaySettings

    given = {
        field.name: getattr(arguments, field.name)
        for field in fields(GatewaySettings)
        if getattr(arguments, field.name, None) is not None
    }
    given["checks"] = tuple(arguments.checks)
    options = dict(option_of(text) for text in arguments.selector_option)
    return GatewaySettings(**given, selector_options=options, page=not arguments.no_page)


def option_of(text: str) -> tuple[str, Any]:
    """``key=value`` with the value as YAML. Raises ``ConfigError``."""
    from agentq.config_yaml import parse_yaml
    from agentq.errors import ConfigError

    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigError(f"--selector-option {text!r}: expected KEY=VALUE, e.g. temperature=0.1.")
    return name, parse_yaml(f"value: {value}", "--selector-option")["value"]


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from agentq.gateway.app import create_app
    from agentq.gateway.logs import set_up_logs
    from agentq.gateway.metrics import library

    settings = settings_of(arguments)
    set_up_logs()
    app = create_app(settings)
    uvicorn = library("uvicorn")
    print(f"http://{settings.host}:{settings.port}/v1  (stop with Ctrl-C)", flush=True)
    if not settings.loopback and not settings.api_key_variable:
        print(
            f"agentq: warning: whoever reaches {settings.host}:{settings.port} can use the upstream and write rewards. "
            "Ask for a key with --api-key-variable.",
            file=sys.stderr,
        )
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=10,
        timeout_keep_alive=75,  # agents act and wait between two requests of one connection
    )
    return 0
