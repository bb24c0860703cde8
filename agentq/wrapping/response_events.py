"""A finished response of the OpenAI Agents SDK as the events of a stream (the Responses API's)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from openai.types import responses
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from agentq.wrapping.chunks import words


def events_of(answer: Any, model: str, created: float) -> Iterator[Any]:
    """Created, every item (a message by words, a function call with its arguments), completed.

    ``answer`` is an ``agents.ModelResponse``; the completed response holds its items, id and usage.
    """
    numbers = count()
    response = responses.Response(
        id=answer.response_id or "agentq",
        created_at=created,
        model=model,
        object="response",
        output=[],
        tool_choice="auto",
        tools=[],
        parallel_tool_calls=True,
    )
    yield responses.ResponseCreatedEvent(
        response=response, type="response.created", sequence_number=next(numbers)
    )
    for position, item in enumerate(answer.output):
        yield responses.ResponseOutputItemAddedEvent(
            item=_begun(item),
            output_index=position,
            type="response.output_item.added",
            sequence_number=next(numbers),
        )
        kind = getattr(item, "type", None)
        if kind == "message":
            yield from _message(item, position, numbers)
        elif kind == "function_call":
            yield responses.ResponseFunctionCallArgumentsDeltaEvent(
                delta=item.arguments,
                item_id=item.id or item.call_id,
                output_index=position,
                type="response.function_call_arguments.delta",
                sequence_number=next(numbers),
            )
        yield responses.ResponseOutputItemDoneEvent(
            item=item,
            output_index=position,
            type="response.output_item.done",
            sequence_number=next(numbers),
        )
    done = response.model_copy(update={"output": answer.output, "usage": _usage(answer.usage)})
    yield responses.ResponseCompletedEvent(
        response=done, type="response.completed", sequence_number=next(numbers)
    )


def _begun(item: Any) -> Any:
    """An item before anything of it has been said."""
    kind = getattr(item, "type", None)
    if kind == "message":
        return item.model_copy(update={"content": [], "status": "in_progress"})
    return item.model_copy(update={"arguments": ""}) if kind == "function_call" else item


def _message(item: Any, position: int, numbers: Iterator[int]) -> Iterator[Any]:
    for index, part in enumerate(item.content):
        where = {"content_index": index, "item_id": item.id, "output_index": position}
        spoken = "text" if part.type == "output_text" else "refusal"
        yield responses.ResponseContentPartAddedEvent(
            part=part.model_copy(update={spoken: ""}),
            type="response.content_part.added",
            sequence_number=next(numbers),
            **where,
        )
        for word in words(getattr(part, spoken)):
            if spoken == "text":
                yield responses.ResponseTextDeltaEvent(
                    delta=word,
                    logprobs=[],
                    type="response.output_text.delta",
                    sequence_number=next(numbers),
                    **where,
                )
            else:
                yield responses.ResponseRefusalDeltaEvent(
                    delta=word, type="response.refusal.delta", sequence_number=next(numbers), **where
                )
        yield responses.ResponseContentPartDoneEvent(
            part=part, type="response.content_part.done", sequence_number=next(numbers), **where
        )


def _usage(usage: Any) -> responses.ResponseUsage:
    cached = {"cached_tokens": usage.input_tokens_details.cached_tokens or 0, "cache_write_tokens": 0}
    return responses.ResponseUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        input_tokens_details=InputTokensDetails.model_validate(cached),
        output_tokens_details=OutputTokensDetails(
            reasoning_tokens=usage.output_tokens_details.reasoning_tokens or 0
        ),
    )
