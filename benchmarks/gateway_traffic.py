"""What both gateway benchmarks need: states of real episodes, a stub upstream and clients, each in its own process.

python benchmarks/gateway_traffic.py upstream STATES PORT SECONDS
python benchmarks/gateway_traffic.py clients < ORDER       # an Order as JSON; prints a Measured as JSON
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CHAT = "/v1/chat/completions"
_NUMBER = b"############"  # where a request's number goes, of the same length


@dataclass(frozen=True)
class Order:
    """What the clients do."""

    port: int
    states: str  # file of collect_states
    clients: int
    requests: int  # of all clients together
    extra: dict[str, Any] = field(default_factory=dict[str, Any])  # added to every body
    per_second: float = 0.0  # of all clients together, exponential pauses; 0: the next request at once
    seed: int = 0


@dataclass(frozen=True)
class Measured:
    """What they saw."""

    milliseconds: list[float]
    seconds: float
    errors: int
    guided: int


def collect_states(path: Path, episodes: int = 12) -> int:
    """States of WebShop episodes of the embedded policy with 8 samples each; returns how many."""
    import torch

    from agentq.backbones import BackboneConfig, load_backbone
    from agentq.policies.huggingface import HuggingFacePolicy
    from agentq_envs.webshop.env import WebShopEnv

    torch.set_num_threads(1)
    policy = HuggingFacePolicy(load_backbone(BackboneConfig(name="embedded")), 0.8)
    env, states = WebShopEnv(), []
    for seed in range(episodes):
        info = env.reset(seed=seed)[1]
        for step in range(6):
            (found,) = policy.propose([info["messages"]], 8, [seed * 10 + step], [info["admissible_actions"]])
            samples = [[c.text, sum(c.token_logprobs)] for c in found for _ in range(c.count)]
            states.append({"messages": list(info["messages"]), "samples": samples})
            _, _, terminated, truncated, info = env.step(found[0].action or "")
            if terminated or truncated:
                break
    path.write_text(json.dumps(states))
    return len(states)


@contextmanager
def stub_upstream(states: Path, seconds: float = 0.05) -> Iterator[str]:
    """A server that answers after ``seconds``, in its own process; yields its address."""
    port = free_port()
    words = [sys.executable, __file__, "upstream", str(states), str(port), str(seconds)]
    with running(words, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def gateway(upstream: str, *options: str) -> Iterator[tuple[int, int]]:
    """``agentq serve`` in its own process; yields its port and process id."""
    port = free_port()
    words = [
        sys.executable,
        "-m",
        "agentq.cli",
        "serve",
        "--upstream",
        upstream,
        "--port",
        str(port),
        *options,
    ]
    with running(words, port) as pid:
        yield port, pid


@contextmanager
def running(words: list[str], port: int) -> Iterator[int]:
    """A process that listens on ``port``; its own words go nowhere."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while True:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{' '.join(words[1:4])} did not start; run it by hand to see why")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def measured(order: Order) -> Measured:
    """The clients' work, in a process of their own."""
    words = [sys.executable, __file__, "clients"]
    done = subprocess.run(words, input=json.dumps(asdict(order)), capture_output=True, text=True, check=True)
    return Measured(**json.loads(done.stdout))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def quantile(values: list[float], share: float) -> float:
    """The value below which ``share`` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def serve_upstream(states: Path, port: int, seconds: float) -> None:
    """Answers every POST with n samples of the state that its last message is."""
    samples = {s["messages"][-1]["content"]: s["samples"] for s in json.loads(states.read_text())}

    def answer(raw: bytes) -> bytes:
        body = json.loads(raw) if raw else {}
        found = samples.get(body.get("messages", [{"content": ""}])[-1]["content"], [["go", -1.0]])
        choices = []
        for i in range(body.get("n", 1)):
            text, logprob = found[i % len(found)]
            tokens = {"content": [{"token": text, "logprob": logprob}]} if body.get("logprobs") else None
            message = {"role": "assistant", "content": text}
            choices.append({"index": i, "message": message, "logprobs": tokens, "finish_reason": "stop"})
        usage = {"prompt_tokens": 200, "completion_tokens": 8, "total_tokens": 208}
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": "stub"}
        return json.dumps({**head, "choices": choices, "usage": usage}).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (message := await _message(reader)) is not None:
                data = answer(message[1])
                await asyncio.sleep(seconds)
                head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
                writer.write(head.encode() + data)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # its client has gone
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def run_clients(order: Order) -> Measured:
    """Every client keeps one connection and sends its share of the requests."""
    states = json.loads(Path(order.states).read_text())
    requests = [_request(_asked(s["messages"], order.extra)) for s in states]
    numbers = itertools.count(order.seed * 10_000_000)
    times: list[float] = []
    counts = {"errors": 0, "guided": 0}
    left = iter(range(order.requests))

    async def client(number: int) -> None:
        rng = random.Random(order.seed * 1000 + number)
        reader, writer = await asyncio.open_connection("127.0.0.1", order.port)
        for _ in left:
            if order.per_second:
                await asyncio.sleep(rng.expovariate(order.per_second / order.clients))
            began = time.perf_counter()
            writer.write(rng.choice(requests).replace(_NUMBER, b"%012d" % next(numbers)))
            message = await _message(reader)
            times.append(1000 * (time.perf_counter() - began))
            counts["errors"] += message is None or not message[0].startswith(b"HTTP/1.1 200")
            counts["guided"] += message is not None and b"x-agentq-guided: true" in message[0].lower()
            if message is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", order.port)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(order.clients)))
    return Measured(times, time.perf_counter() - began, counts["errors"], counts["guided"])


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    """Head and body of an HTTP message with a content-length; None at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    lowered = head.lower()
    place = lowered.find(b"content-length:")
    size = 0 if place < 0 else int(lowered[place + 15 : lowered.index(b"\r", place)])
    return head, await reader.readexactly(size) if size else b""


def _asked(messages: list[dict[str, Any]], extra: dict[str, Any]) -> dict[str, Any]:
    """A body whose first words are its own: no two requests begin alike, so no critic has read one before."""
    first = {"role": "system", "content": f"Episode {_NUMBER.decode()}."}
    return {"model": "stub", "messages": [first, *messages], **extra}


def _request(body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


def main(words: list[str]) -> None:
    """The two processes of this module."""
    if words[0] == "upstream":
        asyncio.run(serve_upstream(Path(words[1]), int(words[2]), float(words[3])))
    else:
        found = asyncio.run(run_clients(Order(**json.loads(sys.stdin.read()))))
        print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main(sys.argv[1:])
