"""The ``--help`` text of a configuration: every option with its type, default and the field's comment."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import textwrap
import tokenize
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentq.config import field_default, type_name


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a configuration."""

    name: str  # dotted
    type: str
    default: str  # "" when required
    help: str


def format_help(cls: type[Any], program: str) -> str:
    """All options of the dataclass ``cls``, for a terminal."""
    lines = [f"usage: {program} [--config FILE.yaml] [--name value ...]", ""]
    description = inspect.getdoc(cls) or ""
    if description and not description.startswith(f"{cls.__name__}("):  # the text that @dataclass makes up
        lines += [description, ""]
    for option in list_options(cls):
        default = f" [{option.default}]" if option.default else " (required)"
        lines.append(f"  --{option.name} {option.type}{default}")
        if option.help:
            lines += textwrap.wrap(option.help, 92, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join(lines)


def list_options(cls: type[Any], prefix: str = "", base: Any = None) -> list[Option]:
    """Every option, nested ones with dots, in the order of the fields."""
    options: list[Option] = []
    hints = typing.get_type_hints(cls)
    comments = field_comments(cls)
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        default = getattr(base, field.name) if base is not None else field_default(field)
        text = field.metadata.get("help") or comments.get(field.name, "")
        nested = [
            m for m in (hints[field.name], *typing.get_args(hints[field.name])) if dataclasses.is_dataclass(m)
        ]
        if not nested or default is None:
            shown = "" if default is dataclasses.MISSING else _show(default)
            name = "" if nested else type_name(field.type)
            options.append(Option(prefix + field.name, name, shown, text))
        for member in nested:
            base_of_member = default if isinstance(default, typing.cast(type, member)) else None
            options += list_options(typing.cast(type, member), f"{prefix}{field.name}.", base_of_member)
    return options


def field_comments(cls: type[Any]) -> dict[str, str]:
    """The comment behind each field of a dataclass (or the ``#:`` lines above it), bases included."""
    comments: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            comments.update(_comments_of(base))
    return comments


def _comments_of(cls: type[Any]) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):  # defined in an interactive session: options without texts
        return {}
    by_line = dict(_comment_tokens(source))
    found: dict[str, str] = {}
    definition = typing.cast(ast.ClassDef, ast.parse(source).body[0])
    for node in definition.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        texts: list[str] = []
        line = node.lineno - 1
        while by_line.get(line, "").startswith("#:"):
            texts.insert(0, by_line[line])
            line -= 1
        if node.end_lineno in by_line:
            texts.append(by_line[node.end_lineno])
        if texts:
            found[node.target.id] = " ".join(text.lstrip("#: ").strip() for text in texts)
    return found


def _comment_tokens(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _show(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, typing.cast(tuple[Any, ...], value)))
    return str(value) if isinstance(value, (str, Path)) else repr(value)
