"""ROVER's step-level value and chunked values as objectives of heads, on logs whose exact answer is known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path as Folder
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from agentq.critics.heads import HeadSettings
from agentq.errors import ConfigError, TrainingError
from agentq.objectives.candidate_trees import Path, Tree, TreeState, states
from agentq.objectives.chunking import chunk_target
from agentq.training.chunk_loss import ChunkOptions
from agentq.training.critic import check_objective, fit_heads, new_heads, usable_transitions
from agentq.training.critic_data import CriticData, Split
from agentq.training.head_batches import HeadSource
from agentq.training.head_loss import HeadLoss, ObjectiveSettings
from agentq.training.settings import TrainingSettings

TABLE = HeadSettings(hidden=(), input_norm=False)  # one number per row of one-hot features
EXACT = TrainingSettings(
    steps=300, batch_size=64, learning_rate=0.05, weight_decay=0.0, tracker="none", log_every=300
)
WINS = (0, 0, 0, 1, 0, 0, 1, 1)  # leaves of a tree of three choices between two
VISITS = (1, 2, 1, 4, 3, 1, 2, 2)  # how often each leaf was reached in the log
LIKELY = 0.75  # of the second action, by the policy that proposed
DISCOUNTLESS = ObjectiveSettings(name="rover", gamma=1.0, polyak=0.2)


def grown(leaves: tuple[int, ...]) -> Tree:
    """The binary tree over the leaves."""
    if len(leaves) == 1:
        return Fraction(leaves[0])
    half = len(leaves) // 2
    return [grown(leaves[:half]), grown(leaves[half:])]


TREE = {state.path: state for state in states(grown(WINS))}
PAIRS = [(path, action) for path in TREE for action in (0, 1)]  # rows of the features
GROUPS = {path: number for number, path in enumerate(TREE)}


def tree_log(**changes: Any) -> CriticData:
    """Walks to every leaf; a group per state holds both of its actions."""
    steps: list[tuple[Path, int, int]] = []  # path, action, leaf
    for leaf, (path, visits) in enumerate(zip(product((0, 1), repeat=3), VISITS, strict=True)):
        steps += [(path[:depth], path[depth], leaf) for depth in range(3)] * visits
    ended = np.array([len(path) == 2 for path, _, _ in steps])
    rows = np.array([PAIRS.index((path, action)) for path, action, _ in steps])
    fields: dict[str, Any] = {
        "q_features": np.eye(len(PAIRS), dtype=np.float32),
        "q_rows": rows,
        "returns": np.array([float(WINS[leaf]) for _, _, leaf in steps]),
        "rewards": np.array([float(WINS[leaf]) for _, _, leaf in steps]) * ended,
        "terminated": ended,
        "group_rows": np.array([[PAIRS.index((path, action)) for action in (0, 1)] for path in TREE]),
        "group_log_probs": np.log(np.array([[1 - LIKELY, LIKELY]] * len(TREE), dtype=np.float32)),
        "next_steps": np.where(ended, -1, np.arange(1, len(steps) + 1)),
        "next_groups": np.array(
            [-1 if len(path) == 2 else GROUPS[(*path, action)] for path, action, _ in steps]
        ),
    }
    return CriticData(**{**fields, **changes})


def learnt(data: CriticData, objective: ObjectiveSettings, head: HeadSettings = TABLE) -> np.ndarray:
    """Values of all rows after a training, mean over heads."""
    fit = fit_heads(data, head, objective, EXACT, validation_share=0)
    return fit.heads.q_values(torch.from_numpy(np.asarray(data.q_features))).mean(dim=0).numpy()


def policy_values(second: float) -> list[float]:
    """Values of all rows when the second action is chosen with that probability in every later state."""

    def value(path: Path) -> float:
        if len(path) == 3:
            return float(WINS[4 * path[0] + 2 * path[1] + path[2]])
        return (1 - second) * value((*path, 0)) + second * value((*path, 1))

    return [value((*path, action)) for path, action in PAIRS]


@pytest.mark.parametrize("output", ["regression", "logit"])
def test_the_mean_learns_the_value_of_uniform_choice(output: Any) -> None:
    found = learnt(tree_log(), DISCOUNTLESS, replace(TABLE, output=output))
    by_hand = [0.25, 0.5, 0.0, 0.5, 0.0, 1.0]  # after one and two choices
    np.testing.assert_allclose(found[[PAIRS.index(p) for p in [((), 0), ((), 1)]]], by_hand[:2], atol=0.04)
    second = [((0,), 0), ((0,), 1), ((1,), 0), ((1,), 1)]
    np.testing.assert_allclose(found[[PAIRS.index(p) for p in second]], by_hand[2:], atol=0.04)
    np.testing.assert_allclose(found, policy_values(0.5), atol=0.04)
    for path, state in TREE.items():
        assert_greedy(found[[PAIRS.index((path, 0)), PAIRS.index((path, 1))]], state)


def assert_greedy(values: np.ndarray, state: TreeState) -> None:
    """The best action leads to a success wherever one can be reached."""
    if max(state.best) > 0:
        assert int(values.argmax()) in state.optimal


BEST = [float(state.best[action]) for state in TREE.values() for action in (0, 1)]


def test_the_maximum_learns_the_best_and_softmax_what_is_between() -> None:
    data = tree_log()
    np.testing.assert_allclose(learnt(data, replace(DISCOUNTLESS, backup="max")), BEST, atol=0.04)
    soft = learnt(data, replace(DISCOUNTLESS, backup="softmax", backup_temperature=0.5))
    assert (soft > np.array(policy_values(0.5)) - 0.04).all()
    assert (soft < np.array(BEST) + 0.04).all()
    assert soft[0] > policy_values(0.5)[0] + 0.05


def test_expected_learns_the_policy_and_sarsa_the_log() -> None:
    data = tree_log()
    expected = learnt(data, replace(DISCOUNTLESS, backup="expected"))
    np.testing.assert_allclose(expected, policy_values(LIKELY), atol=0.04)
    reached: defaultdict[int, list[float]] = defaultdict(list)
    for row, return_ in zip(data.q_rows.tolist(), data.returns.tolist(), strict=True):
        reached[row].append(return_)
    logged = [np.mean(reached[row]) for row in range(len(PAIRS))]
    without = replace(data, group_rows=None, next_groups=None, group_log_probs=None)
    np.testing.assert_allclose(learnt(without, replace(DISCOUNTLESS, backup="sarsa")), logged, atol=0.04)


def random_log(seed: int = 0) -> CriticData:
    """Episodes of one to five steps with ragged groups; some ended, some were cut, half of these at a known state."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, 12)
    count = int(lengths.sum())
    last = np.zeros(count, bool)
    last[np.cumsum(lengths) - 1] = True
    terminated = last & (rng.random(count) < 0.6)
    kept = last & ~terminated & (rng.random(count) < 0.5)
    groups = np.arange(count * 4).reshape(count, 4)
    groups[np.arange(4) > rng.integers(0, 4, (count, 1))] = -1
    following = np.where(last, -1, np.arange(1, count + 1))
    state_rows = np.arange(count)
    return CriticData(
        q_features=rng.normal(1.0, 2.0, (count * 4, 5)).astype(np.float32),
        q_rows=groups[:, 0],
        returns=rng.random(count),
        rewards=rng.random(count) * 0.2,
        terminated=terminated,
        state_features=rng.normal(size=(2 * count, 3)).astype(np.float32),
        state_rows=state_rows,
        next_state_rows=np.where(kept, state_rows + count, following),
        group_rows=groups,
        next_steps=following,
        next_groups=following,
        group_log_probs=np.where(groups >= 0, -3 * rng.random((count, 4)), np.nan).astype(np.float32),
    )


