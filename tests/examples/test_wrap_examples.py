"""The examples run offline and show decisions; the tiny server speaks the protocol."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PAGE: list[Any] = [{"role": "user", "content": "Goal: red mug\nDone: nothing\nPage: search"}]


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("wrap_*.py")))
def test_an_example_plays_an_episode(script: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, EXAMPLES / script], capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ended = re.search(r"^task webshop:\S+ score [01]\.\d\d after (\d+) steps$", done.stdout, re.MULTILINE)
    assert ended is not None, done.stdout
    tables = re.findall(r"^       Q  of n  action$", done.stdout, re.MULTILINE)
    assert len(tables) == int(ended.group(1)) >= 2
    assert len(re.findall(r"^>", done.stdout, re.MULTILINE)) == len(tables)
    assert "went through" not in done.stderr  # no fallback: the critic chose
    if script == "wrap_openai.py":
        assert f"logged: {ended.group(1)} steps" in done.stdout


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    sys.path.insert(0, str(EXAMPLES))
    try:
        serving = importlib.import_module("tiny_server").serving
    finally:
        sys.path.remove(str(EXAMPLES))
    with serving() as url:
        yield openai.OpenAI(base_url=url, api_key="none", max_retries=0)


@pytest.mark.slow
def test_the_tiny_server_samples_by_seed(client: openai.OpenAI) -> None:
    def ask(seed: int) -> list[str | None]:
        completion = client.chat.completions.create(model="embedded", messages=PAGE, n=3, seed=seed)
        assert completion.usage is not None
        assert completion.usage.prompt_tokens > 5
        return [choice.message.content for choice in completion.choices]

    assert [model.id for model in client.models.list()] == ["embedded"]
    assert ask(1) == ask(1)
    assert len(ask(1)) == 3
    assert ask(1) != ask(2)


@pytest.mark.slow
def test_the_tiny_server_streams_and_gives_log_probabilities(client: openai.OpenAI) -> None:
    options: dict[str, Any] = {"model": "embedded", "messages": PAGE, "seed": 3, "logprobs": True}
    (choice,) = client.chat.completions.create(**options).choices
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
    assert all(token.logprob <= 0 for token in choice.logprobs.content)
    chunks = list(client.chat.completions.create(**options, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == choice.message.content
    assert len(chunks) > 3


@pytest.mark.slow
def test_the_tiny_server_refuses_what_it_cannot_do(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="greedy decoding"):
        client.chat.completions.create(model="embedded", messages=PAGE, n=2, temperature=0)
    with pytest.raises(openai.BadRequestError, match="Shorten the observation"):
        client.chat.completions.create(
            model="embedded", messages=[{"role": "user", "content": "mug " * 9000}]
        )
