"""What a server supports, found out by asking it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agentq.errors import AgentQError, InfrastructureError
from agentq.policies.openai.client import ChatClient, ServerReply
from agentq.policies.openai.retrying import error_of

CHAT = "/v1/chat/completions"
Answer = Literal["yes", "no", "unclear"]
_MESSAGES = [{"role": "user", "content": "Say a number."}]
_CHOICES = ["agentq-left", "agentq-right"]
_TOOL = {
    "type": "function",
    "function": {
        "name": "press",
        "description": "Press a button.",
        "strict": True,  # without it vLLM leaves the arguments unconstrained
        "parameters": {
            "type": "object",
            "properties": {"button": {"enum": ["a", "b"]}},
            "required": ["button"],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True)
class Finding:
    """Whether a server supports something, and what was seen."""

    answer: Answer
    detail: str = ""


@dataclass(frozen=True)
class ServerReport:
    """A server as it answered; ``findings`` by the feature's name, in the order of asking."""

    address: str
    reached: bool
    problem: str = ""  # why it was not reached
    version: str = ""  # "": the server does not say
    models: tuple[str, ...] = ()
    model: str = ""  # the one that was asked
    findings: Mapping[str, Finding] = field(default_factory=dict[str, Finding])


async def probe_server(client: ChatClient, model: str | None = None) -> ServerReport:
    """Some ten short requests to the first model that the server lists, or to ``model``; none is repeated.

    Never raises for what a server does or leaves undone.
    """
    address = client.settings.root
    try:
        health = await client.get("/health", retry=False)
    except InfrastructureError as error:
        return ServerReport(address, reached=False, problem=str(error))
    findings = {"health": Finding("yes" if health.status == 200 else "no", f"status {health.status}")}
    version = (await _safe_json(client, "/version")).get("version", "")
    listed = (await _safe_json(client, "/v1/models")).get("data")
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    models = tuple(str(entry.get("id")) for entry in entries)
    chosen = model or (models[0] if models else "")
    findings["models"] = Finding("yes" if models else "no", ", ".join(_described(entry) for entry in entries))
    asking = _Probe(client, chosen)
    for name, ask in asking.questions.items():
        try:
            findings[name] = await ask()
        except AgentQError as error:  # refused, unreadable or gone: all of them are findings
            findings[name] = Finding("no", str(error))
    return ServerReport(address, True, "", str(version), models, chosen, findings)


class _Probe:
    def __init__(self, client: ChatClient, model: str) -> None:
        self.client = client
        self.model = model
        self.questions: dict[str, Callable[[], Awaitable[Finding]]] = {
            "chat": self.chat,
            "n choices": self.choices,
            "seed": self.seed,
            "log-probabilities": self.logprobs,
            "token ids": self.token_ids,
            "structured choice": self.structured,
            "tool calls": self.tools,
            "classification": self.classification,
            "pooling": self.pooling,
        }

    async def chat(self) -> Finding:
        choices, problem = await self._ask(max_tokens=1)
        return Finding("yes") if choices else Finding("no", problem)

    async def choices(self) -> Finding:
        choices, problem = await self._ask(max_tokens=1, n=2)
        if problem:
            return Finding("no", problem)
        return Finding("yes" if len(choices) == 2 else "no", f"{len(choices)} of 2 in one request")

    async def seed(self) -> Finding:
        texts: list[str] = []
        for seed in (1, 1, 2, 3):
            choices, problem = await self._ask(max_tokens=12, seed=seed, temperature=1.0)
            if problem:
                return Finding("no", problem)
            texts.append(_text(choices[0]))
        if texts[0] != texts[1]:
            return Finding("no", "two replies to one seed differ")
        if len(set(texts)) == 1:
            return Finding("unclear", "every seed gives the same reply")
        return Finding("yes")

    async def logprobs(self) -> Finding:
        tops: list[Mapping[str, float]] = []
        for temperature in (1.0, 2.0):
            choices, problem = await self._ask(
                max_tokens=1, logprobs=True, top_logprobs=2, temperature=temperature
            )
            if problem:
                return Finding("no", problem)
            tokens = (choices[0].get("logprobs") or {}).get("content") or []
            if not tokens:
                return Finding("no", "asked for, not answered")
            tops.append({top["token"]: top["logprob"] for top in tokens[0].get("top_logprobs") or []})
        shared = set(tops[0]) & set(tops[1])
        if not shared:
            return Finding("yes")
        tempered = any(abs(tops[0][token] - tops[1][token]) > 1e-3 for token in shared)
        return Finding("yes", "after temperature" if tempered else "before temperature")

    async def token_ids(self) -> Finding:
        choices, problem = await self._ask(max_tokens=2, return_token_ids=True)
        if problem:
            return Finding("no", problem)
        return Finding("yes") if choices[0].get("token_ids") else Finding("no", "asked for, not answered")

    async def structured(self) -> Finding:
        choices, problem = await self._ask(max_tokens=32, structured_outputs={"choice": _CHOICES})
        if problem:
            return Finding("no", problem)
        kept = _text(choices[0]) in _CHOICES
        return Finding("yes") if kept else Finding("no", "the request is taken, the constraint ignored")

    async def tools(self) -> Finding:
        choices, problem = await self._ask(max_tokens=128, tools=[_TOOL], tool_choice="required")
        if problem:
            return Finding("no", problem)
        called = bool((choices[0].get("message") or {}).get("tool_calls"))
        if not called and choices[0].get("finish_reason") == "length":
            return Finding("unclear", "taken, but no call was complete within 128 tokens")
        return Finding("yes") if called else Finding("no", "required, but the reply holds no call")

    async def classification(self) -> Finding:
        return await self._post("/classify")

    async def pooling(self) -> Finding:
        return await self._post("/pooling")

    async def _post(self, path: str) -> Finding:
        reply = await self.client.post(path, {"model": self.model, "input": "a"}, retry=False)
        return Finding("yes") if reply.status == 200 else Finding("no", _problem(reply))

    async def _ask(self, **fields: Any) -> tuple[list[dict[str, Any]], str]:
        """The choices, or why there are none."""
        body = {"model": self.model, "messages": _MESSAGES, **fields}
        reply = await self.client.post(CHAT, body, retry=False)
        if reply.status != 200:
            return [], _problem(reply)
        choices = reply.json().get("choices")
        return (choices, "") if choices else ([], "an answer without choices")


def _text(choice: Mapping[str, Any]) -> str:
    return str((choice.get("message") or {}).get("content") or "")


def _problem(reply: ServerReply) -> str:
    message = error_of(reply.body).get("message")
    return f"status {reply.status}" + (f": {str(message)[:160]}" if message else "")


def _described(model: Mapping[str, Any]) -> str:
    length = model.get("max_model_len")
    return f"{model.get('id')}" + (f" ({length} tokens)" if length else "")


async def _safe_json(client: ChatClient, path: str) -> dict[str, Any]:
    """A JSON object, empty where the server has none at ``path``."""
    try:
        reply = await client.get(path, retry=False)
        value = reply.json() if reply.status == 200 else {}
    except AgentQError:  # absent, unreadable and gone mean the same here: it does not say
        return {}
    return value if isinstance(value, dict) else {}
