from __future__ import annotations

import argparse
import re
from dataclasses import fields
from pathlib import Path

import pytest

from agentq.cli import main
from agentq.commands import serve
from agentq.errors import ConfigError
from agentq.gateway.settings import GatewaySettings
from agentq.verification import Admissible, Repeated


def settings(*words: str) -> GatewaySettings:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    return serve.settings_of(parser.parse_args(["--upstream", "http://h:1", "--critic", "c", *words]))


def test_every_option_reaches_its_setting_and_left_out_ones_keep_their_default() -> None:
    assert settings() == GatewaySettings("http://h:1", "c")
    found = settings(
        "--selector", "softmax", "--selector-option", "temperature=0.5", "--selector-option", "scale=std",
        "--check", "repeated:times=1", "--check", "admissible", "--resample",
        "--n", "4", "--log", "d", "--critic-process", "--no-page", "--log-content",
    )  # fmt: skip
    assert found.selector_options == {"temperature": 0.5, "scale": "std"}
    assert found.loaded_checks() == (Repeated(1), Admissible())
    assert found.resample
    assert (found.n, found.log, found.critic_process, found.page, found.log_content) == (
        4,
        Path("d"),
        True,
        False,
        True,
    )


def test_the_reference_lists_every_option() -> None:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    options = {option for action in parser._actions for option in action.option_strings} - {"-h", "--help"}
    text = (Path(__file__).resolve().parents[3] / "docs" / "gateway.md").read_text()
    assert options == set(re.findall(r"`(--[a-z-]+)", text)) & options
    names = {option[2:].replace("-", "_") for option in options} | {"selector_options", "checks", "page"}
    assert {field.name for field in fields(GatewaySettings)} <= names


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--n", "40"), "max_n"),
        (("--deadline", "0"), "deadline"),
        (("--selector-option", "x"), "KEY=VALUE"),
        (("--max-queue", "0"), "max_queue"),
        (("--check", "repeatd"), "Did you mean 'repeated'"),
        (("--check", "repeated:tmes=2"), "Did you mean 'times'"),
        (("--resample",), "without checks"),
    ],
)
def test_impossible_options_are_named(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings(*words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--critic", "none", "--selector", "best_of_m"), "best_of_n"),
        (("--critic", "none", "--api-key-variable", "NO_SUCH_KEY"), "NO_SUCH_KEY"),
        (("--critic", "./no/such/critic"), "no/such/critic"),
    ],
)
def test_what_cannot_be_served_ends_the_command_with_one_line(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--upstream", "http://127.0.0.1:9", *words]) == 1
    assert said in capsys.readouterr().err.splitlines()[-1]
