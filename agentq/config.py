"""One frozen dataclass is a recipe's configuration; YAML, command line and Python give the same object.

```python
@dataclass(frozen=True)
class LoraConfig:
    r: int = 8  # rank of the adapter

@dataclass(frozen=True)
class Config:
    model: str = "embedded"  # name or path of the policy's model
    lora: LoraConfig | None = None  # fine-tune with an adapter

config = load_config(Config)  # python recipe.py --config base.yaml --lora.r 16
```

The comment behind a field is its help text. A nested dataclass is reached with dots; ``--lora`` alone
switches an optional one on with its defaults and ``--lora none`` off. ``--config FILE`` may be repeated
(later files win) and is always applied before the other options.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, cast

from agentq.config_yaml import dump_yaml, parse_yaml
from agentq.errors import ConfigError

__all__ = ["load_config", "to_dict", "to_yaml"]


class DataclassInstance(Protocol):
    """Any object of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


T = TypeVar("T", bound=DataclassInstance)


class _Text(str):
    """A value from the command line, still to be read as the type of its field."""


def load_config(cls: type[T], source: Sequence[str] | Mapping[str, Any] | Path | None = None) -> T:
    """Build the dataclass ``cls`` from command-line words, a YAML file (``Path``) or a mapping.

    ``None`` reads the process's own command line; there ``--help`` prints every option, and a
    ``ConfigError`` ends the process with status 2 and one line instead of a traceback.
    Raises ``ConfigError`` for an unknown or missing key, a value of the wrong type, an unreadable file.
    """
    if source is None:
        try:
            return _from_argv(cls, sys.argv[1:])
        except ConfigError as error:
            print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
            raise SystemExit(2) from error
    if isinstance(source, Mapping):
        return _build(cls, source, "", None)
    if isinstance(source, Path):
        return _build(cls, _read_yaml(source), "", None)
    return _from_argv(cls, source)


def to_dict(config: DataclassInstance) -> dict[str, Any]:
    """The configuration as plain JSON types, nested; ``load_config(type(c), to_dict(c)) == c``."""
    return {field.name: _plain(getattr(config, field.name)) for field in _fields(type(config))}


def to_yaml(config: DataclassInstance) -> str:
    """The configuration as YAML text that ``--config`` reads back into the same object."""
    return dump_yaml(to_dict(config))


# --- reading -----------------------------------------------------------------------------------------


def _from_argv(cls: type[T], argv: Sequence[str]) -> T:
    if any(word in ("-h", "--help") for word in argv):
        from agentq.config_help import format_help

        print(format_help(cls, Path(sys.argv[0]).name))
        raise SystemExit(0)
    files: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in _options(argv):
        if name == "config":
            if not isinstance(value, _Text):
                raise ConfigError(
                    "--config needs the path of a YAML file, e.g. --config recipes/configs/x.yaml."
                )
            files = _merge(files, _read_yaml(Path(value)))
            continue
        nested: Any = value
        for part in reversed(name.split(".")):
            nested = {part: nested}
        options = _merge(options, nested)
    return _build(cls, _merge(files, options), "", None)


def _options(argv: Sequence[str]) -> Iterator[tuple[str, _Text | Literal[True]]]:
    """``--name value``, ``--name=value`` or ``--name`` alone (True), in order."""
    position = 0
    while position < len(argv):
        word = argv[position]
        position += 1
        if not word.startswith("--") or len(word) < 3:
            raise ConfigError(f"unexpected word {word!r}: every option is written --name value (see --help).")
        name, equals, text = word[2:].partition("=")
        if equals:
            yield name, _Text(text)
        elif position < len(argv) and not argv[position].startswith("--"):
            yield name, _Text(argv[position])
            position += 1
        else:
            yield name, True


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(cast(Mapping[str, Any], old), cast(Mapping[str, Any], value))
        elif not (isinstance(old, Mapping) and _switch(value) is True):  # "on" keeps what is set inside
            merged[key] = value
    return merged


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the configuration file {str(path)!r}: {error}. Check the path."
        ) from error
    values = parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: expected 'key: value' lines, got {type(values).__name__}.")
    return cast(Mapping[str, Any], values)


# --- building and checking ---------------------------------------------------------------------------


def _fields(cls: type[Any]) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(cls) if field.init]


def _build(cls: type[T], values: Mapping[str, Any], path: str, base: T | None) -> T:
    """An object of ``cls`` with ``values`` laid over ``base`` (over the field defaults when None)."""
    hints = typing.get_type_hints(cls)
    names = [field.name for field in _fields(cls)]
    for key in values:
        if key not in names:
            raise _unknown_key(cls, path, str(key))
    arguments: dict[str, Any] = {}
    for field in _fields(cls):
        default = getattr(base, field.name) if base is not None else field_default(field)
        if field.name in values:
            where = f"{path}{field.name}"
            arguments[field.name] = _convert(hints[field.name], values[field.name], where, default)
        elif default is not dataclasses.MISSING:
            arguments[field.name] = default
        else:
            raise ConfigError(
                f"{path}{field.name} is not set and has no default. Pass --{path}{field.name} VALUE."
            )
    return cls(**arguments)


