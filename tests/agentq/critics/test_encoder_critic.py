"""Heads on an encoder: the same features as in training, and a checkpoint that comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agentq.backbones import Backbone
from agentq.critics.heads import HeadSettings, QHeads
from agentq.critics.q_head import QCritic, QCriticConfig
from agentq.errors import ConfigError, FeatureError
from agentq.features import FeatureExtractor
from agentq.features.grounding import quoted_line
from agentq.types import Candidate

PAGE = [{"role": "user", "content": "Goal: red mug\nRed mug 8 $ [ b01 ]\nBlue cup 5 $ [ b02 ]"}]
ACTIONS = ["click[b01]", "click[b02]", "click[b01]"]
GROUNDING = "agentq.features.grounding:quoted_line"


def new_critic(encoder: Backbone, **settings: str) -> QCritic:
    heads = QHeads(64, HeadSettings(heads=2, hidden=(8,), state_heads=2), 16)
    return QCritic(encoder, heads, QCriticConfig(pooling="mean", grounding=GROUNDING, **settings))  # type: ignore[arg-type]


def test_values_are_the_heads_on_the_extractors_features(encoder: Backbone) -> None:
    critic = new_critic(encoder)
    candidates = [Candidate(text=a, action=a) for a in ACTIONS] + [
        Candidate(text="?", action=None, error="no")
    ]
    q = critic.score([(PAGE, candidates)])[0]
    features = FeatureExtractor(encoder, pooling="mean", grounding=quoted_line).pairs(
        [(PAGE, a) for a in ACTIONS]
    )
    expected = critic.heads.q_values(torch.from_numpy(features)).amin(dim=0).detach().numpy()
    np.testing.assert_allclose(q[:3], expected, atol=1e-5)
    assert q[0] == q[2] != q[1]
    assert q[3] == -np.inf


def test_state_values_read_the_state_alone(encoder: Backbone) -> None:
    critic = new_critic(encoder)
    values = critic.state_values([PAGE])
    state = FeatureExtractor(encoder, pooling="mean").states([PAGE])
    expected = critic.heads.state_values(torch.from_numpy(state)).T.detach().numpy()
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_reloaded_critic_gives_the_same_bits(encoder: Backbone, tmp_path: Path) -> None:
    critic = new_critic(encoder)
    folder = critic.save_pretrained(tmp_path / "critic", save_backbone=True)
    again = QCritic.from_pretrained(folder, device="cpu")
    batch = [(PAGE, [Candidate(text=a, action=a) for a in ACTIONS])]
    np.testing.assert_array_equal(critic.score(batch)[0], again.score(batch)[0])
    assert again.backbone.kind == "encoder"


def test_pooling_over_the_action_and_long_texts_are_refused(encoder: Backbone) -> None:
    with pytest.raises(ConfigError, match="mean or cls"):
        QCritic(encoder, QHeads(64, HeadSettings(hidden=(8,))), QCriticConfig(pooling="last"))
    long = [{"role": "user", "content": "mug " * 200}]
    batch = [(long, [Candidate(text="a", action="click[b01]")])]
    with pytest.raises(FeatureError, match="64"):
        new_critic(encoder).score(batch)
    with pytest.warns(UserWarning, match="cut"):
        assert np.isfinite(new_critic(encoder, truncation="left").score(batch)[0]).all()
