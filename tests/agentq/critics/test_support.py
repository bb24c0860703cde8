"""Distances to logged steps: search against brute force, the radius, and the way through a critic's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentq.backbones import Backbone, BackboneConfig, load_backbone
from agentq.chooser import Chooser
from agentq.critics.heads import HeadSettings, QHeads
from agentq.critics.q_head import QCritic, QCriticConfig
from agentq.critics.support import SupportIndex, nearest, prdc_keys, support_keys
from agentq.errors import CheckpointError, ConfigError, CriticError, TrainingError
from agentq.features.extract import FeatureExtractor
from agentq.selectors.pessimistic import Pessimistic
from agentq.training.critic_data import CriticData, held_out
from agentq.training.support import SupportSettings, build_support, support_of_data, support_of_log
from agentq.trajectories.reader import Episode
from agentq.types import Candidate, Decision, Step, Trajectory

NAMES = ("red mug", "blue cup", "desk lamp", "oak chair", "tin box", "wool rug", "soap", "green pen")


def page(name: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": f"Goal: {name}\n[b01] {name} 8 $"},)


def candidates(*actions: str | None) -> list[Candidate]:
    return [Candidate(str(a), a, None if a else "no bracket") for a in actions]


def episode(number: int) -> Episode:
    name = NAMES[number % len(NAMES)]
    actions = [f"search[{name}]", "click[b01]", None]
    decisions = [Decision(tuple(candidates(a)), np.zeros(1), np.ones(1), 0) for a in actions]
    steps = [
        Step(page(f"{name} {i} {number}"), decision, 0.0, i == 2, False)
        for i, decision in enumerate(decisions)
    ]
    return Episode(str(number), Trajectory(str(number), 0, tuple(steps)))


LOG = [episode(number) for number in range(24)]


@pytest.fixture
def backbone(tiny_model_folder: Path) -> Backbone:
    return load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))


@pytest.fixture
def critic(backbone: Backbone) -> QCritic:
    return QCritic(backbone, QHeads(32, HeadSettings(heads=3, hidden=(16,))), QCriticConfig())


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 2**31), st.sampled_from([1e-3, 1.0, 1e3]))
def test_search_equals_brute_force(count: int, width: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    keys = scale * rng.normal(size=(count, width))
    queries = np.concatenate([scale * rng.normal(size=(5, width)), keys[:2]])
    found = nearest(keys, queries)
    distances = np.linalg.norm(queries[:, None] - keys[None], axis=2)
    np.testing.assert_allclose(found.distance, distances.min(axis=1), atol=1e-7 * scale)
    assert (found.index >= 0).all()
    assert found.distance[5:].tolist() == [0.0] * len(keys[:2])  # a key is its own neighbour, exactly


def test_search_in_blocks_and_a_tree_agree() -> None:
    from scipy.spatial import KDTree

    rng = np.random.default_rng(0)
    keys, queries = rng.normal(size=(500, 6)), rng.normal(size=(700, 6))
    found = nearest(keys, queries)
    tree: Any = KDTree(keys)
    distance, index = tree.query(queries)
    assert found.index.tolist() == index.tolist()
    np.testing.assert_allclose(found.distance, distance, atol=1e-12)


def test_beta_weighs_the_state() -> None:
    states, actions = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0], [-1.0]])
    assert prdc_keys(states, actions, 2.0).tolist() == [[2.0, 0.0, 1.0], [0.0, 2.0, -1.0]]
    here = np.array([[1.0, 0.0]]), np.array([[-1.0]])  # the first state with the second action
    for beta, index in ((0.1, 1), (10.0, 0)):
        assert nearest(prdc_keys(states, actions, beta), prdc_keys(*here, beta)).index.tolist() == [index]


@pytest.mark.parametrize("with_states", [False, True])
def test_the_radius_is_the_quantile_of_held_out_steps(with_states: bool) -> None:
    rng = np.random.default_rng(1)
    pairs, states = rng.normal(size=(400, 5)), rng.normal(size=(400, 3)) if with_states else None
    tasks = [str(i // 4) for i in range(400)]
    options = SupportSettings(quantile=0.9)
    index = build_support(pairs, tasks, states, options)
    held = held_out(tasks, options.share, options.seed)
    keys = support_keys(pairs.astype(np.float32), None if states is None else states.astype(np.float32),
                        index.pair_mean, index.state_mean, index.beta)  # fmt: skip
    brute = np.linalg.norm(keys[held][:, None] - keys[~held][None], axis=2).min(axis=1)
    assert index.held_out == held.sum()
    assert (brute <= index.radius).mean() == pytest.approx(0.9, abs=0.02)
    inside = index.distances(pairs[:50], None if states is None else states[:50])
    np.testing.assert_allclose(inside, 0.0, atol=1e-6)  # logged steps themselves
    far = index.distances(-100 * pairs[:5], None if states is None else -100 * states[:5])
    assert (far > 0).all()


def test_a_long_log_is_thinned_and_copies_are_kept_once() -> None:
    rng = np.random.default_rng(2)
    pairs = np.repeat(rng.normal(size=(300, 4)), 2, axis=0)
    pairs[1::2] += 1e-3 * rng.normal(size=(300, 4))
    tasks = [str(i) for i in range(600)]
    assert len(build_support(pairs, tasks, settings=SupportSettings(limit=100)).keys) == 100
    copied = np.concatenate([pairs, pairs])
    assert len(build_support(copied, [*tasks, *tasks]).keys) == 600


def test_what_cannot_be_indexed_is_named() -> None:
    pairs = np.random.default_rng(0).normal(size=(6, 3))
    with pytest.raises(TrainingError, match="6 steps have 5 tasks"):
        build_support(pairs, ["a"] * 5)
    with pytest.raises(TrainingError, match=r"1 tasks with share=0\.2"):
        build_support(pairs, ["a"] * 6)
    with pytest.raises(TrainingError, match="are copies of other steps"):
        build_support(np.repeat(pairs[:1], 40, axis=0), [str(i) for i in range(40)])
    with pytest.raises(ConfigError, match="0 < quantile <= 1"):
        SupportSettings(quantile=0.0)


@pytest.mark.parametrize("states", [False, True])
def test_a_critic_says_how_far_candidates_are(critic: QCritic, states: bool) -> None:
    here = candidates("search[red mug]", None, "zzzzzzzzzz", "search[red mug]")
    state = page("red mug 0 0")
    before = critic.score_heads([(state, here)])[0]
    with pytest.raises(TrainingError, match="no step with a parsed action"):
        support_of_log([], critic)
    assert before.support is None
    unsupported = critic.fingerprint
    critic.support = support_of_log(LOG, critic, SupportSettings(states=states))
    assert critic.fingerprint != unsupported
    scores = critic.score_heads([(state, here), (page("?"), candidates(None))])
    support = scores[0].support
    assert support is not None
    assert support[0] == support[3] == pytest.approx(0.0, abs=1e-3)  # it is in the log
    assert support[1] == np.inf
    assert support[2] > support[0]
    np.testing.assert_array_equal(scores[0].q, before.q)
    assert scores[1].support is not None
    assert scores[1].support.tolist() == [np.inf]
    alone = critic.score_heads([(state, here[2:3])])[0].support
    assert alone is not None
    np.testing.assert_allclose(alone, support[2:3], atol=1e-5)


def test_a_decision_holds_the_support(critic: QCritic) -> None:
    critic.support = support_of_log(LOG, critic)
    chooser = Chooser(Pessimistic(threshold=0.01), critic)
    (decision,) = chooser.choose([page("red mug 0 0")], [candidates("zzz", "search[red mug]")], [0])
    assert decision.action == "search[red mug]"
    assert decision.flags == ()
    (far,) = chooser.choose([page("red mug 0 0")], [candidates("zzz", "yyyyy")], [0])
    assert far.flags == ("unsupported",)


@pytest.mark.parametrize("states", [False, True])
def test_the_index_of_training_data_is_that_of_its_log(critic: QCritic, states: bool) -> None:
    steps = [(s, e.trajectory.task) for e in LOG for s in e.trajectory.steps if s.decision.chosen.action]
    extractor = FeatureExtractor(critic.backbone, critic.config.layers)
    data = CriticData(
        q_features=extractor.pairs([(step.messages, step.decision.action) for step, _ in steps]),
        q_rows=np.arange(len(steps)),
        returns=np.zeros(len(steps)),
        tasks=[task for _, task in steps],
        state_features=extractor.states([step.messages for step, _ in steps]) if states else None,
        state_rows=np.arange(len(steps)) if states else None,
    )
    options = SupportSettings(states=states)
    ours, theirs = support_of_data(data, critic, options), support_of_log(LOG, critic, options)
    assert ours.radius == pytest.approx(theirs.radius, abs=1e-4)
    assert ours.keys.shape == theirs.keys.shape
    if not states:
        with pytest.raises(TrainingError, match="no features of states"):
            support_of_data(data, critic, SupportSettings(states=True))
        with pytest.raises(TrainingError, match="no tasks"):
            support_of_data(replace(data, tasks=None), critic)


def test_a_saved_critic_keeps_its_support(critic: QCritic, tmp_path: Path) -> None:
    critic.support = support_of_log(LOG, critic, SupportSettings(states=True))
    critic.save_pretrained(tmp_path / "critic")
    loaded = QCritic.from_pretrained(tmp_path / "critic", critic.backbone)
    assert loaded.fingerprint == critic.fingerprint
    state = (page("blue cup"), candidates("search[cup]", "click[b01]"))
    ours, theirs = critic.score_heads([state])[0].support, loaded.score_heads([state])[0].support
    assert ours is not None
    assert theirs is not None
    assert ours.tobytes() == theirs.tobytes()
    assert "support index | yes" in (tmp_path / "critic" / "README.md").read_text()
    (tmp_path / "critic" / "support.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match=r"support.safetensors is missing, broken"):
        QCritic.from_pretrained(tmp_path / "critic", critic.backbone)


def test_an_index_of_another_critic_is_refused() -> None:
    index = build_support(np.random.default_rng(0).normal(size=(40, 3)), [str(i) for i in range(40)])
    with pytest.raises(CriticError, match="belongs to another critic"):
        index.distances(np.zeros((2, 4)))
    with pytest.raises(CriticError, match="belongs to another critic"):
        index.distances(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(CriticError, match=r"radius is 0\.0"):
        replace(index, radius=0.0)
    with pytest.raises(CriticError, match=r"expected \(M, 4\)"):
        SupportIndex(index.keys, np.zeros(4, np.float32), index.state_mean, 1.0, 1.0, 0.95, 3)
