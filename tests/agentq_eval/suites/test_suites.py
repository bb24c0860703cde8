"""Suites as files, by name, and changed by a command line."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import ConfigError, DataError, TaskError
from agentq_eval.commands import eval as command
from agentq_eval.running.building import make_environment
from agentq_eval.suites import changes
from agentq_eval.suites.loading import load_suite, suite_names
from agentq_eval.suites.panels import content_hash, load_panel
from agentq_eval.suites.suite import ArmSpec, EnvironmentSpec, PanelSpec, Suite, Timeouts

OWN = """
name: own
environment: {id: "shop:Shop", options: {size: 3}}
panel: {file: panel.json, first: 2}
arms:
  - {name: sampled, n: [1]}
  - {name: vote, selector: majority, n: [4, 8]}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "panel.json").write_text(
        json.dumps({"tasks": ["a", "b", "c"], "strata": dict.fromkeys("abc", "x")})
    )
    return tmp_path / "own.yaml"


@pytest.mark.parametrize("name", suite_names())
def test_every_shipped_suite_loads_and_is_frozen(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert suite.title
    assert len(suite.panel.hash) == 64 or suite.panel.name.startswith("official")
    assert load_suite(name).content() == suite.content()


def test_a_suite_file_brings_its_panel(own: Path) -> None:
    suite = load_suite(own)
    panel = load_panel(suite.panel, object())
    assert (panel.name, panel.tasks, panel.strata) == ("panel", ("a", "b"), {"a": "x", "b": "x"})
    assert panel.hash == content_hash(("a", "b", "c"), dict.fromkeys("abc", "x"))
    assert suite.arms[1] == ArmSpec("vote", "majority", n=(4, 8))
    own.write_text(OWN + "retrys: 3\n")
    with pytest.raises(ConfigError, match=r"retrys.*did you mean 'retries'"):
        load_suite(own)


def test_a_panel_that_was_changed_is_refused(own: Path) -> None:
    path = own.parent / "panel.json"
    frozen = {"tasks": ["a", "b"], "hash": content_hash(("a", "b"), {})}
    path.write_text(json.dumps(frozen))
    assert load_panel(PanelSpec(file=str(path)), None).tasks == ("a", "b")
    path.write_text(json.dumps({**frozen, "tasks": ["a", "c"]}))
    with pytest.raises(TaskError, match="changed after it was frozen"):
        load_panel(PanelSpec(file=str(path)), None)
    path.write_text("[1")
    with pytest.raises(DataError, match="no panel file"):
        load_panel(PanelSpec(file=str(path)), None)
    path.write_text(json.dumps({"tasks": ["a", "b"], "strata": {"a": "x"}}))
    with pytest.raises(TaskError, match="gives strata to 1 of 2"):
        load_panel(PanelSpec(file=str(path)), None)


def test_unknown_suites_are_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'webshop-embedded'"):
        load_suite("webshop-embeded")
    with pytest.raises(ConfigError, match=r"nowhere.yaml"):
        load_suite("nowhere.yaml")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_the_command_line_changes_a_suite() -> None:
    suite = command.adapted(parsed("webshop-embedded", "--tasks=20", "--seeds", "1", "2", "--n", "2", "4"))
    assert (suite.panel.first, suite.seeds) == (20, (1, 2))
    assert {(arm.name, arm.n) for arm in suite.arms} >= {("sampled", (1,)), ("best_of_n", (2, 4))}
    suite = command.adapted(parsed("webshop-embedded", "--selector=softmax:temperature=0.5,scale=std"))
    assert [arm.name for arm in suite.arms if arm.critic] == ["softmax"]
    assert suite.arms[-1].options == {"temperature": 0.5, "scale": "std"}
    assert suite.roles.method == "softmax"
    suite = command.adapted(parsed("webshop-embedded", "--arms=sampled,greedy", "--agent=some/model"))
    assert [arm.name for arm in suite.arms] == ["sampled", "greedy"]
    assert suite.policy.model == "some/model"
    suite = command.adapted(parsed("webshop-embedded", "--agent=pack.age:make", "--critic=runs/c"))
    assert (suite.policy.factory, suite.critic and suite.critic.path) == ("pack.age:make", "runs/c")
    suite = command.adapted(parsed("webshop-embedded", "--set", "timeouts.step=3", "--set", "retries=0"))
    assert (suite.timeouts.step, suite.retries) == (3.0, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--arms=best_of_m",), "Did you mean 'best_of_n'"),
        (("--selector=softmax:temprature=1",), "temperature"),
        (("--selector=softmax:0.1",), "expected key=value"),
        (("--selector=sotfmax",), "softmax"),
        (("--n", "0"), "n is \\[0\\]"),
        (("--seeds", "1", "1"), "different numbers"),
    ],
)
def test_what_does_not_fit_is_said(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        command.adapted(parsed("webshop-embedded", *words))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": ()}, "no arms"),
        ({"arms": (ArmSpec("a"), ArmSpec("a"))}, "N=8 twice"),
        ({"arms": (ArmSpec("a@b"),)}, "none of @"),
        ({"arms": (ArmSpec("a", temperature=0.0),)}, "8 equal candidates"),
        ({"arms": (ArmSpec("a", critic=True),)}, "needs a critic"),
        ({"panel": PanelSpec()}, "exactly one of"),
        ({"panel": PanelSpec("x", tasks=("y",))}, "exactly one of"),
        ({"timeouts": Timeouts(step=0)}, "timeouts.step"),
        ({"retries": -1}, "retries -1"),
        ({"metrics": ("gian",)}, r"metrics \['gian'\]: expected each at most once, out of gain"),
    ],
)
def test_impossible_suites_are_refused(own: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(load_suite(own), **change)


def test_environments_by_id_and_by_class() -> None:
    env = make_environment(
        EnvironmentSpec("gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv", step_limit=""), 3
    )
    env.reset(seed=0)
    assert [env.step(0)[3] for _ in range(3)] == [False, False, True]
    assert make_environment(EnvironmentSpec("FrozenLake-v1", step_limit=""), None).unwrapped.metadata
    for wrong in ("no.such:Env", "NoSuch-v0"):
        with pytest.raises(ConfigError, match=r"NoSuch|no\.such"):
            make_environment(EnvironmentSpec(wrong), 3)
    with pytest.raises(ConfigError, match="unexpected keyword argument 'max_stepz'"):
        make_environment(EnvironmentSpec("FrozenLake-v1", step_limit="max_stepz"), 3)


def test_suite_with_selector_keeps_bases(own: Path) -> None:
    suite: Suite = changes.with_selector(load_suite(own), "majority", {})
    assert [(arm.name, arm.critic) for arm in suite.arms] == [
        ("sampled", False),
        ("vote", False),
        ("majority", False),
    ]


def test_a_selector_takes_no_n_from_a_tree_search() -> None:
    suite = changes.with_selector(load_suite("alfworld-unseen"), "reference", {})
    assert {arm.name: arm.n for arm in suite.arms if arm.critic} == {"reference": (8,)}
    assert "puct" not in {arm.name for arm in suite.arms}


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("best_of_n:bound=mean_std,pessimism=0.5", "best_of_n", {"bound": "mean_std", "pessimism": 0.5}),
        ("reference:eta=2,prior=logprob_norm", "reference", {"eta": 2, "prior": "logprob_norm"}),
        (
            "pessimistic:threshold=null,bound=soft_low",
            "pessimistic",
            {"threshold": None, "bound": "soft_low"},
        ),
        ("fallback:baseline=majority,margin=0.1", "fallback", {"baseline": "majority", "margin": 0.1}),
        ("epsilon_greedy:epsilon=0.2", "epsilon_greedy", {"epsilon": 0.2}),
        ("ucb:discount=samples", "ucb", {"discount": "samples"}),
    ],
)
def test_every_selector_is_an_arm_by_name(own: Path, text: str, name: str, options: dict[str, Any]) -> None:
    suite = command.adapted(parsed("webshop-embedded", f"--selector={text}"))
    assert (suite.arms[-1].selector, suite.arms[-1].options) == (name, options)
    own.write_text(OWN + f"  - {{name: new, selector: {name}, options: {json.dumps(options)}, n: [4]}}\n")
    arm = load_suite(own).arms[-1]
    assert (arm.selector, arm.options) == (name, options)
    own.write_text(OWN + f"  - {{name: new, selector: {name}, options: {{colour: red}}, n: [4]}}\n")
    with pytest.raises(ConfigError, match=f"selector '{name}' has no option 'colour'"):
        load_suite(own)
