from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentq.critics.heads import HeadSettings, QHeads
from agentq.errors import ConfigError, FeatureError, TrainingError
from agentq.training.critic import check_objective, feature_moments, fit_heads, usable_transitions
from agentq.training.critic_data import CriticData, HeadBatch, check_finite
from agentq.training.critic_metrics import explained_variance, gap_closed, rank_correlation
from agentq.training.head_loss import HeadLoss, ObjectiveSettings
from agentq.training.settings import TrainingSettings

HEAD = HeadSettings(hidden=(32,))
QUICK = TrainingSettings(steps=200, batch_size=64, learning_rate=3e-3, tracker="none", log_every=50)


def corridor(length: int = 6, episodes: int = 120, gamma: float = 0.9, **changes: Any) -> CriticData:
    """Walks to the right with one-hot features; reward 1 at the end, so Q(s) = gamma^(length - 1 - s)."""
    states = np.tile(np.arange(length), episodes)
    ends = states == length - 1
    features = np.concatenate([np.eye(length, dtype=np.float32)] * 2, axis=1)
    fields: dict[str, Any] = {
        "q_features": features,
        "q_rows": states,
        "returns": gamma ** (length - 1 - states).astype(float),
        "rewards": ends.astype(float),
        "terminated": ends,
        "state_features": features,
        "state_rows": states,
        "next_state_rows": np.where(ends, -1, states + 1),
        "tasks": [f"task {i // length}" for i in range(len(states))],
    }
    return CriticData(**{**fields, **changes})


