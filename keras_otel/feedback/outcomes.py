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
from keras_otel.feedback.emitters import current_emitters
from keras_otel.feedback.log_once import log_once
from keras_otel.feedback.recording import FeedbackEvent, record
from keras_otel.feedback.target_span import (
    HasSpanContext,
    SpanReference,
    TargetSpan,
    checked_reference,
    find_target,
)
from keras_otel.feedback.upstream import carried_predictions, known_predictions
from keras_otel.propagation.resolution import predicted_by
from keras_otel.records import UpstreamPrediction


def record_outcome(
    outcome: str | int, *, model: str | None = None, span: SpanReference = None
) -> None:
    """Record the true class of a prediction, once it is known.

    The outcome becomes the log event `keras.prediction.outcome` with the model and the class that
    it predicted, and is put on a span in the same way as by `record_evaluation`.

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
    reference = checked_reference(span)
    guarded(semconv.SITE_RECORD_AN_OUTCOME, _record, outcome, model, reference)


def _record(
    outcome: object, model: str | None, reference: HasSpanContext | SpanContext | None
) -> None:
    true_class = _class_name(outcome)
    if true_class is None:
        log_once(
            f"an outcome of type {type(outcome).__name__} is not recorded: "
            "pass the label of the true class, or its index"
        )
        return
    target = find_target(reference)
    prediction = guarded(semconv.SITE_PREDICTION_OF_AN_OUTCOME, _find_prediction, target, model)
    model_name = prediction.model if prediction is not None else model
    attributes: dict[str, AttributeValue] = {semconv.OUTCOME_CLASS: true_class}
    if model_name is not None:
        attributes[semconv.MODEL_NAME] = name_of(model_name)
    if prediction is not None and prediction.class_name is not None:
        attributes[semconv.PREDICTION_CLASS] = prediction.class_name
    event = FeedbackEvent(
        name=semconv.OUTCOME_EVENT.name,
        attributes=attributes,
        span_name="outcome" if model_name is None else f"outcome {name_of(model_name)}",
        links=_links(prediction),
    )
    record(event, target, current_emitters())


def _class_name(outcome: object) -> str | None:
    if isinstance(outcome, str):
        return name_of(outcome) or None
    if isinstance(outcome, Integral) and not isinstance(outcome, bool):
        return str(operator.index(outcome))  # as spans write a class without a label
    return None


def _find_prediction(target: TargetSpan, model: str | None) -> UpstreamPrediction | None:
    """Return the prediction that the outcome belongs to; None where that cannot be known."""
    candidates = _candidates(target)
    if model is not None:
        segment = semconv.key_segment(model)
        candidates = tuple(c for c in candidates if semconv.key_segment(c.model) == segment)
    if len(candidates) == 1:
        prediction = candidates[0]
        is_read_from_key = prediction.span_id is None
        # An attribute's key holds a normalised name; the caller knows how it is written.
        return replace(prediction, model=model) if model and is_read_from_key else prediction
    if candidates:
        log_once(
            "an outcome is recorded without its prediction, because several models predicted: "
            f"pass model= one of {', '.join(repr(c.model) for c in candidates)}, "
            "or span= the inference span"
        )
    else:
        log_once(
            "an outcome is recorded without its prediction, because none "
            f"{'' if model is None else f'of the model {model!r} '}is known for its span: "
            "pass span= the inference span, or record it in the request of the prediction"
        )
    return None


def _candidates(target: TargetSpan) -> tuple[UpstreamPrediction, ...]:
    """Return the target's own prediction if it is an inference span, else what it follows."""
    own_prediction = predicted_by(target.span_context)
    if own_prediction is not None:
        return (own_prediction,)
    if target.is_inference:
        return (_prediction_of_inference(target),)
    return carried_predictions(target) or known_predictions(target)


def _prediction_of_inference(target: TargetSpan) -> UpstreamPrediction:
    class_name = target.attributes.get(semconv.PREDICTION_CLASS)
    return UpstreamPrediction(
        model=str(target.attributes.get(semconv.MODEL_NAME)),
        class_name=None if class_name is None else str(class_name),
        trace_id=target.span_context.trace_id,
        span_id=target.span_context.span_id,
    )


def _links(prediction: UpstreamPrediction | None) -> tuple[tuple[SpanContext, str], ...]:
    if prediction is None or prediction.trace_id is None or prediction.span_id is None:
        return ()
    inference = SpanContext(
        prediction.trace_id, prediction.span_id, is_remote=False, trace_flags=TraceFlags(1)
    )
    return ((inference, semconv.LINK_PREDICTION),)