def module_and_steps(
    data: CriticData, objective: ObjectiveSettings, head: HeadSettings
) -> tuple[HeadLoss, dict[str, Tensor], list[int]]:
    """A loss whose slow copy differs from its heads, its parts on all usable steps, and these steps."""
    head = objective.with_state_heads(head)
    check_objective(data, head, objective)
    kept = usable_transitions(data, np.arange(data.transitions), objective)
    part = Split(kept, np.arange(0))
    heads = new_heads(data, head, part, 0)
    module = HeadLoss(heads, objective)
    assert module.target is not None
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.target.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    source = HeadSource(data, part, len(kept), 0, heads.v is not None, 0, objective=objective)
    return module, module(source.batch(0)), kept.tolist()


def features(data: CriticData, row: int) -> Tensor:
    return torch.from_numpy(np.asarray(data.q_features[[row]]))[0]


def fitted(raw: Tensor, target: float, output: str) -> float:
    if output == "regression":
        return (float(raw.detach()) - target) ** 2
    return float(binary_cross_entropy_with_logits(raw.detach(), torch.tensor(min(max(target, 0.0), 1.0))))


@pytest.mark.parametrize("backup", ["mean", "max", "softmax", "expected", "sarsa"])
@pytest.mark.parametrize("bootstrap", ["min", "own"])
@pytest.mark.parametrize("output", ["regression", "logit"])
def test_rover_equals_one_row_after_another(backup: Any, bootstrap: Any, output: Any) -> None:
    data = random_log()
    objective = ObjectiveSettings(
        name="rover", gamma=0.9, backup=backup, bootstrap=bootstrap, backup_temperature=0.4
    )
    module, parts, steps = module_and_steps(data, objective, HeadSettings(hidden=(6,), output=output))
    assert module.target is not None
    losses: list[float] = []
    for step in steps:
        target = np.full(2, data.rewards[step])  # type: ignore[index]
        follower = int(data.next_steps[step])  # type: ignore[index]
        if not data.terminated[step]:  # type: ignore[index]
            rows = [int(row) for row in data.group_rows[follower] if row >= 0]  # type: ignore[index]
            if backup == "sarsa":
                rows = [int(data.q_rows[follower])]
            q = np.stack([module.target.q_values(features(data, row)).numpy() for row in rows], axis=1)
            if bootstrap == "min":
                q = np.tile(q.min(axis=0), (2, 1))
            log_probs = data.group_log_probs[follower][: len(rows)]  # type: ignore[index]
            weight = {
                "softmax": np.exp(q / 0.4),
                "expected": np.tile(np.exp(log_probs), (2, 1)),
                "max": (q == q.max(axis=1, keepdims=True)).astype(float),
            }.get(backup, np.ones_like(q))
            target = target + 0.9 * (weight * q).sum(axis=1) / weight.sum(axis=1)
        raw = module.heads(features(data, int(data.q_rows[step])))
        losses += [fitted(raw[head], float(target[head]), output) for head in range(2)]
    assert len(steps) < data.transitions  # steps cut by the limit say nothing of what follows
    assert set(parts) == {"loss", "q_loss"}
    assert float(parts["loss"].detach()) == pytest.approx(np.mean(losses), rel=1e-5)


