"""Guide, log, learn, guide better: the whole loop with the commands that a person types."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import torch

from agentq.backbones import BackboneConfig, load_backbone
from agentq.policies.huggingface import HuggingFacePolicy
from agentq.trajectories import TrajectoryReader
from agentq_envs.webshop.env import WebShopEnv
from tests.servers.policy import policy_script
from tests.servers.upstream import StubUpstream

ROOT = Path(__file__).resolve().parents[3]
#: One thread each: a server, a policy and a client share the machine, and torch's threads wait for each other.
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


@contextmanager
def agentq_serve(*options: str) -> Iterator[str]:
    """The command in a process of its own; yields its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "agentq.cli", "serve", "--port", str(port), *options]
    process = subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                httpx.get(f"{address}/health", timeout=5)
                break
            except httpx.TransportError:
                assert process.poll() is None, process.communicate()[1].decode()[-2000:]
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=30)


def play(address: str, seeds: range, name: str) -> list[str]:
    """An agent that only knows an address plays episodes; returns whether each of its requests was guided."""
    env = WebShopEnv(max_steps=5)
    guided: list[str] = []
    for seed in seeds:
        info = env.reset(seed=seed)[1]
        ended = False
        while not ended:
            body = {
                "model": "tiny",
                "messages": list(info["messages"]),
                "admissible": info["admissible_actions"],
                "agentq": {"session": f"{name}-{seed}"},
            }
            answer = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=60)
            assert answer.status_code == 200, answer.text
            guided.append(answer.headers["x-agentq-guided"])
            action = answer.json()["choices"][0]["message"]["content"]
            _, reward, done, cut, info = env.step(action)
            ended = done or cut
            feedback = {"session": f"{name}-{seed}", "reward": float(reward), "done": done, "truncated": cut}
            if done:
                feedback["success"] = bool(info["success"])
            told = httpx.post(f"{address}/v1/agentq/feedback", json=feedback, timeout=60)
            assert told.json()["closed"] == ended
    return guided


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_gateway_learns_from_its_own_traffic(tmp_path: Path) -> None:
    policy = HuggingFacePolicy(load_backbone(BackboneConfig(name="embedded")), 0.8)
    stub = StubUpstream(policy_script(policy))
    log, run = tmp_path / "log", tmp_path / "run"
    options = (
        "--upstream",
        stub.url,
        "--n",
        "4",
        "--log",
        str(log),
        "--deadline",
        "30",
        "--logprobs",
        "always",
    )
    with agentq_serve(*options, "--critic", "none") as address:
        assert set(play(address, range(6), "before")) == {"false"}
    assert len(TrajectoryReader(log)) == 6
    done = subprocess.run(
        [sys.executable, "recipes/train_qvalue.py", f"--log={log}", f"--output={run}", "--evaluation=none",
         "--critic.training.steps=20", "--critic.validation_share=0.3"],
        cwd=ROOT, capture_output=True, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "learning from its returns alone" in done.stdout
    with agentq_serve(*options, "--critic", str(run / "critic"), "--critic-process") as address:
        assert set(play(address, range(6, 8), "after")) == {"true"}
    stub.stop()
    episodes = {episode.id: episode.trajectory for episode in TrajectoryReader(log)}
    assert len(episodes) == 8
    before, after = episodes["before-0"], episodes["after-6"]
    assert before.metadata["critic"] == "none"
    assert after.metadata["critic"] == str(run / "critic")
    assert after.metadata["critic_fingerprint"]
    assert set(before.steps[0].decision.flags) == {"unguided", "no_critic"}
    decision = after.steps[0].decision
    assert decision.head_q is not None
    assert decision.head_q.shape == (3, len(decision.candidates))
    assert decision.chosen.logprob is not None
    assert decision.q[decision.index] == decision.q.max()
    assert all(t.steps[-1].terminated != t.steps[-1].truncated for t in episodes.values())
