"""The policy against a real vLLM server with the embedded model; transformers is the reference."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import torch

from agentq.backbones import BackboneConfig, load_backbone
from agentq.backbones.loading import resolve_name
from agentq.cli import main
from agentq.errors import InfrastructureError, ServerError
from agentq.policies.openai.client import ChatClient, ServerSettings
from agentq.policies.openai.policy import OpenAIPolicy
from agentq.policies.requests import FREE_TEXT
from agentq.types import Candidate
from tests.servers.vllm import VLLMServer, stop, vllm_server

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

ARGUMENTS = ("--enable-prefix-caching", "--enable-prompt-tokens-details")
TOOLS = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")
#: Two kernels of one float32 model: largest difference of log-probabilities that is accepted, in nats.
TOLERANCE = 1e-3
STATE = [{"role": "user", "content": "WebShop\nInstruction: i want a red mug under 20 dollars\n[Search]"}]
BUY_TOOL = {
    "type": "function",
    "function": {
        "name": "buy",
        "strict": True,  # without it vLLM leaves the arguments unconstrained
        "parameters": {
            "type": "object",
            "properties": {"item": {"enum": ["red mug", "blue mug"]}},
            "required": ["item"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMServer]:
    folder = tmp_path_factory.mktemp("vllm")
    with vllm_server(resolve_name("embedded"), folder, [*ARGUMENTS, *TOOLS], name="embedded") as running:
        yield running


@pytest.fixture(scope="module")
def policy(server: VLLMServer) -> Iterator[OpenAIPolicy]:
    with OpenAIPolicy(server.address, max_new_tokens=24) as made:
        yield made


def test_the_server_says_what_it_is(policy: OpenAIPolicy) -> None:
    assert policy.fingerprint == "vllm:embedded:webshop_policy"
    assert (policy.model, policy.dialect) == ("embedded", "vllm")


def test_eight_candidates_in_one_request(policy: OpenAIPolicy) -> None:
    policy.propose([STATE], 1, [9])  # the first call also asks for the server's models
    before = policy.statistics.requests
    (candidates,) = policy.propose([STATE], 8, [0])
    assert policy.statistics.requests == before + 1
    assert sum(candidate.count for candidate in candidates) == 8
    assert len(candidates) > 1
    tokenizer = load_backbone(BackboneConfig()).tokenizer
    for candidate in candidates:
        assert len(candidate.token_ids) == len(candidate.token_logprobs) > 0
        assert tokenizer.decode(candidate.token_ids, skip_special_tokens=True) == candidate.text


def test_a_sample_depends_on_its_state_seed_and_number_alone(policy: OpenAIPolicy) -> None:
    other = [{"role": "user", "content": "another state"}]
    (eight,) = policy.propose([STATE], 8, [3])
    four, _ = policy.propose([STATE, other], 4, [3, 4])
    assert [c.text for c in four] == [c.text for c in eight][: len(four)]
    assert sum(c.count for c in four) == 4
    (neighbour,) = policy.propose([STATE], 8, [4])  # vLLM seeds sample i with seed + i; ours must not overlap
    assert not {c.text for c in neighbour[:-1]} <= {c.text for c in eight}


def test_log_probabilities_equal_those_of_transformers(policy: OpenAIPolicy) -> None:
    (candidates,) = policy.propose([STATE], 8, [1])
    backbone = load_backbone(BackboneConfig())
    prompt = backbone.prompt_ids(STATE)
    for candidate in candidates:
        expected = _logprobs(backbone, prompt, candidate)
        differences = (expected - torch.tensor(candidate.token_logprobs)).abs()
        assert differences.max() < TOLERANCE


def test_constrained_choices_are_kept_and_their_probabilities_restricted(policy: OpenAIPolicy) -> None:
    actions = ["click[buy now]", 'click[ünïcode "quoted" (50% off)]', "click[back to search]"]
    (candidates,) = policy.propose([STATE], 8, [0], [actions])
    assert {candidate.action for candidate in candidates} <= set(actions)
    assert all(candidate.valid for candidate in candidates)
    assert sum(candidate.count for candidate in candidates) == 8
    backbone = load_backbone(BackboneConfig())
    free = _logprobs(backbone, backbone.prompt_ids(STATE), candidates[0])
    assert candidates[0].token_logprobs[0] > free[0] + 1  # "search" is what the model prefers here


def test_free_text_slots_among_choices(policy: OpenAIPolicy) -> None:
    actions = [f"search[{FREE_TEXT}]", "click[back]"]
    (candidates,) = policy.propose([STATE], 12, [0], [actions])
    texts = [candidate.action for candidate in candidates if candidate.action is not None]
    assert texts
    for text in texts:
        assert text == "click[back]" or (text.startswith("search[") and text.endswith("]") and len(text) > 8)
    cut = [candidate for candidate in candidates if not candidate.valid]
    assert all("token limit" in str(candidate.error) for candidate in cut)


def test_one_admissible_action_is_asked_for_once(policy: OpenAIPolicy) -> None:
    before = policy.statistics.sampled_tokens
    (candidates,) = policy.propose([STATE], 8, [0], [["click[back]"]])
    assert [(c.action, c.count) for c in candidates] == [("click[back]", 8)]
    assert policy.statistics.sampled_tokens - before == len(candidates[0].token_ids)


def test_the_old_field_is_ignored_without_an_error(server: VLLMServer) -> None:
    """Why replies are checked against the choices: a server may take a constraint and not keep to it."""
    body = {"model": server.model, "messages": STATE, "max_tokens": 8, "guided_choice": ["zzz", "qqq"]}

    async def ask() -> list[dict[str, Any]]:
        async with ChatClient(ServerSettings(server.address)) as client:
            return (await client.completions(body, 4)).choices

    texts = {choice["message"]["content"] for choice in asyncio.run(ask())}
    assert not texts & {"zzz", "qqq"}


def test_a_longer_context_reuses_the_prefix(policy: OpenAIPolicy) -> None:
    long = [{"role": "user", "content": "red mug with a handle, " * 60}]
    before = policy.statistics.reused_tokens
    policy.propose([long], 2, [0])
    policy.propose([[*long, {"role": "assistant", "content": "search[red mug]"}, *STATE]], 2, [0])
    assert policy.statistics.reused_tokens - before >= 100


def test_tool_calls_are_candidate_actions(server: VLLMServer) -> None:
    tokenizer = load_backbone(BackboneConfig()).tokenizer
    blanks = [i for i in range(len(tokenizer)) if tokenizer.decode([i]).isspace()]
    options: dict[str, Any] = {
        "max_new_tokens": 96,
        "tools": [BUY_TOOL],
        "tool_choice": "required",
        "whole_reply": True,
        # A model without any training on JSON would go on with the blanks that JSON allows.
        "extra_body": {"logit_bias": {str(i): -100 for i in blanks}},
    }
    with OpenAIPolicy(server.address, **options) as policy:
        (candidates,) = policy.propose([STATE], 8, [0])
        (checked,) = policy.propose([STATE], 8, [0], [['buy({"item": "red mug"})']])
    actions = {candidate.action for candidate in candidates if candidate.valid}
    assert actions == {'buy({"item": "red mug"})', 'buy({"item": "blue mug"})'}
    assert {candidate.action for candidate in checked if candidate.valid} == {'buy({"item": "red mug"})'}
    assert any("is not admissible here" in str(candidate.error) for candidate in checked)


def test_asynchronous_callers_share_connections_and_limits(policy: OpenAIPolicy) -> None:
    async def both() -> list[list[list[Candidate]]]:
        return list(await asyncio.gather(*(policy.apropose([STATE], 2, [seed]) for seed in (7, 8))))

    first, second = asyncio.run(both())
    assert [c.text for c in first[0]] == [c.text for c in policy.propose([STATE], 2, [7])[0]]
    assert [c.text for c in second[0]] == [c.text for c in policy.propose([STATE], 2, [8])[0]]


def test_what_the_server_refuses_is_an_error_with_its_words(server: VLLMServer) -> None:
    with OpenAIPolicy(server.address, "unknown", dialect="vllm") as policy:
        with pytest.raises(ServerError, match="`unknown` does not exist") as caught:
            policy.propose([STATE], 2, [0])
        assert caught.value.status == 404
        assert policy.statistics.retries == 0


def test_doctor_finds_what_the_server_supports(
    server: VLLMServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json", "--server", server.address]) == 0
    report = json.loads(capsys.readouterr().out)["server"]
    assert (report["version"], report["model"]) == ("0.32.0", "embedded")
    answers = {name: finding["answer"] for name, finding in report["findings"].items()}
    assert answers.pop("tool calls") in ("yes", "unclear")  # the model may not finish a call
    assert answers.pop("classification") == answers.pop("pooling") == "no"
    assert set(answers.values()) == {"yes"}, report
    assert report["findings"]["log-probabilities"]["detail"] == "before temperature"


def test_shut_down_leaves_nothing_behind(server: VLLMServer) -> None:
    """Last, for it ends the module's server: then nothing listens and the policy says so."""
    stop(server.process)
    assert server.process.returncode is not None
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.address}/health")
    with socket.socket() as listener:  # the port is free again
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", urlsplit(server.address).port or 0))
    settings = ServerSettings(server.address, retries=1, retry_seconds=0.01)
    policy = OpenAIPolicy(settings, "embedded", dialect="vllm")
    with policy, pytest.raises(InfrastructureError, match="did not answer after 2 attempts"):
        policy.propose([STATE], 1, [0])


def _logprobs(backbone: Any, prompt: list[int], candidate: Candidate) -> torch.Tensor:
    """(T,) log-probabilities of the candidate's tokens, in one plain forward pass."""
    ids = torch.tensor([[*prompt, *candidate.token_ids]])
    with torch.no_grad():
        logits = backbone.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    chosen = torch.tensor(candidate.token_ids)[:, None]
    return logits.float().log_softmax(-1).gather(1, chosen)[:, 0]
