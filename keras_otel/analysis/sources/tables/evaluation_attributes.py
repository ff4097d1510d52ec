"""Read the evaluations that a span, its events, or a log record carry.

`servers.clickhouse_evaluations` applies the same rules to whole tables, in the engine that holds them; a rule is
changed in both, and `tests/analysis/sources/test_evaluation_rules.py` compares them. Four forms are read:

* the event `gen_ai.evaluation.result`, on a span or as a log record;
* the same attributes (`gen_ai.evaluation.*`) on a span, such as `evaluate {name}`;
* OpenInference: `evaluations.<i>.evaluation.*`, and `trace.evaluations.<i>.evaluation.*`, which is
  about the whole trace;
* FutureAGI: `eval.<metric>` with the score, beside `eval.<metric>.reason`.

The evaluated span is the one that the attribute `gen_ai.evaluation.target_span_id` names, else the one
that a link of type `evaluated` points to, else, on an evaluator's span (ours or OpenInference's), the
only one it links to, else, on a span `evaluate {name}`, its parent, else the span itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from keras_otel import semconv
from keras_otel.analysis.sources.tables.normalise import number, span_id
from keras_otel.analysis.sources.tables.telemetry import Attributes, Evaluation, Event, Span

_UPSTREAM: Final = f"{semconv.UPSTREAM_PREFIX}."
EVALUATOR: Final = "EVALUATOR"

_OPENINFERENCE = re.compile(
    rf"({semconv.OPENINFERENCE_EVALUATIONS}|{semconv.TRACE_EVALUATIONS})\.(\d+)\.evaluation\.name"
)
_FUTURE_AGI = re.compile(r"eval\.([^.]+)")
NOT_A_NUMBER: Final = "score is NaN"
"""The error of an evaluation whose whole verdict is a score that is no number."""

# What FutureAGI and others write beside the scores.
NO_METRICS: Final = frozenset(
    {"evaluated_at", "evaluator_version", "id", "model", "name", "sample_rate", "type", "version"}
)
HINTS: Final = ("eval.", "evaluations.", "trace.evaluations.", semconv.EVALUATION_NAME)
"""Prefixes of the attributes of an evaluated span, or of an evaluator's own."""


def evaluations_of_span(span: Span) -> Iterator[Evaluation]:
    """Yield the evaluations of a span: those in its attributes first, then those in its events."""
    if any(key.startswith(HINTS) for key in span.attributes):
        yield from _evaluations_in_attributes(span)
    for event in span.events:
        yield from evaluations_of_event(event, span.trace_id, span.span_id)


def evaluations_of_event(
    event: Event, trace_id: str, own_span_id: str | None
) -> Iterator[Evaluation]:
    """Yield the evaluation that an event or a log record is; nothing for any other event."""
    name = event.attributes.get(semconv.EVALUATION_NAME)
    if name and event.name == semconv.EVALUATION_EVENT.name:
        target = span_id(event.attributes.get(semconv.FUTUREAGI_TARGET)) or own_span_id
        yield _evaluation(name, event.attributes, trace_id, target, event.time_ns)


def _evaluation(
    name: str, attributes: Attributes, trace_id: str, target: str | None, time_ns: int | None
) -> Evaluation:
    passed = {"true": True, "false": False}.get(
        attributes.get(semconv.EVALUATION_PASSED, "").lower()
    )
    label = attributes.get(semconv.EVALUATION_LABEL)
    score = attributes.get(semconv.EVALUATION_SCORE)
    explanation = attributes.get(semconv.EVALUATION_EXPLANATION) or attributes.get(
        f"eval.{name}.reason"
    )
    error = attributes.get(semconv.ERROR_TYPE)
    if score == "NaN" and passed is None and label is None:
        error = error or NOT_A_NUMBER
    return Evaluation(
        trace_id=trace_id,
        span_id=target,
        name=name,
        score=number(score),
        label=label,
        passed=passed,
        error=error,
        time_ns=time_ns,
        explanation=explanation or None,
        upstream=upstream_attributes(attributes),
    )


def upstream_attributes(attributes: Attributes) -> dict[str, str] | None:
    """Return the `keras.upstream.*` attributes; None where there are none."""
    return {key: text for key, text in attributes.items() if key.startswith(_UPSTREAM)} or None


def _evaluations_in_attributes(span: Span) -> Iterator[Evaluation]:
    trace, target = _evaluated_span(span)
    end_ns = span.start_ns + span.duration_ns
    attributes = span.attributes
    name = attributes.get(semconv.EVALUATION_NAME)
    if name:
        evaluation = _evaluation(name, attributes, trace, target, end_ns)
        verdict = (evaluation.score, evaluation.label, evaluation.passed)
        # The span's own error is the answer's, not the evaluator's.
        is_error_of_answer = target == span.span_id and verdict != (None, None, None)
        error = None if is_error_of_answer else evaluation.error
        yield evaluation._replace(error=error)
    for key, text in attributes.items():
        if match := _OPENINFERENCE.fullmatch(key):
            is_about_trace = match[1] == semconv.TRACE_EVALUATIONS
            prefix = key.removesuffix("name")
            yield Evaluation(
                trace_id=trace,
                span_id=None if is_about_trace else target,
                name=text,
                score=number(attributes.get(f"{prefix}score")),
                label=attributes.get(f"{prefix}label"),
                time_ns=end_ns,
                explanation=attributes.get(f"{prefix}explanation") or None,
            )
        elif (metric := _FUTURE_AGI.fullmatch(key)) and metric[1] not in {*NO_METRICS, name}:
            score = number(text)
            if score is not None:
                yield Evaluation(
                    trace_id=trace,
                    span_id=target,
                    name=metric[1],
                    score=score,
                    time_ns=end_ns,
                    explanation=attributes.get(f"{key}.reason") or None,
                )


def _evaluated_span(span: Span) -> tuple[str, str]:
    """Return the ids of the trace and span that the evaluations in a span's attributes are about."""
    if target := span_id(span.attributes.get(semconv.FUTUREAGI_TARGET)):
        return span.trace_id, target
    for link in span.links:
        if link.attributes.get(semconv.LINK_TYPE) == semconv.LINK_EVALUATED:
            return link.trace_id, link.span_id
    # A backend that drops the attributes of links still tells our own spans by their scope.
    is_evaluator = (
        span.scope == semconv.SCOPE_NAME
        or span.attributes.get(semconv.OPENINFERENCE_SPAN_KIND) == EVALUATOR
    )
    if is_evaluator and len(span.links) == 1:
        return span.links[0].trace_id, span.links[0].span_id
    # Phoenix drops links, and the scope too.
    name = semconv.evaluation_span_name(span.attributes.get(semconv.EVALUATION_NAME, ""))
    if span.name == name and not span.links and span.parent_span_id is not None:
        return span.trace_id, span.parent_span_id
    return span.trace_id, span.span_id
