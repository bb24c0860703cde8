from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from agentq.backbones import Backbone, BackboneConfig, LoraSettings, load_backbone
from agentq.cli import main
from agentq.critics.exports.formats import export_critic, merged
from agentq.critics.exports.linear import fold_heads
from agentq.critics.exports.names import export_format_names
from agentq.critics.heads import HeadSettings, QHeads
from agentq.critics.q_head import QCritic, QCriticConfig
from agentq.critics.requests import request_tokens, score_request
from agentq.errors import CheckpointError, ConfigError
from agentq.scoring import score_features
from tests.agentq.critics.trained_critics import LINEAR, states, train_critic


@pytest.fixture(scope="module")
def tuned(tiny_model_folder: Path) -> QCritic:
    return train_critic(str(tiny_model_folder))


@pytest.fixture(scope="module")
def plain(tiny_model_folder: Path) -> Backbone:
    return load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))


def critic_on(backbone: Backbone, heads: HeadSettings = LINEAR, **config: Any) -> QCritic:
    columns = 2 if config.get("proposal") == "likelihood" else 0
    return QCritic(backbone, QHeads(backbone.hidden_size + columns, heads), QCriticConfig(**config))


def test_transformers_reads_the_heads_as_labels(tuned: QCritic, tmp_path: Path) -> None:
    exported = export_critic(tuned, "sequence-classification", tmp_path / "served")
    model: Any = AutoModelForSequenceClassification.from_pretrained(exported.folder)
    assert type(model).__name__ == "Qwen3ForSequenceClassification"
    assert model.config.num_labels == 3
    messages, candidates = states()[0]
    request = score_request(0, messages, candidates, "none")
    prompt, actions = request_tokens(request, tuned.backbone, None, 2048)
    pad = model.config.pad_token_id
    width = len(prompt) + max(map(len, actions))
    ids = torch.full((len(actions), width), pad)
    for row, action in enumerate(actions):
        ids[row, : len(prompt) + len(action)] = torch.tensor([*prompt, *action])
    with torch.no_grad():
        labels = model(input_ids=ids, attention_mask=ids != pad).logits.T.numpy()  # (K, actions)
    offset = fold_heads(tuned.heads, "none").offset.numpy()[:, None]
    expected = tuned.score_heads(states())[0].head_q
    assert expected is not None
    np.testing.assert_allclose((labels + offset)[:, request.column[:-1]], expected[:, :-1], atol=1e-5)
    assert np.ptp(expected[:, :-1]) > 0.01  # the labels tell candidates apart


