"""What the LLM spans of a request say: the intent that they answer, and the class they carry."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from received import Span, Telemetry

from keras_otel import semconv

SERVICE = "service"
"""Scope of the spans that stand for requests."""

LABELS = ("order", "refund", "other")
CLASS_KEY = semconv.upstream_key("intent", semconv.UPSTREAM_CLASS)
_MODEL = re.compile(r"\banswer-([a-z]+)")


@dataclass(frozen=True, slots=True)
class Answer:
    """One LLM span.

    Attributes:
        intent: What it answers, by the name of its model.
        carries: The upstream class on it, None without one.
    """

    intent: str
    carries: str | None


Answers = Counter[Answer]


def own(times: int = 1) -> Answers:
    """For each label this many LLM spans that carry what they answer."""
    return Counter({Answer(label, label): times for label in LABELS})


def without(times: int = 1) -> Answers:
    """For each label this many LLM spans that carry nothing."""
    return Counter({Answer(label, None): times for label in LABELS})


def requests_in(telemetry: Telemetry) -> set[str]:
    """The names of the requests."""
    return {span.name for span in telemetry.spans if span.scope == SERVICE}


def answers_in(telemetry: Telemetry, request: str) -> Answers:
    """The LLM spans in all requests of this name."""
    traces = {
        span.trace_id for span in telemetry.spans if span.name == request and not span.parent_id
    }
    return answers_of(span for span in telemetry.spans if span.trace_id in traces)


def answers_of(spans: Iterable[Span]) -> Answers:
    """The LLM spans among these."""
    return Counter(
        Answer(intent, span.value(CLASS_KEY)) for span in spans if (intent := _answered(span))
    )


def _answered(span: Span) -> str | None:
    # LiteLLM writes about its call on the span of the request too. Logfire sends a copy of a span
    # that takes long, as it was at its start.
    is_copy = span.value("logfire.span_type") == "pending_span"
    if span.scope in (SERVICE, semconv.SCOPE_NAME) or is_copy:
        return None
    return next(_intents(span), None)


def _intents(span: Span) -> Iterator[str]:
    for key, (_, value) in span.attributes.items():
        names_models = "model" in key or key.endswith("parameters")
        if names_models and isinstance(value, str) and (named := _MODEL.search(value)):
            yield named[1]
