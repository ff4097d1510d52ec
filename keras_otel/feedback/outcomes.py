"""`record_outcome`."""

from __future__ import annotations

import operator
from dataclasses import replace
from numbers import Integral

from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._unicode import name_of
from keras_otel.errors import FeedbackError
from keras_otel.feedback.emitters import outlets
from keras_otel.feedback.log_once import say_once
from keras_otel.feedback.recording import Entry, record
from keras_otel.feedback.target_span import (
    HasSpanContext,
    SpanReference,
    Subject,
    reference,
    subject_of,
)
from keras_otel.feedback.upstream import carried_predictions, known_predictions
from keras_otel.propagation.resolution import predicted_by
from keras_otel.records import UpstreamPrediction


def record_outcome(
    outcome: str | int, *, model: str | None = None, span: SpanReference = None
) -> None:
    """Record what turned out to be the true class of a prediction.

    It becomes the log event `keras.prediction.outcome` with the model and the class it predicted,
    and is put on a span as `record_evaluation` does it.

    Args:
        outcome: The true class: its label, or its index where the model has no labels. Anything
            else is not recorded, and a line in the log says so.
        model: Name of the model, where several predicted in the request.
        span: The inference span, or a span of the same request: one that is recording or ended,
            its `SpanContext`, or its (trace id, span id) as hex text or numbers. The current span
            by default.

    Raises:
        FeedbackError: `model` is no text, or `span` names no span. Nothing else is ever raised.
    """
    if model is not None and not (isinstance(model, str) and model):
        raise FeedbackError(
            f"model must be the name of a model, got {model!r:.60}: leave it out for the only one"
        )
    given = reference(span)
    guarded("record an outcome", _record, outcome, model, given)


def _record(outcome: object, model: str | None, given: HasSpanContext | SpanContext | None) -> None:
    true_class = _class(outcome)
    if true_class is None:
        say_once(
            f"an outcome of type {type(outcome).__name__} is not recorded: "
            "pass the label of the true class, or its index"
        )
        return
    subject = subject_of(given)
    meant = guarded("prediction of an outcome", _meant, subject, model)
    name = meant.model if meant is not None else model
    attributes: dict[str, AttributeValue] = {semconv.OUTCOME_CLASS: true_class}
    if name is not None:
        attributes[semconv.MODEL_NAME] = name_of(name)
    if meant is not None and meant.class_name is not None:
        attributes[semconv.PREDICTION_CLASS] = meant.class_name
    entry = Entry(
        event=semconv.OUTCOME_EVENT.name,
        attributes=attributes,
        span_name="outcome" if name is None else f"outcome {name_of(name)}",
        links=_links(meant),
    )
    record(entry, subject, outlets())


def _class(outcome: object) -> str | None:
    if isinstance(outcome, str):
        return name_of(outcome) or None
    if isinstance(outcome, Integral) and not isinstance(outcome, bool):
        return str(operator.index(outcome))  # as a class without a label is written
    return None


def _meant(subject: Subject, model: str | None) -> UpstreamPrediction | None:
    """The prediction that the outcome belongs to; None where that is not knowable."""
    candidates = _candidates(subject)
    if model is not None:
        wanted = semconv.key_segment(model)
        candidates = tuple(c for c in candidates if semconv.key_segment(c.model) == wanted)
    if len(candidates) == 1:
        meant = candidates[0]
        # Read from a key, a name is only a segment: the caller knows how it is written.
        return replace(meant, model=model) if model and meant.span_id is None else meant
    if candidates:
        say_once(
            "an outcome is recorded without its prediction, because several models predicted: "
            f"pass model= one of {', '.join(repr(c.model) for c in candidates)}, "
            "or span= the inference span"
        )
    else:
        say_once(
            "an outcome is recorded without its prediction, because none "
            f"{'' if model is None else f'of the model {model!r} '}is known for its span: "
            "pass span= the inference span, or record it in the request of the prediction"
        )
    return None


def _candidates(subject: Subject) -> tuple[UpstreamPrediction, ...]:
    predicted = predicted_by(subject.span_context)
    if predicted is not None:
        return (predicted,)
    if subject.is_inference:
        return (_prediction_on(subject),)
    return carried_predictions(subject) or known_predictions(subject)


def _prediction_on(subject: Subject) -> UpstreamPrediction:
    name, class_name = (
        subject.attributes.get(key) for key in (semconv.MODEL_NAME, semconv.PREDICTION_CLASS)
    )
    return UpstreamPrediction(
        model=str(name),
        class_name=None if class_name is None else str(class_name),
        trace_id=subject.span_context.trace_id,
        span_id=subject.span_context.span_id,
    )


def _links(meant: UpstreamPrediction | None) -> tuple[tuple[SpanContext, str], ...]:
    if meant is None or meant.trace_id is None or meant.span_id is None:
        return ()
    inference = SpanContext(
        meant.trace_id, meant.span_id, is_remote=False, trace_flags=TraceFlags(1)
    )
    return ((inference, semconv.LINK_PREDICTION),)
