from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from agentq.backbones import Backbone, BackboneConfig, LoraSettings, load_backbone
from agentq.critics.base import Critic
from agentq.critics.heads import HeadSettings, QHeads
from agentq.critics.q_head import QCritic, QCriticConfig
from agentq.errors import CheckpointError, ConfigError, CriticError
from agentq.types import Candidate

PAGE = [{"role": "user", "content": "Goal: red mug\n[b01] Red mug 8 $\n[b02] Blue cup 5 $"}]
OTHER = [{"role": "user", "content": "Goal: lamp\n[b03] Desk lamp"}]


def candidates(*actions: str | None) -> list[Candidate]:
    return [Candidate(text=str(a), action=a, error=None if a else "no bracket") for a in actions]


def separate_features(
    backbone: Backbone,
    prompt_ids: Sequence[Sequence[int]],
    candidate_ids: Sequence[Sequence[Sequence[int]]],
    layers: Sequence[int],
    pooling: str,
) -> list[torch.Tensor]:
    """Every (state, action) in a forward of its own; last token."""
    assert pooling == "last"
    found: list[torch.Tensor] = []
    for prompt, actions in zip(prompt_ids, candidate_ids, strict=True):
        rows: list[torch.Tensor] = []
        for action in actions:
            ids = torch.tensor([[*prompt, *action]])
            hidden = backbone.model(input_ids=ids, output_hidden_states=True).hidden_states
            rows.append(torch.cat([hidden[layer][0, -1] for layer in layers]))
        found.append(torch.stack(rows))
    return found


@pytest.fixture
def backbone(tiny_model_folder: Path) -> Backbone:
    return load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))


def make_critic(backbone: Backbone, **config: Any) -> QCritic:
    heads = QHeads(32, HeadSettings(heads=3, hidden=(16,)))
    return QCritic(backbone, heads, QCriticConfig(**config), features=separate_features)


def test_is_a_critic_with_one_value_per_candidate(backbone: Backbone) -> None:
    critic = make_critic(backbone)
    scores = critic.score_heads(
        [(PAGE, candidates("click[b01]", None, "click[b02]")), (OTHER, candidates("back"))]
    )
    assert isinstance(critic, Critic)
    assert [s.q.shape for s in scores] == [(3,), (1,)]
    assert scores[0].head_q is not None
    assert scores[0].head_q.shape == (3, 3)
    assert scores[0].q.dtype == np.float64
    assert scores[0].q[1] == -math.inf
    assert scores[0].reasons == (None, "no bracket", None)
    np.testing.assert_allclose(scores[0].q[[0, 2]], scores[0].head_q[:, [0, 2]].min(axis=0))


def test_batch_equals_one_by_one(backbone: Backbone) -> None:
    critic = make_critic(backbone)
    actions = ["click[b01]", "click[b02]", "search[red mug with a long query]", "back"]
    together = critic.score([(PAGE, candidates(*actions)), (OTHER, candidates("back", "click[b03]"))])
    alone = [critic.score([(PAGE, candidates(action))])[0][0] for action in actions]
    np.testing.assert_allclose(together[0], alone, atol=1e-5)


def test_shared_prefix_equals_one_sequence_each(backbone: Backbone) -> None:
    pytest.importorskip("agentq.features.pooling")
    slow = make_critic(backbone, layers=(1, -1))
    slow.heads = QHeads(64, HeadSettings(heads=3))
    fast = QCritic(backbone, slow.heads, slow.config)
    actions = ["click[b01]", "click[b02]", None, "search[red mug with a long query]", "click[b01]", "back"]
    batch = [
        (PAGE, candidates(*actions)),
        (OTHER, candidates(None)),
        (OTHER, candidates("back", "click[b03]")),
    ]
    for one, other in zip(fast.score_heads(batch), slow.score_heads(batch), strict=True):
        assert one.head_q is not None
        assert other.head_q is not None
        np.testing.assert_allclose(one.head_q, other.head_q, atol=1e-5)
        np.testing.assert_allclose(one.q, other.q, atol=1e-5)