def optimistic(raw: Tensor, goal: float, kappa: float, how: str) -> float:
    weight = kappa if goal >= float(raw.detach().sigmoid()) else 1 - kappa
    if how == "quantile":
        return weight * abs(float(raw.detach()) - float(torch.tensor(goal).clamp(1e-5, 1 - 1e-5).logit()))
    return weight * float(binary_cross_entropy_with_logits(raw.detach(), torch.tensor(goal)))


@pytest.mark.parametrize("target", ["chunk", "n_step", "one_step"])
def test_dqc_equals_one_row_after_another(target: Any) -> None:
    data = random_log(3)
    chunk = ChunkOptions(h=1 if target == "one_step" else 3, target=target, kappa_d=0.7, kappa_b=0.8)
    objective = ObjectiveSettings(name="dqc", gamma=0.9, chunk=chunk)
    module, parts, steps = module_and_steps(data, objective, HeadSettings(hidden=(6,), output="logit"))
    assert module.target is not None
    found: defaultdict[str, list[float]] = defaultdict(list)
    for step in steps:
        window = [step]
        while len(window) < chunk.h and data.next_steps[window[-1]] >= 0:  # type: ignore[index]
            window.append(int(data.next_steps[window[-1]]))  # type: ignore[index]
        y = sum(0.9**k * float(data.rewards[s]) for k, s in enumerate(window))  # type: ignore[index]
        if not data.terminated[window[-1]]:  # type: ignore[index]
            after = int(data.next_state_rows[window[-1]])  # type: ignore[index]
            assert after >= 0
            y += 0.9 ** len(window) * module.heads.state_values(state_features(data, after))[0].item()
        action = module.heads(features(data, int(data.q_rows[step])))
        slow = module.target.q_values(features(data, int(data.q_rows[step]))).mean()
        value = module.heads.states(state_features(data, int(data.state_rows[step])))[0]  # type: ignore[index]
        found["v_loss"].append(optimistic(value, float(slow), 0.8, "quantile"))
        if module.chunk is None:
            found["q_loss"] += [fitted(raw, y, "logit") for raw in action]
            continue
        joined = module.chunk.stack.mean.clone()  # where a window is short
        for k, s in enumerate(window):
            joined[5 * k : 5 * k + 5] = features(data, int(data.q_rows[s]))
        whole = module.chunk.stack(joined)
        found["chunk_loss"] += [fitted(raw, y, "logit") for raw in whole]
        goals = whole.sigmoid().tolist()
        found["q_loss"] += [optimistic(action[k], goals[k], 0.7, "expectile") for k in range(2)]
    for name, losses in found.items():
        assert float(parts[name]) == pytest.approx(np.mean(losses), rel=1e-5), name
    assert float(parts["loss"].detach()) == pytest.approx(sum(np.mean(x) for x in found.values()), rel=1e-5)
    assert set(parts) == {"loss", *found}
    assert len(steps) < data.transitions


