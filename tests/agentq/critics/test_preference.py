"""The preference critic: its values against plain forwards, its reference, its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from agentq.backbones import BackboneConfig, LoraSettings, load_backbone
from agentq.backbones.backbone import Backbone
from agentq.critics.base import Critic
from agentq.critics.loading import load_critic
from agentq.critics.preference import PreferenceConfig, PreferenceCritic
from agentq.errors import CheckpointError, ConfigError, CriticError
from agentq.objectives.dpo import ReadOut, read_q
from agentq.types import Candidate

STATES = [
    [
        {
            "role": "user",
            "content": "Goal: a red mug, price lower than 20 dollars\nDone: nothing\nPage: search",
        }
    ],
    [{"role": "user", "content": "Goal: blue shoes\nDone: search[shoes]\nPage: results 1, 3 found"}],
]
TEXTS = (["search[red mug]", "search[mug]", "click[buy now]"], ["click[back to search]", "click[next >]"])


def candidates(texts: list[str]) -> list[Candidate]:
    return [Candidate(text, text) for text in texts]


def batch() -> list[tuple[Any, list[Candidate]]]:
    return [(state, candidates(texts)) for state, texts in zip(STATES, TEXTS, strict=True)]


def with_adapter(seed: int = 0) -> Backbone:
    """The embedded model with an adapter that changes something: fresh ones are the identity."""
    backbone = load_backbone(BackboneConfig(lora=LoraSettings(r=4), device="cpu"))
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in backbone.model.named_parameters():
        if "lora_B" in name:
            parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    return backbone


@pytest.fixture(scope="module")
def base() -> Backbone:
    return load_backbone(BackboneConfig(device="cpu"))


@pytest.fixture(scope="module")
def adapted() -> Backbone:
    return with_adapter()


def plain_logits(backbone: Backbone, state: Any, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that predict the reply's tokens, by one forward over everything."""
    prompt, reply = backbone.prompt_ids(state), backbone.action_ids(text)
    with torch.no_grad():
        logits = backbone.model(torch.tensor([[*prompt, *reply]])).logits[:, len(prompt) - 1 : -1]
    return logits.double(), torch.tensor([reply])


@pytest.mark.parametrize("read_out", get_args(ReadOut))
def test_values_equal_plain_forwards_of_two_separate_models(
    adapted: Backbone, base: Backbone, read_out: ReadOut
) -> None:
    critic = PreferenceCritic(adapted, config=PreferenceConfig(read_out, beta=0.3))
    for state, texts, found in zip(STATES, TEXTS, critic.score(batch()), strict=True):
        for text, value in zip(texts, found, strict=True):
            policy, tokens = plain_logits(adapted, state, text)
            reference, _ = plain_logits(base, state, text)  # loaded apart: it never had an adapter
            wanted = read_q(policy, reference, tokens, torch.ones_like(tokens), read_out=read_out, beta=0.3)
            assert value == pytest.approx(wanted.item(), abs=2e-5)


def test_reference_is_the_base_model_with_the_adapter_off_and_on_again(
    adapted: Backbone, base: Backbone
) -> None:
    critic = PreferenceCritic(adapted)
    before, _ = plain_logits(adapted, STATES[0], TEXTS[0][0])
    with critic.as_reference() as reference:
        off, _ = plain_logits(reference, STATES[0], TEXTS[0][0])
    after, _ = plain_logits(adapted, STATES[0], TEXTS[0][0])
    plain, _ = plain_logits(base, STATES[0], TEXTS[0][0])
    assert torch.equal(off, plain)
    assert torch.equal(before, after)
    assert (before - plain).abs().max() > 1e-3


def test_no_second_copy_of_the_weights(adapted: Backbone) -> None:
    critic = PreferenceCritic(adapted)
    with critic.as_reference() as reference:
        assert reference.model is adapted.model
    count = sum(p.numel() for n, p in adapted.model.named_parameters() if "lora_" not in n)
    assert count == sum(p.numel() for p in load_backbone(BackboneConfig(device="cpu")).model.parameters())


