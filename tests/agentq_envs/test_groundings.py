"""What the groundings of all environments promise alike."""

from __future__ import annotations

from importlib import import_module

import pytest

from agentq.critics.groundings import resolve_grounding

BEGINNINGS = {"alfworld": "Task: put a mug in desk", "hotpotqa": "Question: Where was the director born?"}


@pytest.mark.parametrize("environment", BEGINNINGS)
def test_only_the_compact_prompt_is_read(environment: str) -> None:
    module = f"agentq_envs.{environment}.grounding"
    facts = import_module(module).facts
    prompt = BEGINNINGS[environment]
    assert resolve_grounding(f"{module}:facts") is facts
    assert facts(({"role": "user", "content": prompt},), "look") != ""
    for content in ("You see a desk 1.", [{"type": "text", "text": prompt}], "", None):
        assert facts(({"role": "user", "content": content},), "look") == ""
    assert facts((), "look") == ""
