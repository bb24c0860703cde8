from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agentq.config import load_config, to_dict, to_yaml
from agentq.config_help import list_options
from agentq.config_yaml import parse_yaml
from agentq.errors import ConfigError


@dataclass(frozen=True)
class Lora:
    r: int = 8  # rank of the adapter
    targets: tuple[str, ...] = ("q_proj", "v_proj")


@dataclass(frozen=True)
class Critic:
    heads: int = 2
    learning_rate: float = 1e-3
    objective: Literal["td", "mc"] = "mc"
    lora: Lora | None = None  # LoRA adapter


@dataclass(frozen=True)
class Recipe:
    """A recipe for tests."""

    output: Path | None = None  # where results go
    seed: int = 0
    bf16: bool = False
    #: How many candidates,
    #: each value evaluated.
    ns: tuple[int, ...] = (1, 2, 4)
    limits: tuple[float, float] = (0.0, 1.0)
    critic: Critic = Critic(heads=3)
    name: str | None = None
    anything: int | str = 1
    environment: dict[str, float] = field(default_factory=dict[str, float])
    extra: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Required:
    model: str


texts = st.text(max_size=12)
floats = st.floats(allow_nan=False)
critics = st.builds(
    Critic,
    heads=st.integers(),
    learning_rate=floats,
    objective=st.sampled_from(["td", "mc"]),
    lora=st.none() | st.builds(Lora, r=st.integers(), targets=st.lists(texts).map(tuple)),
)
recipes = st.builds(
    Recipe,
    output=st.none() | st.sampled_from([Path("runs/a"), Path("/x y")]),
    seed=st.integers(),
    bf16=st.booleans(),
    ns=st.lists(st.integers()).map(tuple),
    limits=st.tuples(floats, floats),
    critic=critics,
    name=st.none() | texts,
    anything=st.integers() | texts,
    environment=st.dictionaries(texts, floats, max_size=3),
    extra=st.dictionaries(
        texts, st.none() | st.booleans() | texts | st.integers() | st.lists(floats), max_size=3
    ),
)


@given(recipes)
def test_dict_and_yaml_give_back_the_same_object(recipe: Recipe) -> None:
    assert load_config(Recipe, to_dict(recipe)) == recipe
    assert load_config(Recipe, parse_yaml(to_yaml(recipe), "test")) == recipe


@given(
    critic=st.builds(
        Critic, heads=st.integers(), learning_rate=floats, lora=st.none() | st.builds(Lora, r=st.integers())
    ),
    seed=st.integers(),
    bf16=st.booleans(),
    ns=st.lists(st.integers(), min_size=1).map(tuple),
)
def test_command_line_gives_the_same_object_as_python(
    critic: Critic, seed: int, bf16: bool, ns: tuple[int, ...]
) -> None:
    argv = [f"--seed={seed}", f"--bf16={bf16}", "--ns", ",".join(map(str, ns))]
    argv += [f"--critic.heads={critic.heads}", "--critic.learning_rate", repr(critic.learning_rate)]
    if critic.lora is not None:
        argv += ["--critic.lora", f"--critic.lora.r={critic.lora.r}"]
    assert load_config(Recipe, argv) == Recipe(seed=seed, bf16=bf16, ns=ns, critic=critic)


def test_a_default_object_keeps_its_own_values_below_overrides() -> None:
    assert load_config(Recipe, ["--critic.learning_rate", "1e-4"]).critic == Critic(
        heads=3, learning_rate=1e-4
    )


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], None),
        (["--critic.lora"], Lora()),
        (["--critic.lora", "true"], Lora()),
        (["--critic.lora.r", "4"], Lora(r=4)),
        (["--critic.lora.r", "4", "--critic.lora"], Lora(r=4)),
        (["--critic.lora.r", "4", "--critic.lora", "none"], None),
        (["--critic.lora.targets", "a, b"], Lora(targets=("a", "b"))),
        (["--critic.lora.targets", '["a,b"]'], Lora(targets=("a,b",))),
    ],
)
def test_an_optional_group_is_switched_on_and_off(argv: list[str], expected: Lora | None) -> None:
    assert load_config(Recipe, argv).critic.lora == expected


