from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from pathlib import Path

import pytest

from agentq.errors import DataError
from agentq_envs.webshop import WebShopEnv
from agentq_envs.webshop.catalogue import load_catalogue
from agentq_envs.webshop.loading import ShopFiles, build_index, generated_files, shared_server, shop_files
from agentq_envs.webshop.server import GoalSettings


def test_changed_files_are_loaded_again(files: ShopFiles, tmp_path: Path) -> None:
    copies = ShopFiles(*(Path(shutil.copy(p, tmp_path)) for p in (files.products, files.attributes)))
    first = shared_server(copies, noun_tagger="rules")
    assert shared_server(copies, noun_tagger="rules") is first
    products = json.loads(copies.products.read_text())
    copies.products.write_text(json.dumps(products[:5]))
    assert len(shared_server(copies, noun_tagger="rules").products) == 5


def test_goal_settings_share_catalogue_and_index(files: ShopFiles) -> None:
    one = shared_server(files, GoalSettings(seed=1), noun_tagger="rules")
    other = shared_server(files, GoalSettings(seed=2), noun_tagger="rules")
    assert one is not other
    assert one.index is other.index


def test_large_indexes_are_kept_on_disk(files: ShopFiles, tmp_path: Path) -> None:
    catalogue = load_catalogue(files.products, files.attributes)
    built = build_index(catalogue, tmp_path / "index")
    written = sorted(path.stat().st_mtime_ns for path in (tmp_path / "index").iterdir())
    opened = build_index(catalogue, tmp_path / "index")
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "index").iterdir()) == written
    for query in ("plain mug", "teapot", "nothing like it"):
        assert opened.search(query) == built.search(query) == build_index(catalogue).search(query)


def test_the_generated_catalogue_is_written_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENTQ_CACHE", str(tmp_path))
    files = generated_files(seed=1, num_products=20)
    written = os.stat(files.products)
    assert generated_files(seed=1, num_products=20) == files
    assert os.stat(files.products) == written
    assert len(json.loads(files.products.read_text())) == 20
    assert [p.name for p in files.products.parent.parent.iterdir()] == [files.products.parent.name]


def test_an_unwritable_cache_names_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AGENTQ_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="Set AGENTQ_CACHE to a writable folder"):
        generated_files()


def test_the_default_shop_has_a_thousand_products() -> None:
    server = shared_server(shop_files(), noun_tagger="rules")
    assert len(server.products) == 1000
    assert len(server.goals) > 5000


def test_a_further_environment_is_small() -> None:
    first = WebShopEnv(noun_tagger="rules")
    first.reset(seed=0)
    tracemalloc.start()
    further = WebShopEnv(noun_tagger="rules")
    further.reset(seed=0)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert further.server is first.server
    assert used < 200_000
