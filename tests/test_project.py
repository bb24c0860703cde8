"""What holds for the project as a whole: light imports, the public surface, its papers, names and sizes."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import agentq
from agentq.cli import find_commands

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "agentq": ROOT / "agentq",
    "agentq_data": ROOT / "data" / "agentq_data",
    "agentq_envs": ROOT / "envs" / "agentq_envs",
    "agentq_eval": ROOT / "eval" / "agentq_eval",
}
FOLDERS = [*PACKAGES.values(), ROOT / "recipes", ROOT / "benchmarks", ROOT / "tests"]
HEAVY = {
    "accelerate",
    "bitsandbytes",
    "datasets",
    "gymnasium",
    "matplotlib",
    "pandas",
    "peft",
    "pyarrow",
    "rich",
    "scipy",
    "torch",
    "transformers",
    "trl",
}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

#: Entry points are there only after an install; the tests also run from a checkout alone.
COMMANDS = {*find_commands(), *PROJECT["entry-points"]["agentq.commands"]}


def python_files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted(folder.rglob("*.py"))


def imported_by(code: str) -> set[str]:
    """Top-level modules loaded after ``code`` ran in a fresh interpreter."""
    words = [sys.executable, "-c", f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_import_agentq_is_light() -> None:
    loaded = imported_by("import agentq")
    assert "agentq" in loaded
    assert not loaded & {*HEAVY, "numpy", "yaml"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["log", "--help"], ["report", "--help"]])
def test_the_command_line_is_light(words: list[str]) -> None:
    code = f"from agentq.cli import main\ntry: main({words!r})\nexcept SystemExit: pass"
    loaded = imported_by(code)
    assert "agentq" in loaded
    assert not loaded & {*HEAVY, "numpy"}


def test_commands_of_other_packages_have_what_a_command_has() -> None:
    for module in PROJECT["entry-points"]["agentq.commands"].values():
        command = importlib.import_module(module)
        assert command.HELP
        assert callable(command.add_arguments)
        assert callable(command.run)


def test_public_surface_is_what_is_listed() -> None:
    for name in agentq.__all__:
        assert getattr(agentq, name) is not None
    assert sorted(agentq.__all__) == agentq.__all__
    assert {*agentq.__all__, "__version__"} == set(dir(agentq))
    tree = ast.parse((ROOT / "agentq" / "__init__.py").read_text(encoding="utf-8"))
    typed = {
        alias.name
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == set(agentq.__all__)  # what type checkers see is what there is
    with pytest.raises(AttributeError, match="no attribute 'Candidat'"):
        _ = agentq.Candidat  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed_and_their_init_is_light(package: str) -> None:
    # Importing agentq_envs registers its environments, which is all that it needs Gymnasium for.
    needed = {"agentq_envs": {"gymnasium"}}.get(package, set[str]())
    assert (PACKAGES[package] / "py.typed").is_file()
    assert imported_by(f"import {package}") & HEAVY == needed


GROUPS: dict[str, dict[str, str]] = PROJECT["entry-points"]
POINTS = [metadata.EntryPoint(name, path, group) for group in GROUPS for name, path in GROUPS[group].items()]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.group}.{point.name}")
def test_entry_points_lead_somewhere(point: metadata.EntryPoint) -> None:
    assert point.load() is not None


def top_level_imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_every_import_is_a_declared_dependency() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    declared = {canonicalize_name(Requirement(text).name) for group in groups for text in group}
    providers = metadata.packages_distributions()
    undeclared: dict[str, str] = {}
    for path in python_files():
        for name in top_level_imports(path) - set(sys.stdlib_module_names) - set(PACKAGES):
            owners = {canonicalize_name(owner) for owner in providers.get(name, [name])}
            is_test_module = (ROOT / "tests" / name).exists() or name == "tests"
            beside = (path.parent / f"{name}.py").exists()  # scripts find modules of their own folder
            if not owners & declared and not is_test_module and not beside:
                undeclared[name] = str(path.relative_to(ROOT))
    assert undeclared == {}


def test_licences_of_others_are_in_the_wheel() -> None:
    assert PROJECT["license-files"] == ["LICENSE", "NOTICE"]
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    colors = ROOT / "envs" / "agentq_envs" / "webshop" / "colors.py"
    assert str(colors.relative_to(ROOT).relative_to("envs")) in notice
    assert "Copyright (c) 2023 Princeton Natural Language Processing" in notice


def test_constraints_pin_what_is_required() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {str(canonicalize_name(name)): version for name, version in pins.items()}
    assert pins["torch"] == "2.13.0"
    assert all("+" not in version for version in pins.values())
    extras = PROJECT["optional-dependencies"]
    for text in [*PROJECT["dependencies"], *extras["train"], *extras["dev"]]:
        requirement = Requirement(text)
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_dependencies_point_one_way() -> None:
    order = [*PACKAGES, "recipes", "tests", "benchmarks"]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*.py")
        for name in top_level_imports(path)
        if name in order[order.index(package) + 1 :]
    ]
    assert wrong == []


def test_no_recipe_hides_a_dependency() -> None:
    installed = set(metadata.packages_distributions()) | set(sys.stdlib_module_names) | set(PACKAGES)
    names = (
        {path.stem for path in (ROOT / "recipes").iterdir()} if (ROOT / "recipes").exists() else set[str]()
    )
    assert not names & installed


def test_names_say_something() -> None:
    empty = {"util", "utils", "helper", "helpers", "misc", "common"}
    assert [str(path) for path in python_files() if path.stem in empty or path.parent.name in empty] == []


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def asserts_something(test: ast.AST) -> bool:
    called = [ast.unparse(node.func) for node in ast.walk(test) if isinstance(node, ast.Call)]
    checks = any(re.search(r"raises|warns|assert|check|expect", name) for name in called)
    return checks or any(isinstance(node, ast.Assert) for node in ast.walk(test))


def test_files_and_functions_stay_readable() -> None:
    found: list[str] = []
    for path in python_files():
        text = path.read_text(encoding="utf-8")
        where, tree = path.relative_to(ROOT), ast.parse(text)
        if text.count("\n") > 600:
            found.append(f"{where} has {text.count(chr(10))} lines (ceiling 600)")
        for function in functions(tree):
            length = (function.end_lineno or 0) - function.lineno + 1
            if length > 70:
                found.append(f"{where}: {function.name} has {length} lines (ceiling 70)")
            if function.name.startswith("test_") and not asserts_something(function):
                found.append(f"{where}: {function.name} asserts nothing")
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                found.append(f"{where}:{node.lineno} bare except")
            if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node):
                found.append(f"{where}:{node.lineno} NotImplementedError")
    assert found == []


def code_of(page: Path) -> str:
    """The fenced blocks and inline code of a page."""
    text = page.read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_links_of_pages_exist(page: Path) -> None:
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    code = code_of(page)
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", code)) <= targets
    assert set(re.findall(r"(?:^|`)agentq ([a-z]+)", code, flags=re.MULTILINE)) <= COMMANDS
    for script in re.findall(r"\b((?:recipes|benchmarks)/[\w/]+\.\w+)", code):
        assert (ROOT / script).is_file(), f"{page.name} names {script}"
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not link.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_pages_imports_what_exists(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PACKAGES:
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


def test_extras_named_in_pages_exist() -> None:
    for page in PAGES:
        for names in re.findall(r"agentq\[([\w,-]+)\]", page.read_text(encoding="utf-8")):
            assert set(names.split(",")) <= set(PROJECT["optional-dependencies"]), page.name


def test_the_changelog_knows_this_version() -> None:
    assert f"## {agentq.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
