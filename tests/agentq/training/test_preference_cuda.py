"""DPO on a GPU, also on a base in 4 bits: it learns, the adapter switched off is the base, the folder comes back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentq.backbones import Backbone, BackboneConfig, LoraSettings, load_backbone
from agentq.critics.loading import load_critic
from agentq.critics.preference import PreferenceCritic
from agentq.scoring.replies import reply_logprobs
from agentq.training.preference import PreferenceFit, PreferenceTraining, fit_preference
from agentq.types import Candidate
from tests.agentq.critics.test_preference import batch, with_adapter
from tests.agentq.training.test_preference_training import pairs

pytestmark = pytest.mark.cuda

#: Ten steps between two lines of the log; the second line is that of the last ten steps.
SETTINGS = PreferenceTraining(beta=0.5, epochs=10, learning_rate=3e-3, batch_size=6, warmup=0.0)
KINDS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"dtype": "bfloat16"},
    "4bit": {"dtype": "bfloat16", "quantization": "4bit"},
}


@pytest.fixture(scope="module", params=KINDS)
def config(request: pytest.FixtureRequest, gpu: str) -> BackboneConfig:
    if request.param == "4bit":
        pytest.importorskip("bitsandbytes")
    return BackboneConfig(device=gpu, **KINDS[request.param])


@pytest.fixture(scope="module")
def fit(config: BackboneConfig, tmp_path_factory: pytest.TempPathFactory) -> PreferenceFit:
    folder = tmp_path_factory.mktemp("training")
    return fit_preference(pairs(), config, SETTINGS, LoraSettings(r=4), directory=folder)


def logprobs(backbone: Backbone) -> list[torch.Tensor]:
    states = batch()
    prompts = [backbone.prompt_ids(messages) for messages, _ in states]
    replies = [[backbone.action_ids(c.text) for c in some] for _, some in states]
    with torch.no_grad():
        return reply_logprobs(backbone, prompts, replies)


def test_it_learns_what_is_preferred(fit: PreferenceFit, gpu: str) -> None:
    assert fit.metrics["loss"] < 0.8 * math.log(2)
    assert fit.metrics["rewards/accuracies"] > 0.9
    assert fit.critic.backbone.device.type == gpu
    unseen = [{"role": "user", "content": "Goal: a mug number 77\nPage: results 1, 2 found"}]
    ((first, second),) = fit.critic.score(
        [(unseen, [Candidate("click[first]", "click[first]"), Candidate("click[second]", "click[second]")])]
    )
    assert second > first


def test_without_its_adapter_it_is_the_base(fit: PreferenceFit, config: BackboneConfig) -> None:
    base = load_backbone(config)
    assert fit.critic.backbone.fingerprint == base.fingerprint
    with fit.critic.as_reference() as reference:
        off = logprobs(reference)
    for found, plain, on in zip(off, logprobs(base), logprobs(fit.critic.backbone), strict=True):
        assert torch.equal(found, plain)
        assert not torch.equal(on, plain)


def test_its_folder_gives_the_same_scores(fit: PreferenceFit, tmp_path: Path, gpu: str) -> None:
    folder = fit.critic.save_pretrained(tmp_path / "critic")
    again = load_critic(folder, device=gpu)
    assert isinstance(again, PreferenceCritic)
    assert again.fingerprint == fit.critic.fingerprint
    given = PreferenceCritic.from_pretrained(folder, load_backbone(again.backbone.config))
    for found, other, expected in zip(
        again.score(batch()), given.score(batch()), fit.critic.score(batch()), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_allclose(other, expected, atol=1e-6)


def test_a_critic_of_the_cpu_has_the_same_values(gpu: str, tmp_path: Path) -> None:
    made = PreferenceCritic(with_adapter())
    moved = load_critic(made.save_pretrained(tmp_path / "critic"), device=gpu)
    for read_out in ("sum_logratio", "mean_logratio", "official_logit_diff"):
        moved = PreferenceCritic.from_pretrained(tmp_path / "critic", device=gpu, read_out=read_out)
        here = PreferenceCritic.from_pretrained(tmp_path / "critic", device="cpu", read_out=read_out)
        for found, expected in zip(moved.score(batch()), here.score(batch()), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_base_in_4_bits_has_one_fingerprint(gpu: str) -> None:
    """Else a critic on it could not be used on another machine than that of its training."""
    pytest.importorskip("bitsandbytes")
    on_gpu, on_cpu = (load_backbone(BackboneConfig(device=d, **KINDS["4bit"])) for d in (gpu, "cpu"))
    assert on_gpu.fingerprint == on_cpu.fingerprint
