"""The preference recipe as a user starts it, on a few trees, with the model that ships with AgentQ."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentq.critics.loading import load_critic
from agentq.critics.preference import PreferenceCritic
from agentq.search.records import read_trees
from agentq.trajectories.reader import TrajectoryReader

RECIPE = "train_preference.py"
SMALL = (
    "--max_steps=6", "--collect.tasks=4", "--collect.search.iterations=3", "--collect.search.width=4",
    "--pairs.rule=all", "--critic.training.epochs=1", "--test.tasks=4", "--test.n=3",
    "--test.arms=sampled,greedy,best_of_n",
)  # fmt: skip


@pytest.mark.slow
def test_from_trees_to_a_report(tmp_path: Path, finish: Callable[..., str]) -> None:
    folder = tmp_path / "small"
    assert "gain of best_of_n" in finish(RECIPE, f"--output={folder}", *SMALL)
    report = json.loads((folder / "report.json").read_text())
    assert set(report["arms"]) == {"sampled", "greedy", "best_of_n"}
    critic = load_critic(folder / "critic", device="cpu")
    assert isinstance(critic, PreferenceCritic)
    about = json.loads((folder / "pairs" / "provenance.json").read_text())
    assert critic.config.training["data_hash"] == about["rows_sha256"]
    searched = {tree.task for tree in read_trees(folder / "trees.jsonl")}
    played = {json.loads(line)["task"] for line in (folder / "episodes.jsonl").read_text().splitlines()}
    assert len(searched) == len(played) == 4
    assert not searched & played


@pytest.mark.slow
def test_from_a_labelled_log(tmp_path: Path, labelled_log: Path, finish: Callable[..., str]) -> None:
    folder, quoted = tmp_path / "logged", "agentq.features.grounding:quoted_line"
    log = (f"--log=[{labelled_log}]", "--logged_pairs.at_most=24", f"--critic.grounding={quoted}")
    finish(RECIPE, f"--output={folder}", *log, *SMALL)
    assert not (folder / "trees.jsonl").exists()
    about = json.loads((folder / "pairs" / "provenance.json").read_text())
    assert (about["logs"], about["pairs"]) == (["log"], 24)
    critic = load_critic(folder / "critic", device="cpu")
    assert isinstance(critic, PreferenceCritic)
    assert critic.config.grounding == quoted
    assert critic.config.training["data_hash"] == about["rows_sha256"]


@pytest.mark.slow
def test_from_episodes_with_labels(tmp_path: Path, finish: Callable[..., str]) -> None:
    folder, labels = tmp_path / "labelled", ("--collect.labels.kind=lookahead", "--collect.n=5")
    arms = ("--test.arms=sampled,reference", "--test.eta=2.5")
    said = finish(RECIPE, f"--output={folder}", *labels, "--logged_pairs.at_most=24", *SMALL, *arms)
    assert "gain of reference over sampled" in said
    assert not (folder / "trees.jsonl").exists()
    episodes = list(TrajectoryReader(folder / "collected"))
    assert len(episodes) == 4
    for episode in episodes:
        for step in episode.trajectory.steps:
            assert sum(candidate.count for candidate in step.decision.candidates) == 5
            assert step.labels is not None
            assert len(step.labels) == len(step.decision.candidates)
    about = json.loads((folder / "pairs" / "provenance.json").read_text())
    assert (about["logs"], about["pairs"]) == (["collected"], 24)
    played = {json.loads(line)["task"] for line in (folder / "episodes.jsonl").read_text().splitlines()}
    assert not played & {episode.trajectory.task for episode in episodes}
    chosen = [e for e in TrajectoryReader(folder / "log") if e.trajectory.metadata["arm"] == "reference"]
    assert len(chosen) == 4
    options = chosen[0].trajectory.steps[0].decision.selector_options
    assert options is not None
    assert (options["eta"], options["prior"], options["choose"]) == (2.5, "logprob", "argmax")


def test_impossible_options_stop_before_anything_is_loaded(tmp_path: Path, start: Callable[..., Any]) -> None:
    for options, words in (
        (("--collect.split=validation", "--test.split=validation"), "both 'validation'"),
        (("--collect.search.guide=puct",), "environment's reward"),
        (("--policy.temperature=0",), "temperature of 0"),
        (("--trees=trees.jsonl", "--log=[log]"), "pairs come from one of them"),
        (("--collect.labels.kind=none",), "pairs need labelled candidates"),
        (("--collect.labels.kind=guided",), "no critic to guide"),
        (("--collect.n=0",), "--collect.n 0"),
        (("--test.arms=sampled,refrence",), "--test.arms refrence"),
        (("--test.eta=-1",), "--test.eta -1"),
        (("--critic.grounding=nowhere:at_all",), "cannot be imported"),
    ):
        done = start(RECIPE, f"--output={tmp_path / 'x'}", *options)
        assert done.returncode != 0
        assert words in done.stderr
        assert not (tmp_path / "x").exists()