def test_heads_can_read_how_a_candidate_was_proposed(backbone: Backbone, tmp_path: Path) -> None:
    heads = QHeads(32 + 2, HeadSettings(heads=2, hidden=(16,)))
    critic = QCritic(backbone, heads, QCriticConfig(proposal="likelihood"))
    liked = [
        Candidate("click[b01]", "click[b01]", token_logprobs=(-0.1,)),
        Candidate("back", "back"),
        Candidate("?", None, "no bracket", token_logprobs=(-9.0,)),
    ]
    with pytest.warns(UserWarning, match="candidates without log-probabilities"):
        q = critic.score([(PAGE, liked), (OTHER, candidates(None))])
    columns = torch.tensor([[-0.1, 1.0], [0.0, 0.0]])
    prompt, ids = backbone.prompt_ids(PAGE), [backbone.action_ids(a) for a in ("click[b01]", "back")]
    hidden = separate_features(backbone, [prompt], [ids], [-1], "last")[0]
    expected = heads.q_values(torch.cat([hidden, columns], dim=1)).amin(dim=0)
    np.testing.assert_allclose(q[0][:2], expected.detach().numpy(), atol=1e-5)
    assert q[0][2] == q[1][0] == -math.inf
    alone = critic.score([(PAGE, [candidate]) for candidate in liked])
    np.testing.assert_allclose(np.concatenate(alone), q[0], atol=1e-5)
    critic.save_pretrained(tmp_path / "critic")
    again = QCritic.from_pretrained(tmp_path / "critic", backbone).score([(PAGE, liked)])
    np.testing.assert_array_equal(again[0], q[0])


def test_state_values_read_the_last_token_of_the_prompt(backbone: Backbone) -> None:
    heads = QHeads(32, HeadSettings(state_heads=2))
    values = QCritic(backbone, heads).state_values([PAGE, OTHER])
    with torch.no_grad():
        for row, messages in enumerate((PAGE, OTHER)):
            ids = torch.tensor([backbone.prompt_ids(messages)])
            hidden = backbone.model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0, -1]
            np.testing.assert_allclose(values[row], heads.state_values(hidden).numpy(), atol=1e-5)
    with pytest.raises(ConfigError, match="no state values"):
        make_critic(backbone).state_values([PAGE])
    assert QCritic(backbone, heads).state_values([]).shape == (0, 2)


def test_identical_actions_are_computed_once_and_equal(backbone: Backbone) -> None:
    seen: list[int] = []

    def counting(*args: Any) -> list[torch.Tensor]:
        seen.extend(len(actions) for actions in args[2])
        return separate_features(*args)

    spy: Any = counting
    critic = QCritic(backbone, QHeads(32), features=spy)
    q = critic.score([(PAGE, candidates("back", "click[b01]", "back", None, "back"))])[0]
    assert seen == [2]
    assert q[0] == q[2] == q[4] != q[1]


def test_empty_list_and_all_invalid(backbone: Backbone) -> None:
    critic = make_critic(backbone)
    with pytest.raises(CriticError, match="state 1 has no candidates"):
        critic.score([(PAGE, candidates("back")), (OTHER, [])])
    assert np.isneginf(critic.score([(PAGE, candidates(None, None))])[0]).all()


def test_values_that_are_not_finite_are_refused(backbone: Backbone) -> None:
    critic = make_critic(backbone)
    with torch.no_grad():
        critic.heads.q.biases[0][0] = math.nan
    with pytest.raises(CriticError, match=r"state 0: head values of action 0 are .*nan"):
        critic.score([(PAGE, candidates("back"))])


def test_too_long_a_state_names_its_length(backbone: Backbone) -> None:
    critic = make_critic(backbone)
    with pytest.raises(CriticError, match=r"state 0 has \d+ tokens .* reads 2048"):
        critic.score([([{"role": "user", "content": "x" * 3000}], candidates("back"))])


