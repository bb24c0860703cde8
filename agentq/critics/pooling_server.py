"""A server that pools hidden states of token sequences: vLLM's ``POST /pooling``."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentq.critics.readouts import Task
from agentq.errors import ConfigError, ServerError
from agentq.policies.openai.client import ChatClient, ServerReply, together

_PATH = "/pooling"
_SHOWN = 300  # characters of an answer that an error repeats


class PoolingServer:
    """Rows of ``width`` float32 numbers for token sequences, without activation or normalisation.

    ``model`` is the server's name of the model; "": the only one it has. ``batch`` sequences go in one
    request; requests run concurrently under the client's limit. Used inside one event loop.
    """

    def __init__(self, client: ChatClient, task: Task, width: int, model: str = "", batch: int = 32) -> None:
        if batch < 1:
            raise ConfigError(f"batch={batch}: expected at least 1 sequence per request.")
        self.client, self.task, self.width, self.batch = client, task, width, batch
        self._model = model
        self._asking = asyncio.Lock()

    async def rows(self, sequences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, ``width``) for n sequences of token ids, in order.

        Raises ``InfrastructureError`` when the server is not reached, ``ServerError`` when it refuses or
        answers something else.
        """
        model = await self.model()
        parts = [sequences[i : i + self.batch] for i in range(0, len(sequences), self.batch)]
        found = await together([self._part(model, part) for part in parts])
        return np.concatenate(found) if found else np.empty((0, self.width), np.float32)

    async def model(self) -> str:
        """The model's name at the server. Raises ``ConfigError`` when it has several and none was named."""
        async with self._asking:
            if not self._model:
                reply = await self.client.get("/v1/models")
                listed = _json(reply, self.client.settings.url("/v1/models")).get("data")
                names = [str(entry.get("id")) for entry in listed or () if isinstance(entry, dict)]
                if len(names) != 1:
                    raise ConfigError(
                        f"{self.client.settings.root} serves {', '.join(names) or 'no model'}; expected one. "
                        "Name it with model=..."
                    )
                self._model = names[0]
        return self._model

    async def _part(self, model: str, part: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        url = self.client.settings.url(_PATH)
        body = {
            "model": model,
            "task": self.task,
            "input": [list(ids) for ids in part],
            "use_activation": False,
            "add_special_tokens": False,
            "encoding_format": "base64",  # a quarter of the bytes of decimal numbers, and exact
            "embed_dtype": "float32",
            "endianness": "little",
        }
        answer = _json(await self.client.post(_PATH, body), url)
        try:
            entries = sorted(answer["data"], key=lambda entry: entry["index"])
            rows = np.stack([_row(entry["data"]) for entry in entries])
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(
                f"{url} answered without vectors ({error!r}). Expected vLLM's pooling protocol; check its version."
            ) from error
        if rows.shape != (len(part), self.width):
            raise ServerError(
                f"{url} returned {rows.shape[0]} rows of {rows.shape[1]} numbers, expected {len(part)} of "
                f"{self.width}. Serve the folder that this critic was exported to."
            )
        return rows


def _row(data: Any) -> NDArray[np.float32]:
    """One (width,) vector, from base64 of little-endian float32 or a list of numbers."""
    if isinstance(data, str):
        return np.frombuffer(base64.b64decode(data, validate=True), dtype="<f4").astype(np.float32)
    return np.asarray(data, dtype=np.float32).reshape(-1)


def _json(reply: ServerReply, url: str) -> dict[str, Any]:
    """The answer's object. Raises ``ServerError`` for a refusal and for anything else."""
    if reply.status >= 300:
        advice = "Change the request accordingly."
        if reply.status in (401, 403):
            advice = "Check the key in the environment variable that key_variable names."
        elif reply.status == 404:
            advice = "Check the address and the model's name, and that vLLM runs with --runner pooling."
        raise ServerError(
            f"{url} refused with status {reply.status}: {reply.body[:_SHOWN].decode(errors='replace')}. {advice}",
            reply.status,
            reply.body,
        )
    answer = reply.json()
    if not isinstance(answer, dict):
        raise ServerError(
            f"{url} answered {type(answer).__name__}, expected a JSON object. Check the address.",
            reply.status,
            reply.body,
        )
    return answer