def test_files_come_first_in_their_order_then_options(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("seed: 1\nname: no\ncritic: {heads: 5, learning_rate: 1e-4, lora: {r: 2}}\n")
    two.write_text("seed: 2\n")
    config = load_config(
        Recipe, ["--critic.lora", "--config", str(one), "--config", str(two), "--critic.heads", "7"]
    )
    assert config == Recipe(seed=2, name="no", critic=Critic(heads=7, learning_rate=1e-4, lora=Lora(r=2)))
    assert load_config(Recipe, one).seed == 1
    two.write_text("")
    assert load_config(Recipe, two) == Recipe()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--sede", "1"], "unknown setting 'sede': did you mean 'seed'"),
        (["--critic.hedas", "1"], "unknown setting 'critic.hedas': did you mean 'critic.heads'"),
        (
            ["--critic.lora.rank-of-it", "1"],
            "unknown setting 'critic.lora.rank-of-it'. Known under 'critic.lora.': r, t",
        ),
        (["--seed", "1.5"], "seed is '1.5': expected a value of type int"),
        (["--seed"], "seed needs a value of type int"),
        (["--name"], "name needs a value of type str"),
        (["--bf16", "yes"], "bf16 is 'yes': expected a value of type bool"),
        (["--critic", "big"], "critic is 'big': expected a group of settings (critic.heads, "),
        (["--critic.objective", "dt"], "critic.objective is 'dt': expected one of 'td', 'mc'"),
        (["--limits", "1"], "limits is ['1']: expected 2 values"),
        (["--limits", "1,x"], "limits[1] is 'x': expected a value of type float"),
        (["--environment", "[1]"], "environment is [1]: expected a mapping"),
        (["--environment", "{a: "], "--environment is no valid YAML"),
        (["train"], "unexpected word 'train'"),
        (["--config"], "--config needs the path"),
        (["--config", "absent.yaml"], "cannot read the configuration file 'absent.yaml'"),
    ],
)
def test_bad_options_are_named_with_what_was_expected(argv: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(Recipe, argv)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": "1"}, "seed is '1': expected a value of type int"),
        ({"seed": True}, "seed needs a value of type int"),
        ({"seed": 1.0}, "seed is 1.0: expected a value of type int"),
        ({"seed": None}, "seed is None"),
        ({"bf16": 1}, "bf16 is 1: expected a value of type bool"),
        ({"name": 3}, "name is 3: expected a value of type str"),
        ({"ns": "1,2"}, "ns is '1,2': expected a list"),
        ({"critic": None}, "critic is None: expected a group of settings"),
        ({"critic": {"lora": {"r": "x"}}}, "critic.lora.r is 'x'"),
        ({1: 2}, "unknown setting '1'"),
    ],
)
def test_values_of_files_and_python_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(Recipe, values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text", ["seed: 1\nseed: 2\n", "- 1\n", "seed: [\n", "[1]: 2\n", "a: !!python/object:os.system x"]
)
def test_broken_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_config(Recipe, path)


def test_a_missing_required_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="model is not set and has no default"):
        load_config(Required, [])


def test_the_process_command_line_ends_with_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["recipe.py", "--sede", "1"])
    with pytest.raises(SystemExit) as caught:
        load_config(Recipe)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "recipe.py: error: unknown setting 'sede': did you mean 'seed'?\n"


def test_help_shows_comments_types_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load_config(Recipe, ["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert "A recipe for tests." in text
    assert "--critic.heads int [3]" in text  # the default of this recipe, not of the class
    options = {option.name: option for option in list_options(Recipe)}
    assert options["critic.lora.r"].help == "rank of the adapter"
    assert options["critic.lora"].help == "LoRA adapter"
    assert options["ns"].help == "How many candidates, each value evaluated."
    assert options["ns"].default == "1,2,4"


@pytest.mark.parametrize(
    "text", ["no", "on", "1e-4", "2026-01-01", "0x10", "1_000", "12:30", "~", "", "null", "010"]
)
def test_text_stays_text_and_is_readable_by_plain_yaml(text: str) -> None:
    dumped = to_yaml(Recipe(name=text, anything=text))
    assert load_config(Recipe, parse_yaml(dumped, "test")).name == text
    assert isinstance(yaml.safe_load(dumped), dict)