def state_features(data: CriticData, row: int) -> Tensor:
    assert data.state_features is not None
    return torch.from_numpy(np.asarray(data.state_features[[row]]))[0]


def corridor(length: int = 12, episodes: int = 6) -> CriticData:
    """Walks to the right with one-hot features; reward 1 at the end."""
    states_ = np.tile(np.arange(length), episodes)
    ends = states_ == length - 1
    table = np.eye(length, dtype=np.float32)
    return CriticData(
        q_features=table,
        q_rows=states_,
        returns=np.ones(len(states_)),
        rewards=ends.astype(float),
        terminated=ends,
        state_features=table,
        state_rows=states_,
        next_state_rows=np.where(ends, -1, states_ + 1),
        next_steps=np.where(ends, -1, np.arange(1, len(states_) + 1)),
    )


def along_the_corridor(target: Any) -> ObjectiveSettings:
    """Windows of four steps, or of one; nothing optimistic, so that values are exact."""
    chunk = ChunkOptions(h=1 if target == "one_step" else 4, target=target, kappa_b=0.5, backup="expectile")
    return ObjectiveSettings(name="dqc", gamma=1.0, polyak=0.5, chunk=chunk)


def error_after(target: Any, passes: int) -> float:
    """How far the start's value is from 1 after exact fits of a table to the targets of the batches."""
    data = corridor()
    everything = Split(np.arange(data.transitions), np.arange(0))
    source = HeadSource(data, everything, 72, 0, True, 0, objective=along_the_corridor(target))
    table = torch.zeros(12)
    for number in range(passes):
        batch = source.batch(number)
        assert batch.states is not None
        assert batch.next_states is not None
        assert batch.rewards is not None
        assert batch.terminated is not None
        assert batch.horizons is not None
        going_on = 1.0 - batch.terminated.float()
        fit = chunk_target(batch.rewards, going_on, batch.horizons, batch.next_states @ table, 1.0)
        table = torch.zeros(12).index_copy(0, batch.states.argmax(dim=1), fit)
    return 1 - float(table[0])


def test_windows_carry_values_several_states_a_pass() -> None:
    for target in ("chunk", "n_step"):
        assert [error_after(target, passes) for passes in (1, 2, 3)] == [1.0, 1.0, 0.0]
    assert [error_after("one_step", passes) for passes in (3, 11, 12)] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(("target", "steps"), [("chunk", 400), ("n_step", 400), ("one_step", 1200)])
def test_each_kind_of_window_finds_the_values_of_the_corridor(target: Any, steps: int) -> None:
    settings = replace(EXACT, steps=steps, batch_size=72)
    head, objective = replace(TABLE, output="logit"), replace(along_the_corridor(target), gamma=0.9)
    fit = fit_heads(corridor(), head, objective, settings, validation_share=0)
    q = fit.heads.q_values(torch.eye(12)).mean(dim=0)
    np.testing.assert_allclose(q.numpy(), 0.9 ** np.arange(11, -1, -1), atol=0.05)
    assert fit.heads.v is not None
    assert fit.heads.v.count == 1


@pytest.mark.parametrize("name", ["rover", "dqc"])
def test_a_run_resumes(tmp_path: Folder, name: Any) -> None:
    data = random_log()
    head = HeadSettings(hidden=(6,), output="logit", dropout=0.2)
    quick = replace(EXACT, steps=20, batch_size=8, log_every=1, checkpoint_every=8)
    objective = ObjectiveSettings(name=name)
    whole = fit_heads(data, head, objective, quick, validation_share=0, directory=tmp_path)
    (tmp_path / "step_00000020").rename(tmp_path / "gone")
    again = fit_heads(data, head, objective, quick, validation_share=0, directory=tmp_path)
    assert again.training.resumed_from == 16
    assert again.training.history == whole.training.history
    assert torch.equal(again.heads.q.weights[0], whole.heads.q.weights[0])
    assert not any("chunk" in key for key in whole.heads.state_dict())


@pytest.mark.parametrize("name", ["rover", "dqc"])
def test_targets_have_no_dropout(name: Any) -> None:
    objective = ObjectiveSettings(name=name)
    module, _, _ = module_and_steps(random_log(), objective, HeadSettings(output="logit", dropout=0.5))
    assert isinstance(module.target, nn.Module)
    assert module.training
    assert not module.target.training


