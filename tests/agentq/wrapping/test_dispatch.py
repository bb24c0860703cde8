"""How ``wrap`` finds its adapter: by the class, without importing what the agent does not come from."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentq.errors import ConfigError, MissingExtraError
from agentq.wrapping import supported, wrap

FRAMEWORKS = {"agents", "langchain_core", "openai", "smolagents"}


def object_of(module: str, name: str) -> Any:
    """An object whose class claims to come from ``module``."""
    return type(name, (), {"__module__": module})()


def test_every_file_is_an_adapter() -> None:
    assert set(supported()) >= FRAMEWORKS


def test_wrapping_a_function_imports_no_framework() -> None:
    code = (
        "import sys; from agentq.wrapping import wrap; assert wrap(lambda m: 'a', n=2)('x') == 'a'; "
        f"print(sorted({FRAMEWORKS!r} & set(sys.modules)), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[] False"


@pytest.mark.parametrize(
    "agent", [3, "text", None, SimpleNamespace(chat=1), int, object_of("openai", "Image")]
)
def test_unknown_objects_are_refused_with_the_list(agent: Any) -> None:
    with pytest.raises(ConfigError, match="agents, langchain_core, openai, smolagents") as caught:
        wrap(agent)
    assert "entry-point group 'agentq.wrappers'" in str(caught.value)


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [
        ("openai", "OpenAI", "openai"),
        ("langchain_core.language_models", "BaseChatModel", "langchain"),
        ("agents.models.interface", "Model", "openai-agents"),
        ("smolagents.models", "Model", "smolagents"),
    ],
)
def test_a_framework_that_cannot_be_imported_is_an_extra_to_install(
    module: str, name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = module.partition(".")[0]
    for loaded in [m for m in sys.modules if m == root or m.startswith(f"{root}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, root, None)
    monkeypatch.delitem(sys.modules, f"agentq.wrapping.adapters.{root}", raising=False)
    with pytest.raises(MissingExtraError, match=rf'pip install "agentq\[{extra}\]"'):
        wrap(object_of(module, name))
    # An adapter imported while its framework was hidden must not stay: the next test imports both anew.
    sys.modules.pop(f"agentq.wrapping.adapters.{root}", None)


def test_a_package_of_ones_own_called_agents_is_no_sdk() -> None:
    class Speaker:
        __module__ = "agents.shop"

        def __call__(self, messages: Any) -> str:
            return "green"

    assert wrap(Speaker(), n=2)("Which colour?") == "green"


def test_other_packages_add_adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "paperclip.py").write_text(
        "class Robot:\n    pass\n\ndef wrap(agent, guide):\n    return ('guided', agent, guide.n)\n"
    )
    about = tmp_path / "paperclip-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: paperclip\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[agentq.wrappers]\npaperclip = paperclip:wrap\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    robot = importlib.import_module("paperclip").Robot()
    assert wrap(robot, n=5) == ("guided", robot, 5)
    assert "paperclip" in supported()
