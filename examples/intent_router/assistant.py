"""The LLM's part: a question and notes in, an answer out, through the official client."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict

from library import Note
from openai import OpenAI

INSTRUCTIONS = (
    "Answer the user's question from these notes alone, in the words of the note that fits best."
)


class Assistant:
    """An LLM behind the chat completions API.

    `OPENAI_BASE_URL` and `OPENAI_API_KEY` say whose; `OPENAI_MODEL` names the model.
    """

    def __init__(self) -> None:
        self._client = OpenAI()
        self._model = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")

    def answer(self, question: str, notes: Sequence[Note]) -> str:
        """Ask for an answer."""
        context = json.dumps([asdict(note) for note in notes])
        completion = self._client.chat.completions.create(
            model=self._model,
            messages=[
                {"role": "system", "content": f"{INSTRUCTIONS}\n{context}"},
                {"role": "user", "content": question},
            ],
            temperature=0,
        )
        return completion.choices[0].message.content or ""
