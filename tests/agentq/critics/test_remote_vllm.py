"""Exported critics on real vLLM servers: values equal the local critic's within 1e-3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from agentq.critics.exports.formats import export_critic
from agentq.critics.loading import load_critic
from agentq.critics.q_head import QCritic
from agentq.critics.remote import RemoteCritic
from agentq.errors import CheckpointError, ServerError
from agentq.types import Candidate
from tests.agentq.critics.trained_critics import page, states, train_critic
from tests.servers.vllm import VLLMServer, vllm_server

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

TOLERANCE = 1e-3  # of every head's value


@pytest.fixture(scope="module")
def tuned() -> QCritic:
    """Linear heads on the embedded critic's backbone with trained adapters."""
    return train_critic("embedded-critic", aggregation="mean_std")


@pytest.fixture(scope="module")
def tuned_folder(tuned: QCritic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "tuned"
    return export_critic(tuned, "sequence-classification", folder).folder


@pytest.fixture(scope="module")
def classifier(tuned_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMServer]:
    arguments = ["--runner", "pooling"]
    with vllm_server(tuned_folder, tmp_path_factory.mktemp("vllm"), arguments, name="critic") as running:
        yield running


@pytest.fixture(scope="module")
def embedded() -> QCritic:
    """The critic that ships: hidden layers, grounding, log-probabilities."""
    found = load_critic("embedded-q", device="cpu")
    assert isinstance(found, QCritic)
    return found


@pytest.fixture(scope="module")
def embedded_folder(embedded: QCritic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_critic(embedded, "hidden-states", tmp_path_factory.mktemp("exported") / "q").folder


@pytest.fixture(scope="module")
def pooler(embedded_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMServer]:
    arguments = ["--runner", "pooling", "--convert", "embed"]
    with vllm_server(embedded_folder, tmp_path_factory.mktemp("vllm"), arguments, name="critic") as running:
        yield running


def check_equal(remote: RemoteCritic, local: QCritic) -> None:
    batch = states(5, lines=12)
    found, expected = remote.score_heads(batch), local.score_heads(batch)
    for one, other in zip(found, expected, strict=True):
        assert one.head_q is not None
        assert other.head_q is not None
        np.testing.assert_allclose(one.head_q, other.head_q, atol=TOLERANCE)
        np.testing.assert_allclose(one.q, other.q, atol=TOLERANCE)
        assert np.ptp(other.q[:-1]) > 10 * TOLERANCE  # candidates are told apart


def test_labels_of_merged_adapters_and_linear_heads(
    classifier: VLLMServer, tuned: QCritic, tuned_folder: Path
) -> None:
    with RemoteCritic.from_pretrained(tuned_folder, base_url=classifier.address) as remote:
        check_equal(remote, tuned)


def test_hidden_states_for_heads_of_any_shape(
    pooler: VLLMServer, embedded: QCritic, embedded_folder: Path
) -> None:
    with RemoteCritic.from_pretrained(embedded_folder, base_url=f"{pooler.address}/v1") as remote:
        check_equal(remote, embedded)


def test_candidates_of_one_state_share_the_cached_prompt(classifier: VLLMServer, tuned_folder: Path) -> None:
    with RemoteCritic.from_pretrained(tuned_folder, base_url=classifier.address) as remote:
        remote.score(states(1))  # the probe
        hits, asked = _cached(classifier)
        messages = page(77, lines=30)
        remote.score([(messages, [Candidate(f"click[{i}]", f"click[{i}]") for i in range(8)])])
        more_hits, more_asked = _cached(classifier)
    assert more_asked - asked > 8 * 256  # a prompt of at least two blocks of vLLM's CPU build, 8 times
    assert more_hits - hits >= 0.5 * (more_asked - asked)


def test_servers_of_other_models_are_refused(
    pooler: VLLMServer, tuned: QCritic, tuned_folder: Path, tmp_path: Path
) -> None:
    with (
        RemoteCritic.from_pretrained(tuned_folder, base_url=pooler.address) as remote,
        pytest.raises(ServerError, match="classify"),
    ):
        remote.score(states(1))
    export_critic(tuned, "hidden-states", tmp_path / "other")
    with (
        RemoteCritic.from_pretrained(tmp_path / "other", base_url=pooler.address) as remote,
        pytest.raises(CheckpointError, match="does not compute the exported model"),
    ):
        remote.score(states(1))


def _cached(server: VLLMServer) -> tuple[float, float]:
    """Prompt tokens found in the prefix cache so far, and tokens looked up."""
    found = {"vllm:prefix_cache_hits_total": 0.0, "vllm:prefix_cache_queries_total": 0.0}
    for line in httpx.get(f"{server.address}/metrics", timeout=30).text.splitlines():
        name = line.partition("{")[0]
        if name in found:
            found[name] += float(line.rpartition(" ")[2])
    hits, asked = found.values()
    return hits, asked
