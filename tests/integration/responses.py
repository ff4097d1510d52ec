"""Answers in the format of OpenAI's responses API, whole and as the events of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

_CREATED_S = 1_762_000_000
_MESSAGE_ID = "msg-1"
_USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 18,
}


def whole(model: str, words: Sequence[str]) -> dict[str, Any]:
    """The answer at once."""
    return _response(model, "completed", [_message("completed", [_text("".join(words))])])


def parts(model: str, words: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The events of a stream, in their order."""
    place = {"item_id": _MESSAGE_ID, "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response(model, "in_progress", [])},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": _message("in_progress", []),
        },
        {"type": "response.content_part.added", **place, "part": _text("")},
        *(
            {"type": "response.output_text.delta", **place, "delta": each, "logprobs": []}
            for each in words
        ),
        {"type": "response.output_text.done", **place, "text": "".join(words), "logprobs": []},
        {"type": "response.content_part.done", **place, "part": _text("".join(words))},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": _message("completed", [_text("".join(words))]),
        },
        {"type": "response.completed", "response": whole(model, words)},
    ]
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}


def _response(model: str, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "resp-1",
        "object": "response",
        "created_at": _CREATED_S,
        "status": status,
        "model": f"{model}-2024-07-18",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": _USAGE if status == "completed" else None,
    }


def _message(status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": _MESSAGE_ID,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
