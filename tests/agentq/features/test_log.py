from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentq.backbones import Backbone, BackboneConfig, load_backbone
from agentq.errors import FeatureError
from agentq.features import FeatureExtractor, FeatureStore, extract_log, logged_pairs
from agentq.features.extract import Pair
from agentq.features.log import Progress
from agentq.trajectories import TrajectoryReader, TrajectoryWriter
from agentq.types import Candidate, Decision, Step, Trajectory


@pytest.fixture(scope="module")
def backbone(tiny_model_folder: Path) -> Backbone:
    return load_backbone(BackboneConfig(name=str(tiny_model_folder)))


def _pairs(count: int) -> list[Pair]:
    return [([{"role": "user", "content": f"page {i % 17}"}], f"click[{i % 5}]") for i in range(count)]


def test_streamed_features_equal_direct_ones(tmp_path: Path, backbone: Backbone) -> None:
    extractor = FeatureExtractor(backbone, batch_tokens=300)
    seen: list[Progress] = []
    with FeatureStore(tmp_path, extractor.key()) as store:
        made = extract_log(iter(_pairs(200)), extractor, store, seen.append, window=64)
        np.testing.assert_allclose(store[made.rows], extractor.pairs(_pairs(200)), atol=1e-5)
        assert made.computed == len(store) == 85  # distinct pairs
        assert [p.pairs for p in seen] == [64, 128, 192, 200]
        assert made.tokens == seen[-1].tokens > 0


def test_stop_and_resume_recomputes_nothing_that_was_flushed(tmp_path: Path, backbone: Backbone) -> None:
    extractor = FeatureExtractor(backbone)

    def stopping(pairs: list[Pair], at: int) -> Iterator[Pair]:
        yield from pairs[:at]
        raise KeyboardInterrupt

    whole = _pairs(80)
    with FeatureStore(tmp_path / "whole", extractor.key()) as store:
        expected = store[extract_log(whole, extractor, store, window=16).rows]
    with pytest.raises(KeyboardInterrupt), FeatureStore(tmp_path / "cut", extractor.key()) as store:
        extract_log(stopping(whole, 40), extractor, store, window=16)
    with FeatureStore(tmp_path / "cut", extractor.key()) as store:
        kept = len(store)
        resumed = extract_log(whole, extractor, store, window=16)
        assert kept == 32
        assert resumed.computed == 80 - kept
        np.testing.assert_allclose(store[resumed.rows], expected, atol=1e-5)
        again = extract_log(whole, extractor, store)
        assert again.computed == again.tokens == 0
        np.testing.assert_array_equal(again.rows, resumed.rows)


def test_states_go_into_a_store_of_their_own(tmp_path: Path, backbone: Backbone) -> None:
    extractor = FeatureExtractor(backbone, pooling="last+mean")
    states: list[Pair] = [(messages, None) for messages, _ in _pairs(20)]
    with FeatureStore(tmp_path, extractor.key("states")) as store:
        made = extract_log(states, extractor, store)
        assert store.shape == (17, 32)
        np.testing.assert_allclose(store[made.rows], extractor.states([s for s, _ in states]), atol=1e-5)
        with pytest.raises(FeatureError, match="pair 0 has an action, but the store holds states"):
            extract_log(_pairs(1), extractor, store)
    with pytest.raises(FeatureError, match="but the extractor makes"):
        extract_log([], FeatureExtractor(backbone, layer=0), store)


def test_a_pair_with_nan_features_is_named(tmp_path: Path, tiny_model_folder: Path) -> None:
    broken = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    with torch.no_grad():
        broken.model.get_input_embeddings().weight[broken.action_ids("z")[0]] = torch.nan  # type: ignore[operator]
    extractor = FeatureExtractor(broken)
    pairs: list[Pair] = [*_pairs(5), ([{"role": "user", "content": "page"}], "z")]
    with (
        FeatureStore(tmp_path, extractor.key()) as store,
        pytest.raises(FeatureError, match=r"pair 5 \(action 'z'\) hold NaN"),
    ):
        extract_log(pairs, extractor, store)


def test_pairs_of_a_log(tmp_path: Path) -> None:
    candidates = (Candidate("a", "a"), Candidate("??", None, "no action"), Candidate("b", "b"))
    state: tuple[Any, ...] = ({"role": "user", "content": "x"},)
    steps = tuple(
        Step(state, Decision(candidates, np.zeros(3), np.ones(3) / 3, index), 0.0, False, False)
        for index in (2, 1)
    )
    with TrajectoryWriter(tmp_path) as writer:
        writer.write(Trajectory("t", 0, steps))
    reader = TrajectoryReader(tmp_path)
    assert [action for _, action in logged_pairs(reader)] == ["b", "??"]
    assert [action for _, action in logged_pairs(reader, "all")] == ["a", "b"] * 2
