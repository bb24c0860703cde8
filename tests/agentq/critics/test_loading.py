from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agentq.backbones import BackboneConfig, load_backbone
from agentq.critics.heads import HeadSettings, QHeads
from agentq.critics.loading import critic_class, load_critic, split_spec
from agentq.critics.q_head import QCritic
from agentq.errors import CheckpointError, ConfigError
from agentq.types import Candidate

STATE = ([{"role": "user", "content": "Goal: red mug"}], [Candidate("buy", "buy"), Candidate("back", "back")])


@pytest.fixture(scope="module")
def saved(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))
    critic = QCritic(backbone, QHeads(32, HeadSettings(heads=2, hidden=(8,))))
    return critic.save_pretrained(tmp_path_factory.mktemp("critics") / "mine")


def test_a_folder_opens_as_the_kind_that_its_config_says(saved: Path) -> None:
    opened = load_critic(saved, device="cpu")
    assert isinstance(opened, QCritic)
    np.testing.assert_array_equal(
        opened.score([STATE])[0], QCritic.from_pretrained(saved, device="cpu").score([STATE])[0]
    )


def test_the_bundled_critic_opens_by_its_name() -> None:
    assert isinstance(load_critic("embedded-q", device="cpu"), QCritic)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("out@http://127.0.0.1:8000", ("out", "http://127.0.0.1:8000")),
        ("a@b/out@https://gpu.example/v", ("a@b/out", "https://gpu.example/v")),
        ("org/name@main", ("org/name@main", None)),
    ],
)
def test_the_address_of_a_server_stands_behind_the_folder(
    spec: str, expected: tuple[str, str | None]
) -> None:
    assert split_spec(spec) == expected


def test_a_local_critic_is_not_sent_to_a_server(saved: Path) -> None:
    with pytest.raises(ConfigError, match="agentq export"):
        load_critic(f"{saved}@http://127.0.0.1:1")


def test_what_is_no_critic_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_critic(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_critic(tmp_path)
    for text, reason in (
        ("{", "is broken"),
        ("[]", "no type"),
        (json.dumps({"model_type": "qwen3"}), "no type"),
    ):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=reason):
            load_critic(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"type": "other.Critic"}))
    with pytest.raises(ConfigError, match=r"'other\.Critic' is unknown"):
        load_critic(tmp_path)


def test_a_package_adds_a_kind_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "preference.py").write_text(
        "class Preference:\n"
        "    @classmethod\n"
        "    def from_pretrained(cls, folder, *, device):\n"
        "        self = cls()\n"
        "        self.opened = (folder.name, device)\n"
        "        return self\n"
    )
    info = tmp_path / "preference-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: preference\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[agentq.critics]\nothers.Preference = preference:Preference\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"type": "others.Preference"}))
    opened = load_critic(folder, device="cpu")
    assert type(opened) is critic_class("others.Preference")
    assert vars(opened)["opened"] == ("saved", "cpu")