def test_layers_count_from_both_ends(backbone: Backbone) -> None:
    assert make_critic(backbone).layers == (2,)
    assert QCritic(backbone, QHeads(64), QCriticConfig(layers=(0, -2))).layers == (0, 1)
    with pytest.raises(ConfigError, match="layer 3 does not exist"):
        make_critic(backbone, layers=(3,))


def test_grounding_changes_what_is_read(backbone: Backbone) -> None:
    plain = make_critic(backbone)
    config = QCriticConfig(grounding="agentq.features.grounding:quoted_line")
    grounded = QCritic(backbone, plain.heads, config, features=separate_features)
    batch = [(PAGE, candidates("click[b01]", "search[x]"))]
    (without,), (with_line,) = plain.score(batch), grounded.score(batch)
    assert without[0] != with_line[0]
    assert without[1] == with_line[1]  # nothing on the page belongs to a free-text search
    with pytest.raises(ConfigError, match="cannot be imported"):
        make_critic(backbone, grounding="agentq.features.grounding:nothing")
    with pytest.raises(ConfigError, match="is unknown"):
        make_critic(backbone, grounding="nothing")


def test_saved_folder_gives_the_same_scores_in_a_new_process(backbone: Backbone, tmp_path: Path) -> None:
    config = {"training": {"objective": {"name": "mc"}, "data_hash": "ab12"}, "aggregation": "mean"}
    critic = make_critic(backbone, **config)
    critic.heads.q.standardise(np.linspace(-1, 1, 32), np.linspace(0.5, 2, 32))
    folder = critic.save_pretrained(tmp_path / "critic")
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "heads.safetensors"]
    assert "ab12" in (folder / "README.md").read_text()
    batch = [(PAGE, candidates("click[b01]", "click[b02]"))]
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "import torch; torch.set_num_threads(int(sys.argv[3]))\n"
        "import test_q_head as t\n"
        "from agentq.critics.q_head import QCritic\n"
        "critic = QCritic.from_pretrained(sys.argv[1], device='cpu', features=t.separate_features)\n"
        "pair = t.candidates('click[b01]', 'click[b02]')\n"
        "print([v.hex() for v in critic.score([(t.PAGE, pair)])[0].tolist()])"
    )
    words = [
        sys.executable,
        "-c",
        script,
        str(folder),
        str(Path(__file__).parent),
        str(torch.get_num_threads()),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([v.hex() for v in critic.score(batch)[0].tolist()])


def test_adapter_travels_with_the_critic_and_leaves_the_given_backbone_alone(
    tiny_model_folder: Path, backbone: Backbone, tmp_path: Path
) -> None:
    adapted = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu", lora=LoraSettings(r=2)))
    with torch.no_grad():
        for name, parameter in adapted.model.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.1)
    critic = make_critic(adapted)
    folder = critic.save_pretrained(tmp_path / "critic")
    names = [name for name, _ in backbone.model.named_parameters()]
    again = QCritic.from_pretrained(folder, backbone, features=separate_features)
    batch = [(PAGE, candidates("click[b01]"))]
    np.testing.assert_array_equal(critic.score(batch)[0], again.score(batch)[0])
    assert names == [name for name, _ in backbone.model.named_parameters()]
    assert make_critic(backbone).score(batch)[0] != critic.score(batch)[0]
    assert any("lora_" in n for n, p in critic.backbone.model.named_parameters() if p.requires_grad)
    assert sum(1 for _ in critic.trainable_parameters()) > len(list(critic.heads.parameters()))


@pytest.mark.parametrize("lora", [None, LoraSettings(r=2)])
def test_fine_tuned_backbone_is_saved_with_the_critic(
    tiny_model_folder: Path, tmp_path: Path, lora: LoraSettings | None
) -> None:
    tuned = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu", lora=lora))
    with torch.no_grad():
        for parameter in tuned.model.parameters():
            parameter.add_(0.01)
    critic = make_critic(tuned)
    critic.save_pretrained(tmp_path / "first", save_backbone=True)
    folder = shutil.move(tmp_path / "first", tmp_path / "moved")
    again = QCritic.from_pretrained(folder, device="cpu", features=separate_features)
    batch = [(PAGE, candidates("click[b01]"))]
    np.testing.assert_array_equal(critic.score(batch)[0], again.score(batch)[0])


