from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentq.backbones import Backbone, BackboneConfig, load_backbone
from agentq.critics.groundings import grounded_text
from agentq.errors import LogError, TrainingError
from agentq.features import FeatureExtractor, FeatureStore
from agentq.features.log import Progress
from agentq.training.log_data import critic_data, joint_examples, logged_states
from agentq.trajectories import TrajectoryReader, TrajectoryWriter
from agentq.types import Candidate, Decision, Messages, Step, Trajectory

NAN = float("nan")
A, B, C = (Candidate(f"Action: {name}", name) for name in "abc")
JUNK, BABBLE = Candidate("??", None, "no action"), Candidate("!!", None, "no action")
FINAL = [{"role": "user", "content": "page of the cut"}]


def page(name: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": f"page {name}"},)


def step(
    name: str,
    candidates: Sequence[Candidate],
    index: int,
    reward: float,
    labels: list[float] | None = None,
    **more: Any,
) -> Step:
    n = len(candidates)
    decision = Decision(tuple(candidates), np.zeros(n), np.ones(n) / n, index)
    return Step(
        page(name),
        decision,
        reward,
        more.pop("terminated", False),
        more.pop("truncated", False),
        labels=None if labels is None else np.array(labels),
        **more,
    )


BOUGHT = Trajectory(
    "t0",
    0,
    (
        step("0", [A, JUNK, B], 2, 0.0, [0.5, NAN, 0.25]),
        step("1", [A, JUNK, BABBLE], 1, 0.25),  # a text that does not parse was executed
        step("2", [C, A, C], 0, 1.0, [0.125, NAN, 0.125], terminated=True),  # the same action twice
    ),
)
CUT = Trajectory("t1", 5, (step("3", [B], 0, 0.5, truncated=True, info={"final_messages": FINAL}),))
ACTIONS = [["a", "b"], ["a", "??"], ["c", "a"], ["b"]]
LOGGED = [1, 1, 0, 0]
RETURNS = [0.0 + 0.5 * 0.25 + 0.25 * 1.0, 0.25 + 0.5 * 1.0, 1.0, 0.5]  # gamma 0.5


@pytest.fixture(scope="module")
def backbone(tiny_model_folder: Path) -> Backbone:
    return load_backbone(BackboneConfig(name=str(tiny_model_folder)))


def logged(folder: Path, *trajectories: Trajectory) -> TrajectoryReader:
    with TrajectoryWriter(folder) as writer:
        for trajectory in trajectories:
            writer.write(trajectory)
    return TrajectoryReader(folder)


@pytest.fixture
def log(tmp_path: Path) -> TrajectoryReader:
    return logged(tmp_path / "log", BOUGHT, CUT)


def test_proposals_stand_behind_the_hidden_states(backbone: Backbone, tmp_path: Path) -> None:
    liked = [replace(A, token_ids=(1,), token_logprobs=(-0.5,)), B]
    other = Trajectory("t2", 0, (step("0", liked, 0, 1.0, terminated=True),))
    log = logged(tmp_path / "log", BOUGHT, CUT, other)  # twice (page 0, a): proposed otherwise each time
    extractor = FeatureExtractor(backbone)
    with FeatureStore(tmp_path / "features", extractor.key()) as store:
        plain = critic_data(log, extractor, store, 0.5)
        data = critic_data(log, extractor, store, 0.5, proposal="likelihood")
        assert plain.group_rows is not None
        assert data.group_rows is not None
        assert data.group_log_probs is not None
        np.testing.assert_array_equal(data.group_log_probs[4], [-0.5, NAN])
        assert np.isnan(data.group_log_probs[:4]).all()
        width = int(plain.q_features.shape[1])
        assert tuple(data.q_features.shape) == (9, width + 2)
        present = data.group_rows >= 0
        np.testing.assert_array_equal(present, plain.group_rows >= 0)
        found = data.q_features[data.group_rows[present]]
        np.testing.assert_array_equal(found[:, :width], plain.q_features[plain.group_rows[present]])
        np.testing.assert_array_equal(found[:, width:], [[0, 0]] * 7 + [[-0.5, 1], [0, 0]])
        taken = data.q_features[data.q_rows]
        np.testing.assert_array_equal(taken[:, :width], plain.q_features[plain.q_rows])
        assert data.digest != plain.digest
    examples = joint_examples(log, backbone, None, 0.5, "likelihood")
    assert [len(example.proposals) for example in examples] == [2, 2, 2, 1, 2]
    assert examples[4].proposals == ((-0.5, 1.0), (0.0, 0.0))


def test_states_hold_the_distinct_actions_and_the_one_taken(log: TrajectoryReader) -> None:
    states = list(logged_states(log, 0.5))
    assert [list(state.actions) for state in states] == ACTIONS
    assert [state.logged for state in states] == LOGGED
    assert [state.actions[state.logged] for state in states] == ["b", "??", "c", "b"]
    assert [state.transition.return_to_go for state in states] == RETURNS
    labels = [state.labels for state in states]
    np.testing.assert_array_equal(labels[0], [0.5, 0.25])
    assert labels[1] is None
    np.testing.assert_array_equal(labels[2], [0.125, NAN])
    assert labels[3] is None


def test_rows_are_the_features_of_every_action(
    tmp_path: Path, log: TrajectoryReader, backbone: Backbone
) -> None:
    extractor = FeatureExtractor(backbone)
    seen: list[Progress] = []
    with FeatureStore(tmp_path / "q", extractor.key()) as store:
        data = critic_data(log, extractor, store, 0.5, progress=seen.append)
        assert data.group_rows is not None
        assert data.group_rows.shape == (4, 2)
        for number, actions in enumerate(ACTIONS):
            rows = data.group_rows[number]
            expected = extractor.pairs([(page(str(number)), action) for action in actions])
            np.testing.assert_allclose(store[rows[: len(actions)]], expected, atol=1e-5)
            assert (rows[len(actions) :] == -1).all()
        np.testing.assert_array_equal(data.q_rows, data.group_rows[np.arange(4), LOGGED])
        assert len(store) == 7
        assert seen[-1].pairs == 7
        again = critic_data(log, extractor, store, 0.5)
        assert len(store) == 7  # nothing is computed twice
        assert again.digest == data.digest


def test_targets_are_those_of_the_log(tmp_path: Path, log: TrajectoryReader, backbone: Backbone) -> None:
    extractor = FeatureExtractor(backbone)
    with FeatureStore(tmp_path / "q", extractor.key()) as store:
        data = critic_data(log, extractor, store, 0.5)
        np.testing.assert_allclose(data.returns, RETURNS)
        np.testing.assert_allclose(critic_data(log, extractor, store, 1.0).returns, [1.25, 1.25, 1.0, 0.5])
    expected = [[0.5, 0.25], [NAN, NAN], [0.125, NAN], [NAN, NAN]]
    np.testing.assert_array_equal(data.group_labels, expected)
    np.testing.assert_array_equal(data.group_logged, LOGGED)
    np.testing.assert_array_equal(data.rewards, [0.0, 0.25, 1.0, 0.5])
    np.testing.assert_array_equal(data.terminated, [False, False, True, False])
    assert data.tasks == data.group_tasks == ["t0", "t0", "t0", "t1"]
    np.testing.assert_array_equal(data.next_steps, [1, 2, -1, -1])
    np.testing.assert_array_equal(data.next_groups, [1, 2, -1, -1])
    assert data.group_log_probs is None
    assert data.state_rows is None


def test_states_and_next_states_have_features_of_their_own(
    tmp_path: Path, log: TrajectoryReader, backbone: Backbone
) -> None:
    extractor = FeatureExtractor(backbone)
    with (
        FeatureStore(tmp_path / "q", extractor.key()) as store,
        FeatureStore(tmp_path / "s", extractor.key("states")) as states,
    ):
        data = critic_data(log, extractor, store, 0.5, states=states)
        assert data.state_rows is not None
        assert data.next_state_rows is not None
        here = extractor.states([page(str(number)) for number in range(4)])
        np.testing.assert_allclose(states[data.state_rows], here, atol=1e-5)
        assert data.next_state_rows.tolist()[:3] == [data.state_rows[1], data.state_rows[2], -1]
        behind_the_cut = states[data.next_state_rows[3:]]
        np.testing.assert_allclose(behind_the_cut, extractor.states([FINAL]), atol=1e-5)


def test_a_log_without_labels_has_none(tmp_path: Path, backbone: Backbone) -> None:
    extractor = FeatureExtractor(backbone)
    with FeatureStore(tmp_path / "q", extractor.key()) as store:
        data = critic_data(logged(tmp_path / "log", CUT), extractor, store, 0.9)
        assert data.group_labels is None
        with pytest.raises(TrainingError, match="the log has no steps"):
            critic_data([], extractor, store, 0.9)
        with pytest.raises(LogError, match=r"gamma=1\.5 is no discount"):
            critic_data(logged(tmp_path / "other", CUT), extractor, store, 1.5)


def about(messages: Messages, action: str) -> str:
    return f"{action} on {messages[-1]['content']}" if action != "a" else ""


@pytest.mark.parametrize("grounding", [None, about])
def test_token_examples_say_the_same_as_the_arrays(
    tmp_path: Path, log: TrajectoryReader, backbone: Backbone, grounding: Any
) -> None:
    extractor = FeatureExtractor(backbone, grounding=grounding, grounding_name="about" if grounding else "")
    with FeatureStore(tmp_path / "q", extractor.key()) as store:
        data = critic_data(log, extractor, store, 0.5)
    examples = joint_examples(log, backbone, grounding, 0.5)
    np.testing.assert_allclose([example.returns for example in examples], data.returns)
    assert data.rewards is not None
    assert [example.reward for example in examples] == data.rewards.tolist()
    assert [example.logged for example in examples] == LOGGED
    assert [example.terminated for example in examples] == [False, False, True, False]
    np.testing.assert_array_equal(examples[0].labels, [0.5, 0.25])
    np.testing.assert_array_equal(examples[2].labels, [0.125, NAN])
    assert examples[1].labels == examples[3].labels == ()
    for number, (example, actions) in enumerate(zip(examples, ACTIONS, strict=True)):
        prepared = [extractor.prepare((page(str(number)), action)) for action in actions]
        assert [list(candidate) for candidate in example.candidates] == [list(one.action) for one in prepared]
        assert all(list(one.state) == list(example.prompt) for one in prepared)
        texts = [grounded_text(page(str(number)), action, grounding) for action in actions]
        assert example.candidates == tuple(tuple(backbone.action_ids(text)) for text in texts)
    following = [examples[1].prompt, examples[2].prompt, (), tuple(backbone.prompt_ids(FINAL))]
    assert [example.next_prompt for example in examples] == following
