from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentq.errors import FeatureError
from agentq.features import FeatureKey, FeatureStore, FeatureStoreWarning
from agentq.features.key import id_of_tokens

KEY = FeatureKey("backbone", "", "template", (2,), "last")


def _ids(numbers: Any) -> list[bytes]:
    return [id_of_tokens([int(n)], [7]) for n in numbers]


def _rows(numbers: Any, width: int = 8) -> Any:
    return np.asarray(numbers, dtype=np.float32)[:, None] + np.arange(width, dtype=np.float32)


def test_rows_come_back_by_address_and_by_number(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, KEY, shard_bytes=40 * 32) as store:
        numbers = np.concatenate(
            [store.append(_ids(range(a, a + 30)), _rows(range(a, a + 30))) for a in range(0, 300, 30)]
        )
        assert store.shape == (300, 8)
    again = FeatureStore(tmp_path, KEY)
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_array_equal(again.rows(_ids(order)), _rows(order))
    np.testing.assert_array_equal(again[numbers[order]], _rows(order))
    assert again.find(_ids([300, 4, 301])).tolist() == [-1, 4, -1]
    assert len(again) == 300
    assert len(list(again.directory.glob("rows-*.npy"))) > 3
    assert again.rows([]).shape == (0, 8)


def test_duplicates_are_missing_once_and_stored_once(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, KEY)
    assert store.missing(_ids([5, 6, 5, 7, 6])).tolist() == [0, 1, 3]
    assert store.append(_ids([5, 5, 6]), _rows([5, 5, 6])).tolist() == [0, 0, 1]
    store.flush()
    assert store.append(_ids([6, 8]), _rows([99, 8])).tolist() == [1, 2]
    np.testing.assert_array_equal(store.rows(_ids([8, 6])), _rows([8, 6]))  # one flushed, one buffered
    assert store.missing(_ids([8, 9])).tolist() == [1]
    store.close()


def test_equal_first_halves_of_addresses_are_told_apart(tmp_path: Path) -> None:
    ids = np.array([[7, 3], [7, 1], [7, 2], [9, 0]], dtype=np.uint64)
    with FeatureStore(tmp_path, KEY) as store:
        store.append(ids, _rows([3, 1, 2, 9]))
    again = FeatureStore(tmp_path, KEY)
    np.testing.assert_array_equal(again.rows(ids[::-1].copy()), _rows([9, 2, 1, 3]))
    assert again.find(np.array([[7, 4], [8, 1], [10, 0]], dtype=np.uint64)).tolist() == [-1, -1, -1]


def test_not_finite_features_name_the_item(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, KEY)
    bad = _rows([1, 2])
    bad[1, 3] = np.nan
    with pytest.raises(FeatureError, match="features of action two hold NaN or infinity"):
        store.append(_ids([1, 2]), bad, ["action one", "action two"].__getitem__)
    half = FeatureStore(tmp_path, FeatureKey("b", "", "t", (2,), "last", dtype="float16"))
    with pytest.raises(FeatureError, match=r"item 0 overflow float16. Store float32"):
        half.append(_ids([1]), _rows([1e6]))
    assert len(store) == len(half) == 0
    store.close()
    half.close()


