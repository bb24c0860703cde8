"""Every configuration that ships beside the recipes can be read by the recipe that its head names."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from agentq.backbones import load_backbone
from agentq.config import load_config
from agentq.critics.groundings import resolve_grounding
from agentq.errors import ConfigError
from agentq_envs.benchmark import load_benchmark

from .conftest import ROOT

CONFIGURATIONS = sorted((ROOT / "recipes" / "configs").glob("*.yaml"))


def recipe(name: str) -> ModuleType:
    path = ROOT / "recipes" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their annotations up there
    spec.loader.exec_module(module)
    return module


def recipe_of(configuration: Path) -> str:
    kind = configuration.stem.partition("_")[0]
    return {"preference": "train_preference", "rover": "train_rover"}.get(kind, "train_qvalue")


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_a_shipped_configuration_is_read_and_names_what_exists(path: Path) -> None:
    module = recipe(recipe_of(path))
    config = load_config(module.Config, ["--config", str(path)])
    if hasattr(module, "check"):
        module.check(config)
        load_benchmark(config.environment, config.data)
        load_backbone(module.policy_backbone(config))
        if config.critic.grounding:
            resolve_grounding(config.critic.grounding)


def test_a_configuration_with_a_key_of_no_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "preference_odd.yaml"
    path.write_text("critic:\n  traning: {}\n")
    with pytest.raises(ConfigError, match="traning"):
        load_config(recipe(recipe_of(path)).Config, ["--config", str(path)])
