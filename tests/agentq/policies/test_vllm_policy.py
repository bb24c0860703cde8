"""The in-process policy with the real package, in vLLM's own interpreter; transformers is the reference."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from agentq.backbones import BackboneConfig, load_backbone
from agentq.backbones.loading import resolve_name
from agentq.errors import ConfigError, MissingExtraError
from agentq.policies.vllm import VLLMPolicy
from tests.servers.vllm import vllm_python, vllm_variables

ROOT = Path(__file__).resolve().parents[3]
TOLERANCE = 1e-3  # nats, between two kernels of one float32 model


@pytest.fixture(scope="module")
def proposed() -> Any:
    done = subprocess.run(
        [vllm_python(), str(Path(__file__).parent / "vllm_child.py"), resolve_name("embedded")],
        env={**vllm_variables(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(lines[0].removeprefix("RESULT "))


@pytest.mark.vllm
@pytest.mark.slow
def test_samples_keep_ids_and_log_probabilities_equal_to_transformers(proposed: Any) -> None:
    backbone = load_backbone(BackboneConfig())
    prompt = backbone.prompt_ids([{"role": "user", "content": "WebShop\nInstruction: red mug\n[Search]"}])
    (candidates,) = proposed["eight"]
    assert sum(candidate["count"] for candidate in candidates) == 8
    for candidate in candidates:
        ids = torch.tensor(candidate["token_ids"])
        with torch.no_grad():
            logits = backbone.model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
        expected = logits.log_softmax(-1).gather(1, ids[:, None])[:, 0]
        assert (expected - torch.tensor(candidate["token_logprobs"])).abs().max() < TOLERANCE


@pytest.mark.vllm
@pytest.mark.slow
def test_a_sample_depends_on_state_seed_and_number_alone(proposed: Any) -> None:
    (eight,), (four, _) = proposed["eight"], proposed["four"]
    assert [c["text"] for c in four] == [c["text"] for c in eight][: len(four)]
    assert sum(c["count"] for c in four) == 4


@pytest.mark.vllm
@pytest.mark.slow
def test_constraints_statistics_and_refusals(proposed: Any) -> None:
    (choices,), (slot,) = proposed["choices"], proposed["slot"]
    assert {c["action"] for c in choices} <= {"click[buy now]", "click[back]"}
    assert sum(c["count"] for c in choices) == 8
    assert any(c["action"] for c in slot)
    assert all(c["text"].startswith("search[") for c in slot)
    assert all(c["action"] is None or c["action"].endswith("]") for c in slot)
    assert proposed["too_long"].startswith("CandidateError: vLLM refused the batch")
    statistics = proposed["statistics"]
    assert (statistics["states"], statistics["candidates"]) == (5, 32)
    assert statistics["sampled_tokens"] < statistics["computed_tokens"]


def test_without_vllm_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)  # what an import finds that is not installed
    with pytest.raises(MissingExtraError, match=r'pip install "agentq\[vllm\]"'):
        VLLMPolicy("embedded")
    with pytest.raises(ConfigError, match="max_new_tokens=0"):
        VLLMPolicy("embedded", max_new_tokens=0)
