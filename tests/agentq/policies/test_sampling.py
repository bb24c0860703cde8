from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agentq.policies.constrained import Allowed
from agentq.policies.sampling import Temper, draw, uniforms

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0]])


def test_listed_and_masked_tokens_are_drawn_alike() -> None:
    numbers = [np.linspace(0, 1, 50, endpoint=False)] * 2
    listed = [Allowed(ids=np.array([0, 2, 3])), Allowed(ids=np.array([1, 4]))]
    masked = [Allowed(mask=np.array([1, 0, 1, 1, 0], bool)), Allowed(mask=np.array([0, 1, 0, 0, 1], bool))]
    for temper in (Temper(), Temper(0.5, 0.9), Temper(0.0)):
        for left, right in zip(
            draw(LOGITS, listed, numbers, temper), draw(LOGITS, masked, numbers, temper), strict=True
        ):
            assert left.tokens == right.tokens
            assert left.logprobs == pytest.approx(right.logprobs, abs=1e-12)


def test_equally_spaced_numbers_reproduce_the_probabilities() -> None:
    numbers = [(np.arange(10_000) + 0.5) / 10_000]
    (drawn,) = draw(LOGITS[:1], [Allowed()], numbers, Temper(2.0))
    expected = torch.softmax(LOGITS[0].double() / 2, 0).numpy()
    counts = np.bincount(drawn.tokens, minlength=5) / 10_000
    assert counts == pytest.approx(expected, abs=2e-4)
    assert np.exp(drawn.logprobs[0]) == pytest.approx(expected[drawn.tokens[0]])


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    probabilities = torch.softmax(LOGITS[0].double(), 0).numpy()  # descending: tokens 4, 0, 1, 2, 3
    for top_p, kept in (
        (0.05, {4}),
        (0.63, {4}),
        (0.64, {4, 0}),
        (0.98, {4, 0, 1, 2}),
        (1.0, {0, 1, 2, 3, 4}),
    ):
        numbers = [(np.arange(4000) + 0.5) / 4000]
        (drawn,) = draw(LOGITS[:1], [Allowed()], numbers, Temper(1.0, top_p))
        assert set(drawn.tokens) == kept
        total = sum(probabilities[list(kept)])
        assert np.exp(drawn.logprobs[0]) == pytest.approx(probabilities[drawn.tokens[0]] / total)


@given(st.lists(st.floats(-80, 80), min_size=2, max_size=6), st.floats(0, 1, exclude_max=True))
def test_a_token_of_probability_zero_is_never_drawn(values: list[float], number: float) -> None:
    logits = torch.tensor([[*values, 0.0]])
    mask = np.array([*([True] * len(values)), False])
    (drawn,) = draw(logits, [Allowed(mask=mask)], [np.array([number, np.nextafter(1, 0)])], Temper(0.1))
    assert all(token < len(values) for token in drawn.tokens)
    assert all(np.isfinite(drawn.logprobs))


def test_streams_of_samples_do_not_depend_on_n() -> None:
    assert np.array_equal(uniforms(7, 8, 5)[:3], uniforms(7, 3, 5))
    assert not np.array_equal(uniforms(7, 3, 5), uniforms(8, 3, 5))