def test_wrong_use_is_named(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, KEY)
    with pytest.raises(FeatureError, match=r"item 0 .* is not in"):
        store.rows(_ids([1]))
    store.append(_ids([1]), _rows([1]))
    with pytest.raises(FeatureError, match=r"width 9, those in .* have 8"):
        store.append(_ids([2]), _rows([2], width=9))
    with pytest.raises(FeatureError, match="row 1 is not in"):
        store[np.array([1])]
    with pytest.raises(FeatureError, match=f"written by process {os.getpid()}"):
        FeatureStore(tmp_path, KEY).append(_ids([3]), _rows([3]))
    store.close()
    description = store.directory / "store.json"
    description.write_text(description.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(FeatureError, match="version 2, this AgentQ reads up to 1"):
        FeatureStore(tmp_path, KEY)
    description.write_text("{")
    with pytest.raises(FeatureError, match="no feature-store description"):
        FeatureStore(tmp_path, KEY)


@pytest.mark.parametrize("victim", ["rows", "index"])
@pytest.mark.parametrize("cut", [0, 60, 200, None])
def test_an_incomplete_shard_is_dropped_and_computed_again(
    tmp_path: Path, victim: str, cut: int | None
) -> None:
    with FeatureStore(tmp_path, KEY) as store:
        for start in (0, 10, 20):
            store.append(_ids(range(start, start + 10)), _rows(range(start, start + 10)))
            store.flush()
    broken = store.directory / f"{victim}-{10:012d}.npy"
    if cut is None:
        broken.unlink()
    else:
        os.truncate(broken, cut)
    (store.directory / "rows-000000000030.npy.tmp").write_bytes(b"half")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FeatureStoreWarning)
        again = FeatureStore(tmp_path, KEY)
        assert again.missing(_ids(range(30))).tolist() == list(range(10, 20))
        np.testing.assert_array_equal(again[np.arange(20, 30)], _rows(range(20, 30)))  # numbers do not move
        with pytest.raises(FeatureError, match="row 12 is not in"):
            again[np.array([12])]
        with again:
            again.append(_ids(range(10, 20)), _rows(range(10, 20)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        last = FeatureStore(tmp_path, KEY)
    np.testing.assert_array_equal(last.rows(_ids(range(30))), _rows(range(30)))
    assert not list(last.directory.glob("*.tmp"))


def _child(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )


HEAD = """
import sys
import numpy as np
from agentq.features import FeatureKey, FeatureStore
from agentq.features.key import id_of_tokens
KEY = FeatureKey("backbone", "", "template", (2,), "last")
"""

ENDLESS = (
    HEAD
    + """
store = FeatureStore(sys.argv[1], KEY)
n = len(store)
while True:
    numbers = np.arange(n, n + 50)
    rows = numbers.astype(np.float32)[:, None] + np.arange(8, dtype=np.float32)
    store.append([id_of_tokens([int(i)], [7]) for i in numbers], rows)
    store.flush()
    n += 50
    print(n, flush=True)
"""
)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_kill_loses_nothing_that_was_flushed(tmp_path: Path) -> None:
    random.seed(1)
    for _ in range(10):
        child = _child(ENDLESS, str(tmp_path))
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(random.uniform(0, 0.05))
        child.kill()
        rest = child.stdout.read()  # communicate() would miss lines that readline() has taken in already
        _, err = child.communicate()
        assert first, err
        flushed = int([first, *rest.split()][-1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FeatureStoreWarning)
            store = FeatureStore(tmp_path, KEY)
        assert flushed <= len(store) <= flushed + 50
        np.testing.assert_array_equal(store.rows(_ids(range(len(store)))), _rows(range(len(store))))


FULL_DISK = (
    HEAD
    + """
import resource
from agentq.errors import FeatureError
store = FeatureStore(sys.argv[1], KEY)
store.append([id_of_tokens([1], [7])], np.ones((1, 8), np.float32))
store.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
store.append([id_of_tokens([i], [7]) for i in range(2, 502)], np.ones((500, 8), np.float32))
try:
    store.flush()
except FeatureError as error:
    print(error)
print(len(FeatureStore(sys.argv[1], KEY)))
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
"""
)


def test_full_disk_raises_and_keeps_the_store(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    out, err = _child(FULL_DISK, str(tmp_path)).communicate()
    assert "could not write 500 rows" in out, err
    assert out.splitlines()[-1] == "1"
    store = FeatureStore(tmp_path, KEY)
    assert store.dropped == []
    np.testing.assert_array_equal(store.rows(_ids([1])), np.ones((1, 8)))


BIG = (
    HEAD
    + """
import resource
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
generator = np.random.default_rng(0)
ids = lambda start: generator.integers(0, 2**63, (4000, 2)).astype(np.uint64)
before = peak()
with FeatureStore(sys.argv[1], KEY, shard_bytes=8 << 20) as store:
    for start in range(0, 200_000, 4000):
        store.append(ids(start), np.full((4000, 256), start, np.float32))
store = FeatureStore(sys.argv[1], KEY)
order = generator.permutation(200_000)
for start in range(0, 200_000, 1000):
    rows = store[order[start : start + 1000]]
    assert (rows[:, 0] == order[start : start + 1000] // 4000 * 4000).all()
print((peak() - before) // 1024)
"""
)


def test_memory_does_not_grow_with_the_store(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    out, err = _child(BIG, str(tmp_path)).communicate()
    assert out.strip(), err
    assert int(out) < 64  # MiB, for 205 MB of rows written and gathered at random
