"""`record_evaluation`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import SupportsFloat

from opentelemetry.trace import SpanContext, format_span_id
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._unicode import message_of
from keras_otel.feedback.emitters import outlets
from keras_otel.feedback.formats import (
    Form,
    checked_forms,
    evaluation_attributes,
    futureagi_attributes,
    openinference_attributes,
)
from keras_otel.feedback.recording import Entry, record
from keras_otel.feedback.target_span import (
    HasSpanContext,
    SpanReference,
    Subject,
    reference,
    subject_of,
)
from keras_otel.feedback.upstream import carried_predictions, known_predictions
from keras_otel.feedback.validation import checked_name, evaluation_of
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
    also: Form | Collection[Form] = (),
) -> None:
    """Record a verdict on an LLM answer, with the upstream predictions of the answer's span.

    It becomes the log event `gen_ai.evaluation.result`, counts in the metric `keras.evaluations`,
    and is put on a span: as an event on the evaluated span while that is recording, else as a
    short span `evaluate {name}` below it. Nothing is sent in the caller's time.

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
        also: Attributes to put on that span too, in the form of `openinference` or `futureagi`.

    Raises:
        FeedbackError: `name` is empty, `span` names no span, or `also` is unknown. Nothing else is
            ever raised.
    """
    checked = checked_name(name)
    given, forms = reference(span), checked_forms(also)

    def read() -> Evaluation:
        return evaluation_of(
            checked,
            score=score,
            passed=passed,
            label=label,
            explanation=explanation,
            error=error,
        )

    # What the evaluator handed over may raise when it is looked at.
    evaluation = guarded("evaluation", read) or Evaluation(name=checked)
    message = guarded("evaluator's message", _message, error)
    guarded("record an evaluation", _record, evaluation, given, forms, message)


def _record(
    evaluation: Evaluation,
    given: HasSpanContext | SpanContext | None,
    forms: frozenset[Form],
    message: str | None,
) -> None:
    out = outlets()
    subject = subject_of(given)
    stamps = out.options.propagate != "none"
    predictions = guarded("upstream of an evaluation", _upstream, subject, stamps=stamps) or ()
    entry = Entry(
        event=semconv.EVALUATION_EVENT.name,
        # Where the SDK's limit leaves no room for all, it drops the oldest.
        attributes={**upstream_attributes(predictions), **evaluation_attributes(evaluation)},
        span_name=semconv.evaluation_span_name(evaluation.name),
        links=((subject.span_context, semconv.LINK_EVALUATED),),
        more=(lambda present: _in_forms(evaluation, forms, present)) if forms else None,
        own=_on_a_span_of_its_own(subject, forms),
        failure=None if evaluation.error_type is None else message or evaluation.error_type,
    )
    record(entry, subject, out)
    if out.instruments is not None and out.instruments.are_read():
        guarded(
            "evaluation metric",
            out.instruments.count_evaluation,
            evaluation,
            predictions,
            subject.context,
        )


def _upstream(subject: Subject, *, stamps: bool) -> tuple[UpstreamPrediction, ...]:
    carried = carried_predictions(subject)
    return carried or (known_predictions(subject) if stamps else ())


def _in_forms(
    evaluation: Evaluation, forms: frozenset[Form], present: Mapping[str, AttributeValue]
) -> Mapping[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {}
    if "openinference" in forms:
        name_of = semconv.openinference_evaluation_key
        index = 0
        while name_of(index, semconv.EVALUATION_NAME) in present:
            index += 1
        attributes.update(openinference_attributes(evaluation, index))
    if "futureagi" in forms:
        attributes.update(futureagi_attributes(evaluation))
    return attributes


def _on_a_span_of_its_own(subject: Subject, forms: frozenset[Form]) -> Mapping[str, AttributeValue]:
    own: dict[str, AttributeValue] = {}
    if "openinference" in forms:
        own[semconv.OPENINFERENCE_SPAN_KIND] = "EVALUATOR"
    if "futureagi" in forms:
        own[semconv.FUTUREAGI_TARGET] = format_span_id(subject.span_context.span_id)
    return own


def _message(error: BaseException | str | None) -> str | None:
    return None if error is None else message_of(str(error))
