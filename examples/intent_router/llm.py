"""A small local LLM: speaks the chat completions API, answers from the notes that it is given.

    uvicorn --app-dir examples/intent_router llm:app --port 8001

It picks the note whose question is most like the user's, and says what that answers. Set
`OPENAI_BASE_URL` and `OPENAI_API_KEY` of the service to have a real one in its place.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from fastapi import FastAPI
from features import features, words
from pydantic import BaseModel

_UNKNOWN = "I do not know."

app = FastAPI()
_numbers = itertools.count(1)


class Message(BaseModel):
    """One message of a conversation."""

    role: str
    content: str


class Request(BaseModel):
    """The part of a chat completions request that counts here."""

    model: str
    messages: list[Message]


@app.post("/v1/chat/completions")
def complete(request: Request) -> dict[str, Any]:
    """Answer the last user message from the notes in the system message."""
    said = {message.role: message.content for message in request.messages}
    answer = _best(said.get("user", ""), _notes(said.get("system", "")))
    read = sum(len(words(message.content)) for message in request.messages)
    written = len(words(answer))
    return {
        "id": f"chatcmpl-{next(_numbers)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        },
    }


@app.get("/health")
def health() -> dict[str, str]:
    """Say that the service answers."""
    return {"status": "ok"}


def _notes(system: str) -> list[dict[str, str]]:
    """The notes that follow the first line of a system message, as JSON."""
    try:
        notes = json.loads(system.partition("\n")[2])
    except ValueError:
        return []
    return notes if isinstance(notes, list) else []


def _best(question: str, notes: list[dict[str, str]]) -> str:
    if not notes:
        return _UNKNOWN
    rows = features([question, *(note["question"] for note in notes)])
    return notes[int((rows[1:] @ rows[0]).argmax())]["answer"]