def test_steps_cut_by_the_limit_are_left_out() -> None:
    data = corridor(4, 2)
    cut = replace(data, terminated=np.array([False] * 4 + [False] * 3 + [True]))
    dqc = ObjectiveSettings(name="dqc", chunk=ChunkOptions(h=2))
    assert usable_transitions(data, np.arange(8), dqc).tolist() == list(range(8))
    assert usable_transitions(cut, np.arange(8), dqc).tolist() == [0, 1, 4, 5, 6, 7]
    shown = np.array(cut.next_state_rows)
    shown[3] = 2  # the state after the cut was kept
    kept = replace(cut, next_state_rows=shown)
    assert usable_transitions(kept, np.arange(8), dqc).tolist() == list(range(8))
    sarsa = ObjectiveSettings(name="rover", backup="sarsa")
    assert usable_transitions(kept, np.arange(8), sarsa).tolist() == [0, 1, 2, 4, 5, 6, 7]
    with pytest.raises(TrainingError, match="no transition has both a next state and a reward; rover needs"):
        usable_transitions(cut, np.array([3]), sarsa)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backup": "median"}, "objective backup='median': expected one of mean, max"),
        ({"backup_temperature": 0.0}, r"backup_temperature=0\.0"),
        ({"name": "rover", "compat": "digi_q"}, "compat='digi_q' is of mc and td"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ObjectiveSettings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"h": 0}, "chunk h=0"),
        ({"h": 1}, "chunks of one action"),
        ({"target": "one_step"}, "one step ahead, but h=3"),
        ({"target": "two_step"}, "chunk target='two_step': expected one of chunk"),
        ({"backup": "mean"}, "chunk backup='mean': expected one of expectile"),
        ({"kappa_b": 1.0}, r"chunk kappa_b=1\.0"),
    ],
)
def test_chunks_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ChunkOptions(**changes)


ROVER, DQC = ObjectiveSettings(name="rover"), ObjectiveSettings(name="dqc")
LOGIT = HeadSettings(output="logit")


@pytest.mark.parametrize(
    ("head", "objective", "changes", "message"),
    [
        (HeadSettings(state_heads=2), ROVER, {}, "learns no V, but state_heads=2"),
        (HeadSettings(), DQC, {}, "fits probabilities, but output='regression'"),
        (replace(LOGIT, state_heads=2), DQC, {}, "one V head, but state_heads=2"),
        (LOGIT, ROVER, {"next_groups": None}, "needs next_groups"),
        (LOGIT, replace(ROVER, backup="expected"), {"group_log_probs": None}, "needs group_log_probs"),
        (LOGIT, DQC, {"next_steps": None}, "needs next_steps"),
        (LOGIT, DQC, {"rewards": np.full(34, -1.0)}, "rewards reach from -1 to -1"),
    ],
)
def test_objectives_name_what_does_not_fit(
    head: HeadSettings, objective: ObjectiveSettings, changes: dict[str, Any], message: str
) -> None:
    data = random_log()
    assert data.transitions == 34
    with pytest.raises((ConfigError, TrainingError), match=message):
        fit_heads(replace(data, **changes), head, objective, EXACT, validation_share=0)


def test_arrays_of_what_followed_must_fit() -> None:
    data = random_log()
    unknown = np.array(data.group_log_probs)
    unknown[int(data.next_groups.max())] = np.nan  # type: ignore[union-attr]
    with pytest.raises(TrainingError, match=r"which 1 of .* next states lack"):
        fit_heads(
            replace(data, group_log_probs=unknown), LOGIT, replace(ROVER, backup="expected"), EXACT,
            validation_share=0,
        )  # fmt: skip
    with pytest.raises(TrainingError, match="next_groups reaches from -1 to 34, but there are 34 groups"):
        replace(data, next_groups=np.where(data.next_steps == 1, 34, -1))
    with pytest.raises(TrainingError, match=r"group_log_probs is \(34, 3\), group_rows \(34, 4\)"):
        replace(data, group_log_probs=np.zeros((34, 3)))
    skipping = np.array(data.next_steps)
    skipping[np.flatnonzero(skipping > 0)[0]] = 30
    with pytest.raises(TrainingError, match=r"is followed by step 30\. Chunks need"):
        fit_heads(replace(data, next_steps=skipping), LOGIT, DQC, EXACT, validation_share=0)
