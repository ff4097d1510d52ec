"""Retrieval: what the corpus has on a question, within one topic."""

from __future__ import annotations

from dataclasses import dataclass

import corpus
import numpy as np
from features import features
from opentelemetry import trace

_NOTES = 3
_tracer = trace.get_tracer("intent_router")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A question of the corpus, and what it answers."""

    question: str
    answer: str


class Library:
    """All questions and answers, a shelf for each topic."""

    def __init__(self) -> None:
        self._shelves = {topic: corpus.questions(topic) for topic in corpus.TOPICS}
        self._rows = {
            topic: features([question.text for question in shelf])
            for topic, shelf in self._shelves.items()
        }

    def search(self, topic: str, question: str) -> list[Note]:
        """The three notes of a topic that are most like a question, the nearest first."""
        asked = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": topic}
        with _tracer.start_as_current_span(f"retrieval {topic}", attributes=asked):
            likeness = self._rows[topic] @ features([question])[0]
            nearest = np.argsort(-likeness, kind="stable")[:_NOTES]
            shelf = self._shelves[topic]
            return [Note(question=shelf[i].text, answer=shelf[i].answers[0]) for i in nearest]
