"""A remote critic against real HTTP: a local server in vLLM's protocol computes the exported model by transformers."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.responses import JSONResponse, Response

from agentq.backbones import Backbone, BackboneConfig, load_backbone
from agentq.critics.base import Critic
from agentq.critics.exports.formats import export_critic, load_export_format
from agentq.critics.heads import HeadSettings, QHeads
from agentq.critics.loading import load_critic
from agentq.critics.q_head import QCritic, QCriticConfig
from agentq.critics.remote import RemoteCritic
from agentq.errors import CheckpointError, ConfigError, CriticError, InfrastructureError, ServerError
from agentq.policies.openai.client import ServerSettings
from agentq.types import Candidate
from tests.agentq.critics.trained_critics import LINEAR, page, states
from tests.servers.scripted import Received, scripted_server


class Pooling:
    """``POST /pooling`` and ``GET /v1/models`` of a server that has the exported ``folder``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.format = folder, load_export_format(name)
        self.refusals: list[Response] = []  # answered first
        self.models = ["critic"]
        self.factor = 1.0
        self.wide = False

    async def __call__(self, path: str, body: dict[str, Any]) -> Response:
        if path == "/v1/models":
            return JSONResponse({"data": [{"id": name} for name in self.models]})
        assert path == "/pooling"
        assert body["use_activation"] is False
        assert body["task"] == self.format.TASK
        if self.refusals:
            return self.refusals.pop(0)
        rows = self.factor * self.format.read(self.folder, torch.float32, body["input"]).numpy()
        rows = np.concatenate([rows, rows], axis=1) if self.wide else rows
        entries = [
            {"index": i, "data": base64.b64encode(row.astype("<f4").tobytes()).decode()}
            for i, row in enumerate(rows)
        ]
        return JSONResponse({"data": entries[::-1]})


@pytest.fixture(scope="module")
def backbone(tiny_model_folder: Path) -> Backbone:
    return load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))


def critic_on(backbone: Backbone, heads: HeadSettings = LINEAR, **config: Any) -> QCritic:
    columns = 2 if config.get("proposal") == "likelihood" else 0
    return QCritic(backbone, QHeads(backbone.hidden_size + columns, heads), QCriticConfig(**config))


@pytest.fixture(scope="module")
def local(backbone: Backbone) -> QCritic:
    return critic_on(backbone)