def test_merging_adapters_changes_no_hidden_state(tuned: QCritic, plain: Backbone) -> None:
    backbone = tuned.backbone
    whole = Backbone(merged(backbone), backbone.tokenizer, backbone.config)
    prompt = backbone.prompt_ids(states()[0][0])
    actions = [backbone.action_ids(text) for text in ("buy", "search[mug]")]
    found, expected, base = (
        score_features(b, [prompt], [actions], (-1,), "last")[0].detach() for b in (whole, backbone, plain)
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (expected - base).abs().max() > 1e-2  # the adapters do something
    assert any("lora_" in name for name, _ in backbone.model.named_parameters())  # and are still there


def test_folded_heads_equal_the_heads() -> None:
    heads = QHeads(10, HeadSettings(heads=4, hidden=(), input_norm=False))
    rng = np.random.default_rng(1)
    heads.q.standardise(rng.normal(size=10), rng.uniform(0.1, 3, size=10))
    features = torch.randn(7, 10, generator=torch.Generator().manual_seed(0))
    folded = fold_heads(heads, "likelihood")
    found = features[:, :8] @ folded.weight.T + features[:, 8:] @ folded.proposal_weight.T + folded.offset
    torch.testing.assert_close(found.T, heads(features).detach())
    torch.testing.assert_close(folded.mean().offset[0], folded.offset.mean())


def test_one_label_for_heads_that_are_averaged(plain: Backbone, tmp_path: Path) -> None:
    critic = critic_on(plain, aggregation="mean")
    export_critic(critic, "sequence-classification", tmp_path / "one", join_heads=True)
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    assert config["id2label"] == {"0": "q0"}
    with pytest.raises(ConfigError, match="by 'min'"):
        export_critic(critic_on(plain), "sequence-classification", tmp_path / "two", join_heads=True)
    with pytest.raises(ConfigError, match="has no labels"):
        export_critic(critic, "hidden-states", tmp_path / "two", join_heads=True)


@pytest.mark.parametrize(
    ("heads", "config", "name", "reason"),
    [
        (HeadSettings(hidden=(8,), input_norm=False), {}, "sequence-classification", r"hidden layers \(8,\)"),
        (HeadSettings(hidden=()), {}, "sequence-classification", "input_norm"),
        (LINEAR, {"layers": (-2,)}, "hidden-states", r"layers \(-2,\) of 2"),
        (LINEAR, {"layers": (0, -1)}, "sequence-classification", r"layers \(0, -1\)"),
        (LINEAR, {"pooling": "mean"}, "hidden-states", "pools by 'mean'"),
    ],
)
def test_what_cannot_be_expressed_is_refused_with_the_reason(
    plain: Backbone, tmp_path: Path, heads: HeadSettings, config: dict[str, Any], name: str, reason: str
) -> None:
    wide = QHeads(32 * len(config.get("layers", (1,))), heads)
    with pytest.raises(ConfigError, match=reason):
        export_critic(QCritic(plain, wide, QCriticConfig(**config)), name, tmp_path / "no")
    assert not list(tmp_path.iterdir())


def test_all_reasons_are_named_at_once(plain: Backbone, tmp_path: Path) -> None:
    critic = critic_on(plain, HeadSettings(hidden=(8,)), pooling="mean")
    with pytest.raises(ConfigError, match=r"mean.*hidden layers.*input_norm"):
        export_critic(critic, "sequence-classification", tmp_path / "no")


def test_encoders_and_quantised_backbones_are_refused(plain: Backbone, tmp_path: Path) -> None:
    for change, reason in (({"kind": "encoder"}, "is an encoder"), ({"quantization": "8bit"}, "8bit")):
        config = replace(plain.config, **change)  # pyright: ignore[reportArgumentType]
        critic = critic_on(plain)
        critic.backbone = Backbone(plain.model, plain.tokenizer, config)
        with pytest.raises(ConfigError, match=reason):
            export_critic(critic, "hidden-states", tmp_path / "no")


def test_padding_is_never_the_token_that_ends_an_action(tiny_model_folder: Path, tmp_path: Path) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))
    backbone.tokenizer.pad_token = backbone.tokenizer.eos_token
    export_critic(critic_on(backbone), "sequence-classification", tmp_path / "served")
    config = json.loads((tmp_path / "served" / "config.json").read_text())
    assert config["pad_token_id"] != backbone.end_id


def test_a_model_that_computes_something_else_is_not_written(
    plain: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentq.critics.exports import sequence_classification as module

    monkeypatch.setattr(module, "read", lambda folder, dtype, rows: torch.zeros(len(rows), 3))
    with pytest.raises(CheckpointError, match="other values than the critic"):
        export_critic(critic_on(plain), "sequence-classification", tmp_path / "no")
    assert not list(tmp_path.iterdir())


def test_only_an_export_is_replaced(plain: Backbone, tmp_path: Path) -> None:
    critic = critic_on(plain)
    export_critic(critic, "hidden-states", tmp_path / "served")
    export_critic(critic, "sequence-classification", tmp_path / "served")
    assert "Classification" in (tmp_path / "served" / "config.json").read_text()
    with pytest.raises(ConfigError, match="no exported critic"):
        export_critic(critic, "hidden-states", tmp_path)


def test_adapters_are_part_of_the_fingerprint(tiny_model_folder: Path, plain: Backbone) -> None:
    with_adapters = load_backbone(
        BackboneConfig(name=str(tiny_model_folder), device="cpu", lora=LoraSettings(r=2))
    )
    assert with_adapters.fingerprint == plain.fingerprint
    assert critic_on(with_adapters).fingerprint != critic_on(plain).fingerprint


def test_the_command_exports_a_saved_critic(
    plain: Backbone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = critic_on(plain).save_pretrained(tmp_path / "mine")
    out = tmp_path / "served"
    assert main(["export", str(saved), "--to", "sequence-classification", "--output", str(out)]) == 0
    assert f"vllm serve {out} --runner pooling --dtype float32" in capsys.readouterr().out
    assert export_format_names() == ("hidden-states", "sequence-classification")
    for words, reason in (
        (["--to", "hidden-states"], "--output"),
        (["--to", "hidden-states", "--output", str(out), "--steps"], "--steps is for runs"),
        (["--to", "csv", "--join-heads"], "--join-heads is for critics"),
    ):
        assert main(["export", str(saved), *words]) == 1
        assert reason in capsys.readouterr().err
