"""Servers from files, shared between the environments of a process."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentq.errors import ConfigError, DataError
from agentq_data.cache import cache_folder
from agentq_envs.webshop.catalogue import Catalogue, load_catalogue
from agentq_envs.webshop.nouns import NounTagger, make_tagger
from agentq_envs.webshop.server import GoalSettings, Index, WebShopServer

_INDEX_ON_DISK_FROM = 20_000  # products; smaller indexes are built faster than a file is checked
_GENERATED_NAMES = ("products.json", "attributes.json", "human.json")


@dataclass(frozen=True, slots=True)
class ShopFiles:
    """The three official files; ``human`` is only needed for human goals."""

    products: Path
    attributes: Path
    human: Path | None = None


@dataclass(frozen=True, slots=True)
class _Stock:
    """What does not depend on goals: a catalogue and the search over it."""

    catalogue: Catalogue
    index: Index


_lock = threading.RLock()
_stocks: dict[Any, _Stock] = {}
_servers: dict[Any, WebShopServer] = {}


def shop_files(
    products: str | Path | None = None,
    attributes: str | Path | None = None,
    human: str | Path | None = None,
    catalogue_seed: int = 0,
) -> ShopFiles:
    """The given files, or without any the generated catalogue (written once to the user's cache folder).

    Raises ConfigError when only one of products and attributes is given.
    """
    if products is None and attributes is None and human is None:
        return generated_files(catalogue_seed)
    if products is None or attributes is None:
        raise ConfigError(
            "products and attributes belong together: give both official files, or neither for "
            "the generated catalogue."
        )
    return ShopFiles(Path(products), Path(attributes), None if human is None else Path(human))


def shared_server(
    files: ShopFiles,
    settings: GoalSettings | None = None,
    *,
    num_products: int | None = None,
    show_attrs: bool = False,
    noun_tagger: str | NounTagger = "auto",
) -> WebShopServer:
    """The server for these files and settings; loaded once per process while the files do not change."""
    settings = settings or GoalSettings()
    tagger = make_tagger(noun_tagger)
    stock_key = (_stamp(files), num_products, settings.human)
    key = (stock_key, settings, show_attrs, tagger.name)
    with _lock:
        if key not in _servers:
            if stock_key not in _stocks:
                _stocks[stock_key] = _stock(files, num_products, settings.human)
            stock = _stocks[stock_key]
            _servers[key] = WebShopServer(
                stock.catalogue, stock.index, settings, show_attrs=show_attrs, tagger=tagger
            )
        return _servers[key]


def forget_servers() -> None:
    """Drop the shared servers, so that their memory can be freed."""
    with _lock:
        _servers.clear()
        _stocks.clear()


def build_index(catalogue: Catalogue, folder: Path | None = None) -> Index:
    """The search index over a catalogue, in memory or memory-mapped from ``folder`` (built there once)."""
    from agentq_envs.webshop.search.index import SearchIndex, document_text

    def documents() -> Iterator[tuple[str, str]]:
        for p in catalogue.products:
            yield p.asin, document_text(p.title, p.description, p.bullets, p.options)

    if folder is None:
        return SearchIndex.build(documents())
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        return SearchIndex.build(documents(), folder)
    return SearchIndex.open(folder)


def generated_files(seed: int = 0, num_products: int = 1000) -> ShopFiles:
    """Our generated catalogue in the user's cache folder; written when it is not there yet."""
    from agentq_data.webshop.generator import CATALOGUE_VERSION

    folder = cache_folder() / "webshop" / f"v{CATALOGUE_VERSION}-seed{seed}-{num_products}"
    if not folder.is_dir():
        _write_generated(folder, seed, num_products)
    return ShopFiles(*(folder / name for name in _GENERATED_NAMES))


def _write_generated(folder: Path, seed: int, num_products: int) -> None:
    """Write beside the folder and rename, so that a reader never sees half of it."""
    from agentq_data.webshop.generator import write_catalogue

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            written = write_catalogue(Path(scratch) / "new", seed, num_products)
            for path, name in zip(
                (written.products, written.attributes, written.human), _GENERATED_NAMES, strict=True
            ):
                path.rename(path.with_name(name))
            try:
                written.products.parent.rename(folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was first, with the same content
                    raise
    except OSError as error:
        raise DataError(
            f"{folder}: cannot write the generated catalogue ({error}). "
            "Set AGENTQ_CACHE to a writable folder."
        ) from error


def _stock(
    files: ShopFiles, num_products: int | None, human: bool, on_disk_from: int = _INDEX_ON_DISK_FROM
) -> _Stock:
    catalogue = load_catalogue(
        files.products, files.attributes, files.human, human_goals=human, num_products=num_products
    )
    folder = None
    if len(catalogue) >= on_disk_from:
        key = repr((_stamp(ShopFiles(files.products, files.attributes)), num_products, human))
        folder = cache_folder() / "webshop-index" / hashlib.sha256(key.encode()).hexdigest()[:16]
    return _Stock(catalogue, build_index(catalogue, folder))


def _stamp(files: ShopFiles) -> tuple[Any, ...]:
    """Changes when a file does; missing files are reported by the reader."""
    paths = [path.resolve() for path in (files.products, files.attributes, files.human) if path is not None]
    return tuple(
        (str(path), path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else (str(path),)
        for path in paths
    )