@pytest.fixture(scope="module")
def folder(local: QCritic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_critic(local, "sequence-classification", tmp_path_factory.mktemp("served") / "c").folder


@contextmanager
def serving(
    folder: Path, name: str = "sequence-classification", **options: Any
) -> Iterator[tuple[RemoteCritic, Pooling, Received]]:
    pooling = Pooling(folder, name)
    with scripted_server(pooling) as received:
        server = ServerSettings(received.address, key_variable="", retry_seconds=0.01, retries=2)
        with RemoteCritic.from_pretrained(folder, server=server, **options) as critic:
            yield critic, pooling, received


LOGIT = HeadSettings(heads=2, hidden=(), input_norm=False, output="logit")


@pytest.mark.parametrize(
    ("name", "heads", "config"),
    [
        ("sequence-classification", LINEAR, {"aggregation": "mean_std", "pessimism": 0.5}),
        ("sequence-classification", LOGIT, {"proposal": "likelihood"}),
        ("hidden-states", HeadSettings(heads=3, hidden=(16,)), {"proposal": "likelihood"}),
        ("hidden-states", LINEAR, {"grounding": "agentq.features.grounding:quoted_line"}),
    ],
)
def test_values_are_the_local_critics(
    backbone: Backbone, tmp_path: Path, name: str, heads: HeadSettings, config: dict[str, Any]
) -> None:
    local = critic_on(backbone, heads, **config)
    export_critic(local, name, tmp_path / "served")
    with serving(tmp_path / "served", name) as (remote, _, _):
        assert isinstance(remote, Critic)
        for found, expected in zip(remote.score_heads(states()), local.score_heads(states()), strict=True):
            assert expected.head_q is not None
            np.testing.assert_allclose(found.q, expected.q, atol=1e-5)
            assert found.head_q is not None
            np.testing.assert_allclose(found.head_q, expected.head_q, atol=1e-5)
            assert found.reasons == expected.reasons
            assert found.q[-1] == -np.inf
            assert np.ptp(found.q[:-1]) > 1e-3
        assert remote.tokens == local.tokens
        assert remote.fingerprint == local.fingerprint


def test_the_server_gets_each_distinct_action_once_as_the_local_token_ids(
    local: QCritic, folder: Path
) -> None:
    with serving(folder) as (remote, _, received):
        remote.score(states(1))
        asked = received.bodies[-1]["input"]
    messages, candidates = states(1)[0]
    prompt = local.backbone.prompt_ids(messages)
    actions = dict.fromkeys(c.action for c in candidates if c.action)
    assert asked == [[*prompt, *local.backbone.action_ids(action)] for action in actions]
    assert asked[0][-1] == local.backbone.end_id


def test_requests_are_split_and_limited(folder: Path, local: QCritic) -> None:
    with serving(folder, batch=5) as (remote, _, received):
        found = remote.score(states(4))
    sizes = [len(body["input"]) for body in received.bodies if "input" in body]
    assert sizes == [3, 5, 5, 5, 5, 5, 3]  # the probe, then 28 actions
    np.testing.assert_allclose(np.stack(found), np.stack(local.score(states(4))), atol=1e-5)


def test_the_loader_opens_it_at_an_address(folder: Path, local: QCritic) -> None:
    with scripted_server(Pooling(folder, "sequence-classification")) as received:
        for name in (folder, folder / "client"):
            remote = load_critic(f"{name}@{received.address}")
            assert isinstance(remote, RemoteCritic)
            np.testing.assert_allclose(remote.score(states(1))[0], local.score(states(1))[0], atol=1e-5)
            remote.close()
            assert len(remote.score(states(1))) == 1  # a closed one opens new connections
            remote.close()
    with pytest.raises(ConfigError, match="@http://HOST:PORT"):
        load_critic(folder)


def test_concurrent_callers_of_any_loop_share_one_critic(folder: Path, local: QCritic) -> None:
    async def several(remote: RemoteCritic) -> list[Any]:
        return await asyncio.gather(*(remote.ascore_heads([state]) for state in states(4)))

    with serving(folder) as (remote, _, received):
        first, second = asyncio.run(several(remote)), asyncio.run(several(remote))
    expected = [scores.q for scores in local.score_heads(states(4))]
    for found in (first, second):
        np.testing.assert_allclose([scores[0].q for scores in found], expected, atol=1e-5)
    assert sum(len(body["input"]) == 3 for body in received.bodies if "input" in body) == 1  # one probe


def test_nothing_is_asked_for_what_cannot_be_chosen(folder: Path) -> None:
    with serving(folder) as (remote, _, received):
        (scores,) = remote.score_heads([(page(0), [Candidate("hm", None, "no bracket")])])
        assert scores.q.tolist() == [-np.inf]
        assert scores.reasons == ("no bracket",)
        assert remote.score([]) == []
        with pytest.raises(CriticError, match="state 0 has no candidates"):
            remote.score([(page(0), [])])
        with pytest.raises(CriticError, match="reads 2048"):
            remote.score([(page(0), [Candidate("x", "x" * 2048)])])
        assert not received.bodies


def test_a_server_with_another_model_is_refused(folder: Path) -> None:
    with serving(folder) as (remote, pooling, received):
        pooling.factor = 0.9
        with pytest.raises(CheckpointError, match=r"does not compute the exported model.*--dtype"):
            remote.score(states(1))
        pooling.factor = 1.0
        assert len(remote.score(states(1))) == 1  # asked again: the server was corrected
        assert [len(body["input"]) for body in received.bodies if "input" in body] == [3, 3, 7]
    with serving(folder, tolerance=0.5) as (remote, pooling, _):
        pooling.factor = 0.9
        assert len(remote.score(states(1))) == 1


def test_rows_of_another_width_and_several_models_are_refused(folder: Path) -> None:
    with serving(folder) as (remote, pooling, _):
        pooling.wide = True
        with pytest.raises(ServerError, match="rows of 6 numbers, expected 3 of 3"):
            remote.score(states(1))
    with serving(folder) as (remote, pooling, _):
        pooling.models = ["a", "b"]
        with pytest.raises(ConfigError, match="serves a, b"):
            remote.score(states(1))
    with serving(folder, model="b") as (remote, pooling, received):
        pooling.models = ["a", "b"]
        remote.score(states(1))
        assert {body["model"] for body in received.bodies} == {"b"}


def test_numbers_that_are_not_finite_are_refused(folder: Path) -> None:
    with serving(folder) as (remote, pooling, _):
        remote.score(states(1))
        pooling.factor = float("nan")
        with pytest.raises(CriticError, match="not finite for 7 of 7 sequences"):
            remote.score(states(1))


def test_only_infrastructure_errors_are_tried_again(folder: Path) -> None:
    with serving(folder) as (remote, pooling, received):
        remote.score(states(1))
        before = len(received.bodies)
        pooling.refusals = [JSONResponse({}, 503), JSONResponse({}, 502)]
        assert len(remote.score(states(1))) == 1
        assert (len(received.bodies) - before, remote.statistics.retries) == (3, 2)
        pooling.refusals = [JSONResponse({"error": {"message": "too long"}}, 400)]
        with pytest.raises(ServerError, match=r"status 400.*too long"):
            remote.score(states(1))
        pooling.refusals = [JSONResponse({}, 404)]
        with pytest.raises(ServerError, match="--runner pooling"):
            remote.score(states(1))
        assert remote.statistics.retries == 2
        pooling.refusals = [JSONResponse({}, 503)] * 3
        with pytest.raises(InfrastructureError, match="3 attempts"):
            remote.score(states(1))


def test_answers_that_are_no_vectors_are_refused(folder: Path) -> None:
    for answer in (JSONResponse([]), JSONResponse({"data": [{"index": 0, "data": "%"}]}), JSONResponse({})):
        with serving(folder) as (remote, pooling, _):
            pooling.refusals = [answer]
            with pytest.raises(ServerError, match=r"expected a JSON object|without vectors"):
                remote.score(states(1))


def test_a_server_that_is_not_there_is_an_infrastructure_error(folder: Path) -> None:
    server = ServerSettings("http://127.0.0.1:9", key_variable="", retries=0)
    with (
        RemoteCritic.from_pretrained(folder, server=server) as remote,
        pytest.raises(InfrastructureError, match="did not answer after 1 attempts"),
    ):
        remote.score(states(1))


def test_the_key_is_the_critics_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-policy")
    monkeypatch.setenv("AGENTQ_CRITIC_KEY", "sk-critic")
    with scripted_server(Pooling(folder, "sequence-classification")) as received:
        with RemoteCritic.from_pretrained(folder, base_url=received.address) as remote:
            remote.score(states(1))
        assert {headers.get("authorization") for headers in received.headers} == {"Bearer sk-critic"}


def test_another_template_or_a_broken_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    def copied(name: str) -> Path:
        return Path(shutil.copytree(folder / "client", tmp_path / name))

    other = copied("template")
    template = other / "tokenizer" / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant", "helper"))
    with pytest.raises(CheckpointError, match="was trained with chat template"):
        RemoteCritic.from_pretrained(other, base_url="http://h")
    for file in ("heads.safetensors", "probe.safetensors"):
        lacking = copied(file)
        (lacking / file).unlink()
        with pytest.raises(CheckpointError, match=f"{file} is missing"):
            RemoteCritic.from_pretrained(lacking, base_url="http://h")
    changes: list[tuple[dict[str, Any], str]] = [
        ({"format": 9}, "format 9"),
        ({"type": "agentq.QCritic"}, "agentq export"),
        ({"task": "plugin"}, "not an exported critic"),
        ({"readout": {}}, "not an exported"),
    ]
    for change, reason in changes:
        changed = copied(reason)
        content = json.loads((changed / "config.json").read_text())
        (changed / "config.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(CheckpointError, match=reason):
            RemoteCritic.from_pretrained(changed, base_url="http://h")
    with pytest.raises(ConfigError, match="either base_url or server"):
        RemoteCritic.from_pretrained(folder)


def test_foreign_code_for_groundings_is_not_imported_unasked(folder: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(folder / "client", tmp_path / "c"))
    content = json.loads((own / "config.json").read_text())
    content["critic"]["grounding"] = "os:getcwd"
    (own / "config.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="trust_grounding=True"):
        RemoteCritic.from_pretrained(own, base_url="http://h")
