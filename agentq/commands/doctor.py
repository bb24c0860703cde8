"""``agentq doctor``: what is installed, what was tested, and what a server supports."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentq.policies.openai.probe import ServerReport
    from agentq.tested_versions import PackageVersion

HELP = "print versions against the tested ones, and what a server supports"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--server", metavar="URL", help="also ask this server what it supports")
    parser.add_argument("--model", help="the server's model to ask (default: the first it lists)")
    parser.add_argument(
        "--key-variable",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="environment variable with the server's key (default: OPENAI_API_KEY; unset: none is sent)",
    )
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for an answer (60)")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print versions; nothing heavy is imported, so it works in a broken environment.

    The exit status is 1 when a server was named and did not answer.
    """
    from agentq.provenance import collect_provenance
    from agentq.tested_versions import compare_versions

    record = collect_provenance(argv=[])
    record = {key: record[key] for key in ("agentq", "python", "platform", "packages", "git")}
    versions = compare_versions()
    report = _probe(arguments) if arguments.server else None
    if arguments.json:
        print(json.dumps(_record(record, versions, report), indent=2))
    else:
        commit = record["git"]["commit"][:12] if record["git"] else "no checkout"
        print(f"agentq {record['agentq']} ({commit})\npython {record['python']} on {record['platform']}")
        for line in (*_version_lines(versions), *(_server_lines(report) if report is not None else ())):
            print(line)
    return 1 if report is not None and not report.reached else 0


def _probe(arguments: argparse.Namespace) -> ServerReport:
    import asyncio

    from agentq.policies.openai.client import ChatClient, ServerSettings
    from agentq.policies.openai.probe import probe_server

    async def ask() -> ServerReport:
        settings = ServerSettings(
            arguments.server, key_variable=arguments.key_variable, read_timeout=arguments.timeout
        )
        async with ChatClient(settings) as client:
            return await probe_server(client, arguments.model)

    return asyncio.run(ask())


def _record(
    record: dict[str, Any], versions: list[PackageVersion], report: ServerReport | None
) -> dict[str, Any]:
    from dataclasses import asdict

    tested = {v.name: {**asdict(v), "state": v.state} for v in versions}
    return {**record, "tested": tested, **({"server": asdict(report)} if report is not None else {})}


def _version_lines(versions: list[PackageVersion]) -> list[str]:
    lines: list[str] = []
    for version in versions:
        if version.installed is None:
            continue
        low, high = version.tested
        window = low if low == high else f"{low} to {high}"
        remark = "" if version.state == "tested" else f": {version.state} than tested"
        needed = f"needs {version.required}, " if version.required else ""
        lines.append(f"{version.name} {version.installed} ({needed}tested {window}{remark})")
    absent = [version.name for version in versions if version.installed is None]
    return [*lines, f"not installed: {', '.join(absent)}"] if absent else lines


def _server_lines(report: ServerReport) -> list[str]:
    if not report.reached:
        return [f"server {report.address} does not answer: {report.problem}"]
    version = f", version {report.version}" if report.version else ""
    lines = [f"server {report.address} answers{version}; asked model: {report.model or 'none'}"]
    for name, finding in report.findings.items():
        detail = f" ({finding.detail})" if finding.detail else ""
        lines.append(f"  {name:<18} {finding.answer}{detail}")
    return lines