def test_an_untrained_adapter_values_everything_zero() -> None:
    critic = PreferenceCritic(load_backbone(BackboneConfig(lora=LoraSettings(r=4), device="cpu")))
    for found in critic.score(batch()):
        np.testing.assert_allclose(found, 0.0, atol=1e-9)


def test_batched_equals_single_and_shared_equals_one_by_one(adapted: Backbone) -> None:
    shared = PreferenceCritic(adapted)
    slow = PreferenceCritic(adapted, config=PreferenceConfig(method="one_by_one"))
    together = shared.score(batch())
    for state, found, reference in zip(batch(), together, slow.score(batch()), strict=True):
        np.testing.assert_allclose(found, shared.score([state])[0], atol=1e-5)
        np.testing.assert_allclose(found, reference, atol=1e-5)


def test_two_models_equal_one_with_an_adapter(adapted: Backbone, base: Backbone) -> None:
    one, two = PreferenceCritic(adapted), PreferenceCritic(adapted, base)
    for a, b in zip(one.score(batch()), two.score(batch()), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_contract(adapted: Backbone) -> None:
    critic = PreferenceCritic(adapted)
    assert isinstance(critic, Critic)
    mixed = [
        Candidate("click[a]", "click[a]"),
        Candidate("???", None, "no action in it"),
        Candidate("click[a]", "click[a]"),
    ]
    (scores,) = critic.score_heads([(STATES[0], mixed)])
    assert scores.q[1] == -np.inf
    assert scores.reasons[1] == "no action in it"
    assert scores.q[0] == scores.q[2]
    assert scores.head_q is not None
    assert scores.head_q.shape == (1, 3)
    with pytest.raises(CriticError, match="no candidates"):
        critic.score([(STATES[0], [])])
    assert critic.score([]) == []


def test_the_whole_reply_is_scored_or_the_action_alone(adapted: Backbone) -> None:
    thought = [Candidate("I need mugs. search[mug]", "search[mug]")]
    whole = PreferenceCritic(adapted).score([(STATES[0], thought)])[0]
    action = PreferenceCritic(adapted, config=PreferenceConfig(reply="action")).score([(STATES[0], thought)])[
        0
    ]
    alone = PreferenceCritic(adapted).score([(STATES[0], [Candidate("search[mug]", "search[mug]")])])[0]
    assert action == alone
    assert whole != alone


def test_what_an_action_refers_to_is_read_behind_its_reply(adapted: Backbone) -> None:
    quoted = PreferenceConfig(grounding="agentq.features.grounding:quoted_line")
    state = [{"role": "user", "content": "Goal: a mug\n[b1] a red mug\n[b2] a bowl"}]
    found = PreferenceCritic(adapted, config=quoted).score(
        [(state, [Candidate("I take click[b1]", "click[b1]"), Candidate("search[x]", "search[x]")])]
    )[0]
    written = candidates(["I take click[b1]\n[b1] a red mug", "search[x]"])
    np.testing.assert_array_equal(found, PreferenceCritic(adapted).score([(state, written)])[0])
    alone = PreferenceCritic(adapted, config=replace(quoted, reply="action"))
    np.testing.assert_array_equal(
        alone.score([(state, [Candidate("I take click[b1]", "click[b1]")])])[0],
        PreferenceCritic(adapted).score([(state, candidates(["click[b1]\n[b1] a red mug"]))])[0],
    )
    assert PreferenceCritic(adapted, config=quoted).fingerprint != PreferenceCritic(adapted).fingerprint


def test_a_downloaded_grounding_runs_only_when_trusted(adapted: Backbone, tmp_path: Path) -> None:
    critic = PreferenceCritic(adapted, config=PreferenceConfig(grounding="textwrap:indent"))
    folder = critic.save_pretrained(tmp_path / "critic")
    with pytest.raises(CheckpointError, match="trust_grounding=True"):
        PreferenceCritic.from_pretrained(folder, device="cpu")
    trusted = PreferenceCritic.from_pretrained(folder, device="cpu", trust_grounding=True)
    assert trusted.grounding is critic.grounding is not None
    with pytest.raises(ConfigError, match="cannot be imported"):
        PreferenceCritic(adapted, config=PreferenceConfig(grounding="nowhere:at_all"))


def test_folder_round_trip_by_its_kind(adapted: Backbone, tmp_path: Path) -> None:
    critic = PreferenceCritic(
        adapted, config=PreferenceConfig("mean_logratio", beta=0.2, training={"data_hash": "x"})
    )
    folder = critic.save_pretrained(tmp_path / "critic")
    again = load_critic(folder, device="cpu")
    assert isinstance(again, PreferenceCritic)
    assert again.config == critic.config
    assert again.fingerprint == critic.fingerprint
    for a, b in zip(critic.score(batch()), again.score(batch()), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert not [f for f in folder.rglob("*") if f.suffix in (".bin", ".pt", ".pkl")]
    summed = PreferenceCritic.from_pretrained(folder, device="cpu", read_out="sum_logratio")
    assert summed.fingerprint != critic.fingerprint


def test_a_given_backbone_is_left_without_adapter(adapted: Backbone, base: Backbone, tmp_path: Path) -> None:
    folder = PreferenceCritic(adapted).save_pretrained(tmp_path / "critic")
    before, _ = plain_logits(base, STATES[0], "click[a]")
    critic = PreferenceCritic.from_pretrained(folder, base)
    after, _ = plain_logits(base, STATES[0], "click[a]")
    assert torch.equal(before, after)
    assert not any("lora_" in name for name, _ in base.model.named_parameters())
    assert abs(critic.score(batch())[0]).max() > 0


def test_refuses_other_weights_and_other_templates(adapted: Backbone, tmp_path: Path) -> None:
    folder = PreferenceCritic(adapted).save_pretrained(tmp_path / "critic")
    config = json.loads((folder / "config.json").read_text())
    for key, words in (("fingerprint", "belongs to backbone"), ("template_fingerprint", "chat template")):
        changed = {**config, "backbone": {**config["backbone"], key: "0" * 64}}
        (folder / "config.json").write_text(json.dumps(changed))
        with pytest.raises(CheckpointError, match=words):
            PreferenceCritic.from_pretrained(folder, device="cpu")
    (folder / "config.json").write_text(json.dumps({**config, "format": 99}))
    with pytest.raises(CheckpointError, match="Upgrade agentq"):
        PreferenceCritic.from_pretrained(folder, device="cpu")


def test_refuses_a_missing_adapter_and_a_reference_too_many(
    adapted: Backbone, base: Backbone, tmp_path: Path
) -> None:
    folder = PreferenceCritic(adapted).save_pretrained(tmp_path / "critic")
    with pytest.raises(CheckpointError, match="reference inside"):
        PreferenceCritic.from_pretrained(folder, reference=base, device="cpu")
    (folder / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="adapter_model"):
        PreferenceCritic.from_pretrained(folder, device="cpu")


def test_refuses_a_model_that_is_its_own_reference(base: Backbone) -> None:
    with pytest.raises(ConfigError, match="no LoRA adapter"):
        PreferenceCritic(base)


def test_two_full_models_as_a_folder(base: Backbone, tmp_path: Path) -> None:
    tuned = load_backbone(BackboneConfig(device="cpu"))
    with torch.no_grad():
        for parameter in tuned.model.parameters():
            parameter.mul_(1.02)
    critic = PreferenceCritic(tuned, base)
    folder = critic.save_pretrained(tmp_path / "critic", save_backbone=True)
    again = load_critic(folder, device="cpu")
    for a, b in zip(critic.score(batch()), again.score(batch()), strict=True):
        assert abs(a).max() > 1e-3
        np.testing.assert_allclose(a, b, atol=1e-6)
