from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentq.errors import LogError
from agentq.trajectories import TrajectoryReader, TrajectoryWriter
from agentq.trajectories.schema import end_row, episode_row, read_episode, read_step, step_row
from agentq.trajectories.shards import decode_block, encode_block
from agentq.types import Candidate, Decision, Step, Trajectory

Build = Callable[..., Trajectory]
Equal = Callable[[Any, Any], bool]

numbers = st.floats(width=64)
texts = st.text(st.characters(codec=None), max_size=8)  # lone surrogates and control characters included
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=6,
)
contents = texts | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": texts}), max_size=2)
messages = st.fixed_dictionaries({"role": texts, "content": contents}, optional={"tool_calls": plain})


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    ids = draw(st.lists(st.integers(0, 2**40), max_size=4))
    return Candidate(
        draw(texts),
        draw(st.none() | texts),
        draw(st.none() | texts),
        tuple(ids),
        tuple(draw(st.lists(numbers, min_size=len(ids), max_size=len(ids)))),
        draw(st.integers(1, 9)),
    )


@st.composite
def steps(draw: st.DrawFn, state: tuple[Any, ...]) -> Step:
    n = draw(st.integers(1, 4))

    def row() -> st.SearchStrategy[list[float]]:
        return st.lists(numbers, min_size=n, max_size=n)

    heads = draw(st.none() | st.lists(row(), min_size=0, max_size=3))
    labels, support = draw(st.none() | row()), draw(st.none() | row())
    decision = Decision(
        tuple(draw(candidates()) for _ in range(n)),
        np.array(draw(row())),
        np.array(draw(row())),
        draw(st.integers(0, n - 1)),
        draw(st.none() | numbers),
        None if heads is None else np.array(heads, dtype=np.float64).reshape(-1, n),
        draw(texts),
        tuple(draw(st.lists(texts, max_size=2))),
        None if support is None else np.array(support),
        draw(st.none() | st.dictionaries(texts, plain, max_size=2)),
    )
    return Step(
        state,
        decision,
        draw(numbers),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.dictionaries(texts, plain, max_size=2)),
        draw(st.dictionaries(texts, numbers, max_size=2)),
        None if labels is None else np.array(labels),
    )


@st.composite
def trajectories(draw: st.DrawFn) -> Trajectory:
    state: tuple[Any, ...] = tuple(draw(st.lists(messages, max_size=2)))
    made: list[Step] = []
    for _ in range(draw(st.integers(0, 3))):
        made.append(draw(steps(state)))
        grown = (*state, *draw(st.lists(messages, max_size=2)))
        state = grown if draw(st.booleans()) else tuple(draw(st.lists(messages, max_size=3)))
    return Trajectory(
        draw(texts),
        draw(st.integers(-(2**63), 2**63 - 1)),
        tuple(made),
        draw(texts),
        draw(st.dictionaries(texts, plain, max_size=2)),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trajectories())
def test_any_trajectory_survives_its_bytes(equal: Equal, original: Trajectory) -> None:
    count = len(original.steps)
    rows = [episode_row("e", original), *(step_row("e", i, original) for i in range(count))]
    data = encode_block([*rows, end_row("e", original)])
    assert data.count(b"\n") == count + 2
    assert equal(read_episode(decode_block(data)[:-1]), original)


def test_episodes_come_back_in_order_and_by_id(tmp_path: Path, trajectory: Build, equal: Equal) -> None:
    made = [trajectory(seed, steps=1 + seed % 3) for seed in range(12)]
    with TrajectoryWriter(tmp_path, max_shard_bytes=6000) as writer:
        names = [writer.write(item) for item in made]
        assert "11" in writer
        assert len(writer) == 12
    reader = TrajectoryReader(tmp_path)
    assert len(sorted(tmp_path.glob("shard-*.jsonl"))) > 2
    assert [episode.id for episode in reader] == names == list(reader.ids)
    assert all(equal(a.trajectory, b) for a, b in zip(reader.episodes(), made, strict=True))
    assert all(equal(reader[name], item) for name, item in zip(reversed(names), reversed(made), strict=True))
    assert [(s.episode, s.index) for s in reader.steps()][:3] == [("0", 0), ("1", 0), ("1", 1)]
    assert reader.damages == ()


def test_a_second_writer_appends_and_ids_stay_unique(tmp_path: Path, trajectory: Build) -> None:
    with TrajectoryWriter(tmp_path) as writer:
        writer.write(trajectory(0), "first")
    with TrajectoryWriter(tmp_path) as writer:
        assert writer.repair is None
        assert writer.episodes == {"first"}
        with pytest.raises(LogError, match="'first' is empty or already in log"):
            writer.write(trajectory(0), "first")
        writer.write(trajectory(1), "second")
    assert TrajectoryReader(tmp_path).ids == ("first", "second")


def test_growing_context_is_stored_once(tmp_path: Path, trajectory: Build) -> None:
    long = trajectory(0, steps=30, text="x" * 10_000)
    with TrajectoryWriter(tmp_path) as writer:
        writer.write(long)
    assert next(tmp_path.glob("shard-*.jsonl")).stat().st_size < 40_000


def test_what_cannot_be_stored_is_named(tmp_path: Path, trajectory: Build) -> None:
    good = trajectory(0).steps[0]
    bad_info = Trajectory("t", 0, (Step(good.messages, good.decision, 0.0, False, False, {"x": object()}),))
    bad_q = Decision(good.decision.candidates, np.zeros(3), np.zeros(2), 0)
    with TrajectoryWriter(tmp_path) as writer:
        with pytest.raises(LogError, match=r"episode 'a', step 0: info cannot be stored"):
            writer.write(bad_info, "a")
        with pytest.raises(LogError, match=r"q has shape \(3,\), expected \(N,\) with N=2"):
            writer.write(Trajectory("t", 0, (Step(good.messages, bad_q, 0.0, False, False),)))
        with pytest.raises(LogError, match="does not fit 64 bits"):
            writer.write(Trajectory("t", 2**70, ()))
        assert len(writer) == 0
    assert len(TrajectoryReader(tmp_path)) == 0


def test_no_log_and_unknown_episode_are_named(tmp_path: Path, trajectory: Build) -> None:
    with pytest.raises(LogError, match="no trajectory log in"):
        TrajectoryReader(tmp_path / "nowhere")
    with TrajectoryWriter(tmp_path) as writer:
        writer.write(trajectory(0))
    with pytest.raises(LogError, match="'7' is not among the 1 complete episodes"):
        TrajectoryReader(tmp_path)["7"]


def test_rows_without_the_newer_columns_are_read(trajectory: Build) -> None:
    made = trajectory(1)
    row = step_row("a", 0, made)
    assert row["support"] == [0.25, None]
    del row["support"], row["selector_options"]
    exact = {path: value for path, value in json.loads(row["exact"]).items() if "support" not in path}
    decision = read_step({**row, "exact": json.dumps(exact)}, ()).decision
    assert (decision.support, decision.selector_options) == (None, None)
    assert decision.q.tolist() == made.steps[0].decision.q.tolist()
