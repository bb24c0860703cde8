"""The reference vectors, when the reference data lies beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.runner import load_checks, read_rows, stem

VECTORS = (
    *(
        "parse_action",
        "normalize_color",
        "token_set_ratio",
        "random_idx",
        "load_products_real",
        "load_products_edge",
    ),
    *("goals", "goals_limit_filter", "type_reward_given_nouns", "reward", "bm25", "analyzer", "episodes"),
)


@pytest.mark.parametrize("name", VECTORS)
def test_reference_vectors(shared_data: Path, name: str) -> None:
    folder = shared_data / "webshop" / "vectors"
    path = next(path for path in sorted(folder.iterdir()) if stem(path) == name)
    rows, broken = read_rows(path)
    result = load_checks("webshop")[name](rows, shared_data)
    assert not broken
    assert result.failures == []
    assert result.passed == result.total == len(rows)
