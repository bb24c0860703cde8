"""A real vLLM server on a local port, run by the interpreter that AGENTQ_VLLM_PYTHON names.

``.ci/vllm-environment FOLDER`` makes such an environment. A start takes 20 to 80 seconds, so share one server
per module: a module-scoped fixture around ``vllm_server``, and ``pytestmark = pytest.mark.vllm``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

VARIABLE = "AGENTQ_VLLM_PYTHON"
START_SECONDS = 400.0


@dataclass(frozen=True)
class VLLMServer:
    """A server that answers."""

    address: str  # http://127.0.0.1:PORT
    model: str  # its served name
    process: subprocess.Popen[bytes]
    log: Path


def vllm_python() -> str:
    """The interpreter with vLLM; skips the test where none is named, fails where the name is wrong."""
    python = os.environ.get(VARIABLE, "")
    if not python:
        pytest.skip(f"{VARIABLE} is not set: AGENTQ_VLLM_PYTHON=$(.ci/vllm-environment FOLDER | tail -n 1)")
    if shutil.which(python) is None:
        pytest.fail(f"{VARIABLE}={python!r} is no interpreter. Make it with .ci/vllm-environment FOLDER.")
    return python


def vllm_variables() -> Mapping[str, str]:
    """The environment that vLLM's CPU build runs with here: little memory, no network, two threads."""
    settings = {
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "2",
    }
    return {**os.environ, **settings}


@contextmanager
def vllm_server(
    model: str | Path, scratch: Path, arguments: Sequence[str] = (), name: str = "tiny"
) -> Iterator[VLLMServer]:
    """Serves the folder ``model`` in float32 without compilation, with more ``arguments`` of vLLM's own.

    ``arguments=["--runner", "pooling"]`` serves a classification checkpoint. The log lies in ``scratch``; its
    end is shown when the server does not come up. Skips as ``vllm_python`` does.
    """
    python = vllm_python()
    port = _free_port()
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", *arguments]
    log = scratch / f"vllm-{port}.log"
    with log.open("wb") as file:
        # A session of its own: the engine is a child process and has to go with the server.
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={key: value for key, value in vllm_variables().items() if key != "PYTHONPATH"},
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process, log)
        yield VLLMServer(address, name, process, log)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, and kill what is left of its session after half a minute."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):  # killed below
            process.wait(30)
    with suppress(ProcessLookupError):  # nothing is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"vLLM ended with status {process.returncode} before it answered:\n{_tail(log)}")
        with suppress(httpx.TransportError):  # not listening yet
            if httpx.get(f"{address}/health", timeout=5).status_code == 200:
                return
        time.sleep(0.5)
    pytest.fail(f"vLLM did not answer /health within {START_SECONDS:.0f} s:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