def field_default(field: dataclasses.Field[Any]) -> Any:
    """The default of a dataclass field; ``dataclasses.MISSING`` when it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _unknown_key(cls: type[Any], path: str, key: str) -> ConfigError:
    full = path + key
    near = difflib.get_close_matches(key, [field.name for field in _fields(cls)], n=1)
    if near:
        return ConfigError(f"unknown setting {full!r}: did you mean {path + near[0]!r}?")
    return ConfigError(
        f"unknown setting {full!r}. Known under {path or 'the top level'!r}: "
        f"{', '.join(field.name for field in _fields(cls))}."
    )


def _convert(hint: Any, value: Any, path: str, default: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, path, default)
    if dataclasses.is_dataclass(hint):
        return _convert_dataclass(cast(type[Any], hint), value, path, default)
    if origin is Literal:
        for choice in typing.get_args(hint):
            if value == choice and type(value) in (type(choice), _Text):
                return choice
            if isinstance(value, _Text) and value == str(choice):
                return choice
        raise _wrong(path, value, f"one of {', '.join(map(repr, typing.get_args(hint)))}")
    if origin is tuple:
        return _convert_tuple(typing.get_args(hint), value, path)
    if origin in (dict, Mapping):
        if isinstance(value, _Text):
            value = parse_yaml(value, f"--{path}")
        if not isinstance(value, Mapping):
            raise _wrong(path, value, "a mapping of names to values")
        inner = typing.get_args(hint)[1]
        items = cast(Mapping[Any, Any], value).items()
        return {str(key): _convert(inner, item, f"{path}.{key}", dataclasses.MISSING) for key, item in items}
    return _convert_scalar(hint, value, path)


def _convert_union(members: tuple[Any, ...], value: Any, path: str, default: Any) -> Any:
    nothing = value is None or (isinstance(value, _Text) and value.lower() in ("none", "null"))
    if type(None) in members and nothing:
        return None
    others = [member for member in members if member is not type(None)]
    if any(dataclasses.is_dataclass(member) for member in others) and _switch(value) is False:
        return None
    problems: list[str] = []
    # A typed value goes to the member of exactly its type (with int | float, 1 stays an int).
    for member in sorted(others, key=lambda member: type(value) is not member):
        try:
            return _convert(member, value, path, default)
        except ConfigError as error:
            problems.append(str(error))
    raise ConfigError(problems[0] if len(problems) == 1 else " Or: ".join(problems))


def _convert_dataclass(cls: type[Any], value: Any, path: str, default: Any) -> Any:
    base = default if isinstance(default, cls) else None
    if isinstance(value, cls):
        return value
    if _switch(value) is True:
        value = {}
    if isinstance(value, Mapping):
        return _build(cls, cast(Mapping[str, Any], value), f"{path}.", base)
    inside = ", ".join(f"{path}.{field.name}" for field in _fields(cls))
    raise _wrong(path, value, f"a group of settings ({inside})")


def _convert_tuple(inner: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if isinstance(value, _Text):
        value = (
            parse_yaml(value, f"--{path}")
            if value.startswith("[")
            else [_Text(v.strip()) for v in value.split(",")]
        )
    if not isinstance(value, (list, tuple)):
        raise _wrong(path, value, "a list (on the command line: 1,2,3)")
    items = cast(Sequence[Any], value)
    if len(inner) == 2 and inner[1] is Ellipsis:
        inner = (inner[0],) * len(items)
    if len(inner) != len(items):
        raise _wrong(path, value, f"{len(inner)} values")
    pairs = enumerate(zip(inner, items, strict=True))
    return tuple(_convert(hint, item, f"{path}[{i}]", dataclasses.MISSING) for i, (hint, item) in pairs)


def _convert_scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is Any:
        return parse_yaml(value, f"--{path}") if isinstance(value, _Text) else value
    if hint is bool:
        if (switch := _switch(value)) is not None:
            return switch
    elif value is True or value is False:  # bool is a subclass of int
        if value is True:
            raise ConfigError(f"{path} needs a value of type {type_name(hint)}, e.g. --{path} VALUE.")
    elif hint in (int, float):
        if type(value) is int or (hint is float and type(value) is float):
            return hint(value)
        if isinstance(value, _Text):
            try:
                return hint(value)
            except ValueError:
                pass  # reported below with the name of the setting
    elif hint is str and isinstance(value, str):
        return str(value)
    elif hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    elif hint not in (str, Path):
        raise ConfigError(
            f"{path}: a field of type {type_name(hint)} cannot be configured; use bool, int, float, str, "
            "Path, Literal, tuple, dict[str, ...], a dataclass, or one of them | None."
        )
    raise _wrong(path, value, f"a value of type {type_name(hint)}")


def _switch(value: Any) -> bool | None:
    """True/False for a boolean or its text on the command line, None for anything else."""
    if isinstance(value, _Text):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _wrong(path: str, value: Any, expected: str) -> ConfigError:
    shown = str(value) if isinstance(value, _Text) else value
    return ConfigError(f"{path} is {shown!r}: expected {expected}.")


def type_name(hint: Any) -> str:
    """A type as a person writes it."""
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast(Sequence[Any], value)]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast(Mapping[Any, Any], value).items()}
    return str(value) if isinstance(value, Path) else value
