"""An OpenAI-compatible server around the small shopping model of AgentQ: no GPU, no download.

    python examples/tiny_server.py --port 8001

It speaks enough of the protocol for clients, agents and the gateway: ``/v1/models`` and ``/v1/chat/completions``
with n, seed, temperature, top_p, max_tokens, logprobs and stream. The model knows WebShop's pages and actions
and nothing else. For anything real use vLLM.
"""

from __future__ import annotations

import argparse
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from agentq import AgentQError, BackboneConfig, Candidate, HuggingFacePolicy, load_backbone
from agentq.policies.openai.candidates import plain_messages
from agentq.wrapping.chunks import chunks_of

MODEL = "embedded"
MAX_TOKENS = 24  # of a reply, unless the request says otherwise


class Generator:
    """Replies of the model, one request at a time."""

    def __init__(self) -> None:
        self.backbone = load_backbone(BackboneConfig(name=MODEL))
        self._policies: dict[tuple[float, float, int], HuggingFacePolicy] = {}
        self._lock = threading.Lock()
        self._seeds = itertools.count(1)  # of requests without one

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """The completion for a request body. Raises ``AgentQError`` for one that cannot be met."""
        n = int(body.get("n") or 1)
        seed = body.get("seed")
        limit = int(body.get("max_tokens") or body.get("max_completion_tokens") or MAX_TOKENS)
        temperature, top_p = body.get("temperature"), body.get("top_p")
        settings = (
            1.0 if temperature is None else float(temperature),
            1.0 if top_p is None else float(top_p),
            limit,
        )
        messages = plain_messages(body["messages"])
        with self._lock:
            policy = self._policies.get(settings)
            if policy is None:
                policy = self._policies[settings] = HuggingFacePolicy(
                    self.backbone, *settings, restrict=False
                )
            (candidates,) = policy.propose([messages], n, [next(self._seeds) if seed is None else int(seed)])
        # The policy merges equal replies; the protocol repeats them.
        repeated = [candidate for candidate in candidates for _ in range(candidate.count)]
        prompt = len(self.backbone.prompt_ids(messages))
        written = sum(len(candidate.token_ids) for candidate in repeated)
        return {
            "id": f"chatcmpl-{time.monotonic_ns()}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": MODEL,
            "choices": [self._choice(i, c, bool(body.get("logprobs"))) for i, c in enumerate(repeated)],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": written,
                "total_tokens": prompt + written,
            },
        }

    def _choice(self, index: int, candidate: Candidate, logprobs: bool) -> dict[str, Any]:
        decode = self.backbone.tokenizer.decode
        pairs = zip(candidate.token_ids, candidate.token_logprobs, strict=True)
        tokens = [
            {"token": decode([i], skip_special_tokens=True), "logprob": p, "bytes": None, "top_logprobs": []}
            for i, p in pairs
        ]
        return {
            "index": index,
            "message": {"role": "assistant", "content": candidate.text},
            "finish_reason": "stop" if candidate.valid else "length",
            "logprobs": {"content": tokens, "refusal": None} if logprobs else None,
        }


def make_app() -> FastAPI:
    """The server's application; loading the model takes about a second."""
    app = FastAPI(title="AgentQ's tiny server")
    generator = Generator()
    torch.set_num_threads(1)  # the model is too small for more

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "agentq"}]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        from fastapi.concurrency import run_in_threadpool

        try:
            body = json.loads(await request.body())
            completion = await run_in_threadpool(generator.complete, body)
        except (AgentQError, KeyError, TypeError, ValueError) as error:
            about = {"message": f"{type(error).__name__}: {error}", "type": "invalid_request_error"}
            return JSONResponse({"error": about}, status_code=400)
        if not body.get("stream"):
            return JSONResponse(completion)
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return StreamingResponse(events(completion, usage), media_type="text/event-stream")

    return app


def events(completion: dict[str, Any], usage: bool) -> Iterator[str]:
    """The chunks of a completion as server-sent events; of several choices the first is streamed."""
    for chunk in chunks_of(completion, usage):
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


@contextmanager
def serving(port: int = 0) -> Iterator[str]:
    """The server in a thread for the length of the block; gives its base URL (port 0: any free one)."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn.Config(make_app(), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start; its error is printed above")
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve the small shopping model at /v1.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    arguments = parser.parse_args()
    uvicorn.run(make_app(), host=arguments.host, port=arguments.port)


if __name__ == "__main__":
    main()
