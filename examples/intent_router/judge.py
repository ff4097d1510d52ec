"""The evaluator: compares answers with the corpus's reference answers."""

from __future__ import annotations

from collections import Counter

import corpus
from features import words
from opentelemetry.trace import SpanContext

import keras_otel

PASSING_SCORE = 0.5


class Judge:
    """Knows the reference answers and the true topic of every case."""

    def __init__(self) -> None:
        self._cases = {
            question.case: question
            for topic in corpus.TOPICS
            for question in corpus.questions(topic)
        }

    def judge(self, case: str, answer: str, span: SpanContext) -> None:
        """Record how right an answer is, and what its question was really about.

        Args:
            case: Names the question in the corpus; an unknown one is passed over.
            answer: What the LLM said.
            span: The span that the answer was given in, which has ended.
        """
        question = self._cases.get(case)
        if question is None:
            return
        score = max(f1(answer, reference) for reference in question.answers)
        keras_otel.record_evaluation(
            "answer_correct", score=score, passed=score >= PASSING_SCORE, span=span
        )
        keras_otel.record_outcome(question.topic, model="intent", span=span)


def f1(answer: str, reference: str) -> float:
    """How many words two texts share: harmonic mean of precision and recall.

    As the SQuAD data set measures answers (Rajpurkar et al. 2016, arXiv:1606.05250).
    """
    given, wanted = Counter(words(answer)), Counter(words(reference))
    shared = (given & wanted).total()
    if not shared:
        return float(given == wanted)
    precision, recall = shared / given.total(), shared / wanted.total()
    return 2 * precision * recall / (precision + recall)