def shop(states: int = 150, candidates: int = 4, seed: int = 0) -> tuple[CriticData, np.ndarray]:
    """Groups whose labels are a state's level plus a linear advantage; one candidate was logged."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(states * candidates, 8)).astype(np.float32)
    rows = np.arange(states * candidates).reshape(states, candidates)
    labels = 0.5 + 0.08 * features[rows] @ rng.normal(size=8) / 2
    logged = rng.integers(0, candidates, states)
    picked = rows[np.arange(states), logged]
    tasks = [f"task {i}" for i in range(states)]
    data = CriticData(
        q_features=features,
        q_rows=picked,
        returns=labels.reshape(-1)[picked] + 0.3 * rng.normal(size=states),
        tasks=tasks,
        group_rows=rows,
        group_labels=labels,
        group_logged=logged,
        group_tasks=tasks,
    )
    return data, labels


@pytest.mark.parametrize("name", ["mc", "td", "iql"])
@pytest.mark.parametrize("output", ["regression", "logit"])
def test_each_objective_finds_the_values_of_the_corridor(name: Any, output: Any) -> None:
    head = replace(HEAD, output=output)
    objective = ObjectiveSettings(name=name, gamma=0.9, polyak=0.1)
    settings = replace(QUICK, steps=400, schedule="constant")
    fit = fit_heads(corridor(), head, objective, settings)
    features = torch.from_numpy(np.concatenate([np.eye(6, dtype=np.float32)] * 2, axis=1))
    q = fit.heads.q_values(features).mean(dim=0).numpy()
    np.testing.assert_allclose(q, 0.9 ** np.arange(5, -1, -1), atol=0.06)
    assert fit.metrics["explained_variance"] > 0.9
    assert fit.objective["name"] == name
    assert not fit.heads.training


def test_a_step_cut_by_the_limit_is_no_end() -> None:
    """TD leaves such a step out instead of taking its value for 0."""
    data = corridor(terminated=np.zeros(720, bool))  # every walk was cut: no end, no next state
    kept = usable_transitions(data, np.arange(720), ObjectiveSettings(name="td"))
    assert (data.next_state_rows[kept] >= 0).all()  # type: ignore[index]
    assert len(kept) == 600
    assert len(usable_transitions(data, np.arange(720), ObjectiveSettings())) == 720


def test_group_terms_order_candidates_better_than_noisy_returns() -> None:
    data, _ = shop()
    plain = fit_heads(data, HEAD, ObjectiveSettings(), QUICK, validation_share=0.3)
    terms = ObjectiveSettings(label_weight=1.0, rank_weight=1.0, weight=0.1)
    better = fit_heads(data, HEAD, terms, QUICK, validation_share=0.3)
    assert better.metrics["rank_correlation"] > plain.metrics["rank_correlation"] + 0.1
    assert better.metrics["gap_closed"] > 0.8


@pytest.mark.parametrize("ranking", ["advantage", "pairwise", "listwise"])
def test_ranking_alone_learns_the_order(ranking: Any) -> None:
    data, _ = shop()
    objective = ObjectiveSettings(weight=0.0, rank_weight=1.0, ranking=ranking)
    fit = fit_heads(data, HEAD, objective, replace(QUICK, learning_rate=1e-2), validation_share=0.3)
    assert fit.metrics["rank_correlation"] > 0.7
    assert "q_loss" not in fit.training.history[-1]


def test_penalty_pushes_unlogged_candidates_down() -> None:
    data, _ = shop()
    assert data.group_rows is not None
    habit = data.q_features[data.group_rows][:, :, 0].argmax(axis=1)  # what the logged policy preferred
    data = replace(data, group_logged=habit)

    def gap(weight: float) -> float:
        fit = fit_heads(data, HEAD, ObjectiveSettings(cql_weight=weight), QUICK, validation_share=0)
        q = fit.heads.q_values(torch.from_numpy(np.asarray(data.q_features))).mean(dim=0).numpy()
        grouped = q[data.group_rows]
        assert data.group_logged is not None
        logged = grouped[np.arange(len(grouped)), data.group_logged]
        return float((logged - (grouped.sum(axis=1) - logged) / 3).mean())

    assert gap(1.0) > gap(0.0) + 0.2


def test_absent_candidates_change_nothing() -> None:
    heads = QHeads(8, HEAD)
    loss = HeadLoss(heads, ObjectiveSettings(label_weight=1.0, rank_weight=1.0, cql_weight=1.0))
    q, candidates, labels = torch.randn(5, 8), torch.randn(3, 4, 8), torch.rand(3, 4)
    present = torch.ones(3, 4, dtype=torch.bool)
    logged = torch.tensor([0, 2, -1])
    small = HeadBatch(q, torch.rand(5), candidates=candidates, present=present, labels=labels, logged=logged)
    filler = torch.cat([candidates, 100 * torch.randn(3, 2, 8)], dim=1)
    large = HeadBatch(
        q,
        small.returns,
        candidates=filler,
        present=torch.cat([present, torch.zeros(3, 2, dtype=torch.bool)], dim=1),
        labels=torch.cat([labels, torch.full((3, 2), torch.nan)], dim=1),
        logged=logged,
    )
    first, second = loss(small), loss(large)
    assert set(first) == {"loss", "q_loss", "v_loss", "label_loss", "rank_loss", "cql_loss"}
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], msg=name)


def test_slow_copy_starts_equal_and_follows() -> None:
    loss = HeadLoss(
        QHeads(4, HeadSettings(hidden=(3,), state_heads=2)), ObjectiveSettings(name="td", polyak=0.25)
    )
    assert loss.target is not None
    before = loss.target.q.weights[0].clone()
    assert torch.equal(before, loss.heads.q.weights[0])
    with torch.no_grad():
        loss.heads.q.weights[0].add_(1.0)
    loss.after_step()
    torch.testing.assert_close(loss.target.q.weights[0], before + 0.25)
    assert not any(p.requires_grad for p in loss.target.parameters())
    released = HeadLoss(loss.heads, ObjectiveSettings(name="td", compat="digi_q"))
    assert released.target is not None
    assert not torch.equal(released.target.q.weights[0], loss.heads.q.weights[0])


def test_features_on_disk_give_the_same_heads(tmp_path: Path) -> None:
    data, _ = shop()
    np.save(tmp_path / "f.npy", np.asarray(data.q_features))
    mapped = replace(data, q_features=np.load(tmp_path / "f.npy", mmap_mode="r"))
    quick = replace(QUICK, steps=20, log_every=1)
    objective = ObjectiveSettings(rank_weight=1.0)
    first, second = (fit_heads(d, HEAD, objective, quick).training.history for d in (data, mapped))
    assert first == second


def test_run_resumes_and_refuses_another_objective(tmp_path: Path) -> None:
    data, _ = shop()
    quick = replace(QUICK, steps=20, log_every=1, checkpoint_every=8)
    whole = fit_heads(data, HEAD, ObjectiveSettings(), quick, directory=tmp_path)
    (tmp_path / "step_00000020").rename(tmp_path / "gone")
    again = fit_heads(data, HEAD, ObjectiveSettings(), quick, directory=tmp_path)
    assert again.training.resumed_from == 16
    assert again.training.history == whole.training.history
    assert torch.equal(again.heads.q.weights[0], whole.heads.q.weights[0])
    with pytest.raises(TrainingError, match="cannot be resumed"):
        fit_heads(data, HEAD, ObjectiveSettings(rank_weight=1.0), quick, directory=tmp_path)


def test_validation_holds_out_whole_tasks() -> None:
    data = corridor()
    fitting, held = data.split(0.2, seed=1)
    assert data.tasks is not None
    sides = [{data.tasks[i] for i in part.transitions} for part in (fitting, held)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) in range(10, 40)
    longer = corridor(episodes=200)
    held_later = longer.split(0.2, seed=1)[1]
    assert set(held.transitions) <= set(held_later.transitions)  # more data moves no task
    with pytest.raises(TrainingError, match="validation part of the split is empty: 1 tasks"):
        replace(data, tasks=["one"] * 720).split(0.01, seed=0)
    with pytest.raises(TrainingError, match="needs the tasks"):
        replace(data, tasks=None).split(0.1, seed=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_each_kind_of_bad_number_is_found(dtype: Any, bad: float) -> None:
    features = np.full((50, 7), 60_000, dtype)  # sums overflow float16, and that is no error
    check_finite(features, np.arange(50), "features")
    features[33, 2] = bad
    with pytest.raises(FeatureError, match=r"row 133 of the features is not finite \(1 of 50 rows read\)"):
        check_finite(features, np.arange(100, 150), "features")


def test_features_that_are_not_finite_name_the_row() -> None:
    data = corridor()
    broken = np.array(data.q_features)
    broken[3, 2] = np.nan
    with pytest.raises(FeatureError, match="not finite in 1 dimensions"):
        fit_heads(replace(data, q_features=broken), HEAD, ObjectiveSettings(), QUICK)
    many = np.random.default_rng(0).normal(size=(80_000, 4)).astype(np.float32)
    kept = np.random.default_rng(QUICK.seed).choice(80_000, 65_536, replace=False)
    row = int(np.setdiff1d(np.arange(80_000), kept)[-1])  # outside of the sample that fixes the moments
    many[row, 1] = np.inf
    large = CriticData(q_features=many, q_rows=np.arange(80_000), returns=np.zeros(80_000))
    with pytest.raises(FeatureError, match=rf"row {row} of the features of \(state, action\) is not finite"):
        fit_heads(
            large, HEAD, ObjectiveSettings(), replace(QUICK, steps=2000, batch_size=512), validation_share=0
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"returns": np.zeros(3)}, "returns has 3 entries for 720 transitions"),
        ({"returns": np.full(720, np.nan)}, r"returns\[0\] is nan"),
        ({"q_rows": np.full(720, 9)}, "q_rows reaches from 9 to 9, but there are 6 feature rows"),
        ({"state_features": None}, "state_rows is given without the features"),
        (
            {"group_rows": np.zeros((2, 3), int), "group_labels": np.zeros((2, 4))},
            r"group_labels is \(2, 4\)",
        ),
    ],
)
def test_arrays_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        corridor(**changes)


def test_objectives_name_what_is_missing() -> None:
    data, _ = shop()
    with pytest.raises(TrainingError, match=r"objective 'td' .* needs rewards, terminated, state_features"):
        fit_heads(data, HEAD, ObjectiveSettings(name="td"), QUICK)
    returns = np.maximum(corridor().returns, 2.0 * (np.arange(720) == 0))
    with pytest.raises(TrainingError, match=r"returns reach from 0\.59049 to 2, but logit heads"):
        check_objective(corridor(returns=returns), replace(HEAD, output="logit"), ObjectiveSettings())
    with pytest.raises(ConfigError, match="nothing to learn"):
        fit_heads(data, HEAD, ObjectiveSettings(weight=0.0), QUICK)
    with pytest.raises(ConfigError, match="objective name='dqn'"):
        ObjectiveSettings(name="dqn")  # type: ignore[arg-type]
    empty = CriticData(q_features=np.zeros((1, 2)), q_rows=np.zeros(0, int), returns=np.zeros(0))
    with pytest.raises(TrainingError, match="0 rows"):
        fit_heads(empty, HEAD, ObjectiveSettings(), QUICK, validation_share=0)


def test_moments_are_those_of_the_rows() -> None:
    features = np.random.default_rng(0).normal(1000.0, 0.01, size=(300, 3)).astype(np.float32)
    mean, std = feature_moments(features, np.arange(100, 300), seed=0)
    np.testing.assert_allclose(mean, features[100:].astype(float).mean(axis=0))
    np.testing.assert_allclose(std, features[100:].astype(float).std(axis=0), rtol=1e-6)


def test_metrics_of_known_orders() -> None:
    labels = np.array([[0.0, 1.0, 2.0], [5.0, 5.0, np.nan], [1.0, 0.0, np.nan]])
    q = np.array([[1.0, 2.0, 3.0], [9.0, 1.0, 4.0], [0.0, 1.0, 99.0]])
    assert rank_correlation(q, labels) == pytest.approx(
        (1 - 1) / 2
    )  # the state without contrast does not count
    assert rank_correlation(q[:1], labels[:1]) == 1.0
    assert gap_closed(q, labels) == pytest.approx(((2 - 1) + 0 + (0 - 0.5)) / (1 + 0 + 0.5))
    assert explained_variance(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == 1.0
    assert explained_variance(np.zeros(2), np.array([2.0, 3.0])) == 0.0
    assert rank_correlation(q[1:2], labels[1:2]) == 0.0
