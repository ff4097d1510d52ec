"""`record_evaluation`."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import SupportsFloat

from opentelemetry.trace import SpanContext, format_span_id
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._unicode import message_of
from keras_otel.errors import FeedbackError
from keras_otel.feedback.emitters import current_emitters
from keras_otel.feedback.formats import (
    Convention,
    checked_conventions,
    evaluation_attributes,
    futureagi_attributes,
    openinference_attributes,
)
from keras_otel.feedback.recording import FeedbackEvent, record
from keras_otel.feedback.target_span import (
    HasSpanContext,
    SpanReference,
    TargetSpan,
    checked_reference,
    find_target,
)
from keras_otel.feedback.upstream import carried_predictions, known_predictions
from keras_otel.feedback.validation import checked_evaluation, checked_name
from keras_otel.propagation.upstream_attributes import upstream_attributes
from keras_otel.records import Evaluation, UpstreamPrediction


def record_evaluation(  # noqa: PLR0913 - an evaluation has these fields; all but one by keyword
    name: str,
    *,
    score: SupportsFloat | Decimal | None = None,
    passed: bool | None = None,
    label: str | None = None,
    explanation: str | None = None,
    span: SpanReference = None,
    error: BaseException | str | None = None,
    conventions: Convention | Collection[Convention] = (),
    also: Convention | Collection[Convention] | None = None,
) -> None:
    """Record a verdict on an LLM answer, with the upstream predictions of the answer's span.

    The evaluation becomes the log event `gen_ai.evaluation.result`, counts in the metric
    `keras.evaluations`, and is put on a span: as an event on the evaluated span while that is
    recording, else as a short child span `evaluate {name}`. Nothing is sent in the caller's time.

    Args:
        name: What was judged, such as `faithfulness`; one of a few values.
        score: A finite number, also numpy's; anything else is left out with a line in the log.
        passed: Whether the answer is good enough.
        label: The verdict in a word, one of a few; `pass` or `fail` by default, after `passed`.
        explanation: Why.
        span: The evaluated span, recording or ended; its `SpanContext`; or its (trace id, span id)
            as hex text or numbers. The current span by default.
        error: What kept the evaluator from a verdict: an exception, or one of a few texts. Then no
            score, label or `passed` is recorded.
        conventions: Other attribute conventions to emit as well, on the span that carries the
            evaluation: `openinference`, `futureagi`, or a collection of both.
        also: Deprecated name of `conventions`.

    Raises:
        FeedbackError: `name` is empty, `span` names no span, `conventions` is unknown, or both
            `conventions` and `also` are given. Nothing else is ever raised.
    """
    evaluation_name = checked_name(name)
    reference = checked_reference(span)
    other_conventions = checked_conventions(conventions)
    if also is not None:
        if other_conventions:
            raise FeedbackError(
                "conventions and its deprecated name also are both given: pass conventions alone"
            )
        warnings.warn(
            "record_evaluation(also=...) is deprecated: pass conventions=... instead",
            DeprecationWarning,
            stacklevel=2,
        )
        other_conventions = checked_conventions(also)

    def read_arguments() -> Evaluation:
        return checked_evaluation(
            evaluation_name,
            score=score,
            passed=passed,
            label=label,
            explanation=explanation,
            error=error,
        )

    # The evaluator's objects may raise when they are converted, the error even when it is printed.
    evaluation = guarded(semconv.SITE_EVALUATION, read_arguments) or Evaluation(
        name=evaluation_name
    )
    message = guarded(semconv.SITE_EVALUATOR_MESSAGE, _error_message, error)
    guarded(
        semconv.SITE_RECORD_AN_EVALUATION,
        _record,
        evaluation,
        reference,
        other_conventions,
        message,
    )


def _record(
    evaluation: Evaluation,
    reference: HasSpanContext | SpanContext | None,
    conventions: frozenset[Convention],
    error_message: str | None,
) -> None:
    emitters = current_emitters()
    target = find_target(reference)
    propagates = emitters.options.propagate != "none"
    predictions = (
        guarded(semconv.SITE_UPSTREAM_OF_AN_EVALUATION, _upstream, target, propagates=propagates)
        or ()
    )
    error_type = evaluation.error_type
    event = FeedbackEvent(
        name=semconv.EVALUATION_EVENT.name,
        # Over its attribute limit the SDK drops the oldest: the evaluation itself comes last.
        attributes={**upstream_attributes(predictions), **evaluation_attributes(evaluation)},
        span_name=semconv.evaluation_span_name(evaluation.name),
        links=((target.span_context, semconv.LINK_EVALUATED),),
        span_attributes=(
            (lambda existing: _convention_attributes(evaluation, conventions, existing))
            if conventions
            else None
        ),
        child_attributes=_child_attributes(target, conventions),
        error_description=None if error_type is None else error_message or error_type,
    )
    record(event, target, emitters)
    if emitters.instruments is not None and emitters.instruments.are_read():
        guarded(
            semconv.SITE_EVALUATION_METRIC,
            emitters.instruments.count_evaluation,
            evaluation,
            predictions,
            target.context,
        )


def _upstream(target: TargetSpan, *, propagates: bool) -> tuple[UpstreamPrediction, ...]:
    """Return the predictions that the span carries, else those that it follows in this process."""
    carried = carried_predictions(target)
    return carried or (known_predictions(target) if propagates else ())


def _convention_attributes(
    evaluation: Evaluation,
    conventions: frozenset[Convention],
    existing: Mapping[str, AttributeValue],
) -> Mapping[str, AttributeValue]:
    """Return the evaluation in other conventions, for a span that has attributes already."""
    attributes: dict[str, AttributeValue] = {}
    if "openinference" in conventions:
        key_of = semconv.openinference_evaluation_key
        index = 0
        while key_of(index, semconv.EVALUATION_NAME) in existing:
            index += 1
        attributes.update(openinference_attributes(evaluation, index))
    if "futureagi" in conventions:
        attributes.update(futureagi_attributes(evaluation))
    return attributes


def _child_attributes(
    target: TargetSpan, conventions: frozenset[Convention]
) -> Mapping[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {}
    if "openinference" in conventions:
        attributes[semconv.OPENINFERENCE_SPAN_KIND] = "EVALUATOR"
    if "futureagi" in conventions:
        attributes[semconv.FUTUREAGI_TARGET] = format_span_id(target.span_context.span_id)
    return attributes


def _error_message(error: BaseException | str | None) -> str | None:
    return None if error is None else message_of(str(error))