def test_another_backbone_or_template_is_refused(
    backbone: Backbone, tiny_model_folder: Path, tmp_path: Path
) -> None:
    folder = make_critic(backbone).save_pretrained(tmp_path / "critic")
    other = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))
    with torch.no_grad():
        next(other.model.parameters())[0, 0] += 1
    with pytest.raises(CheckpointError) as caught:
        QCritic.from_pretrained(folder, other)
    assert backbone.fingerprint in str(caught.value)
    assert other.fingerprint in str(caught.value)
    template = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))
    template.tokenizer.chat_template += " "
    with pytest.raises(CheckpointError) as caught:
        QCritic.from_pretrained(folder, template)
    assert backbone.template_fingerprint in str(caught.value)
    assert template.template_fingerprint in str(caught.value)


def break_config(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **changes}))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: break_config(f, format=99), "has format 99, this version reads up to 1"),
        (lambda f: break_config(f, type="other"), "describes 'other'"),
        (lambda f: break_config(f, heads={}), "not a critic of this version"),
        (lambda f: (f / "config.json").write_text("{"), r"config.json is broken"),
        (lambda f: (f / "config.json").unlink(), r"config.json cannot be read"),
        (lambda f: (f / "heads.safetensors").unlink(), r"heads.safetensors is missing"),
        (lambda f: truncate(f / "heads.safetensors"), r"heads.safetensors is missing, broken"),
        (lambda f: save_file({"a": torch.zeros(1)}, f / "heads.safetensors"), "another shape"),
        (lambda f: shutil.rmtree(f), "does not exist"),
    ],
)
def test_damaged_folder_is_named(backbone: Backbone, tmp_path: Path, damage: Any, message: str) -> None:
    folder = make_critic(backbone).save_pretrained(tmp_path / "critic")
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        QCritic.from_pretrained(folder, backbone)


def test_grounding_of_a_downloaded_critic_imports_nothing_foreign(backbone: Backbone, tmp_path: Path) -> None:
    critic = make_critic(backbone, grounding="agentq.features.grounding:quoted_line")
    folder = critic.save_pretrained(tmp_path / "critic")
    assert QCritic.from_pretrained(folder, backbone).grounding is not None
    content = json.loads((folder / "config.json").read_text())["critic"]
    break_config(folder, critic={**content, "grounding": "os:getcwd"})
    with pytest.raises(CheckpointError, match="trust_grounding=True"):
        QCritic.from_pretrained(folder, backbone)
    assert QCritic.from_pretrained(folder, backbone, trust_grounding=True).grounding is not None


def test_saving_again_replaces_and_a_bad_place_is_an_error(backbone: Backbone, tmp_path: Path) -> None:
    critic = make_critic(backbone)
    folder = critic.save_pretrained(tmp_path / "critic")
    with torch.no_grad():
        critic.heads.q.biases[0].add_(1)
    critic.save_pretrained(folder)
    np.testing.assert_array_equal(
        load_file(folder / "heads.safetensors")["q.biases.0"], critic.heads.q.biases[0].detach()
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="could not be written"):
        critic.save_pretrained(tmp_path / "file" / "critic")


class FakeHub:
    """Keeps what would be uploaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create_repo(self, repo: str, private: bool, exist_ok: bool) -> None:
        self.repo = (repo, private, exist_ok)

    def upload_folder(self, repo_id: str, folder_path: str) -> str:
        shutil.copytree(folder_path, self.folder)
        return f"hub/{repo_id}"


def test_push_uploads_a_folder_that_loads(backbone: Backbone, tmp_path: Path) -> None:
    hub = FakeHub(tmp_path / "uploaded")
    critic = make_critic(backbone)
    assert critic.push_to_hub("me/critic", private=True, api=hub) == "hub/me/critic"
    assert hub.repo == ("me/critic", True, True)
    assert QCritic.from_pretrained(hub.folder, backbone).config == critic.config
