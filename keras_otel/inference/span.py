"""From an inference to a span.

A span is made after the call, with all its attributes at once: samplers see the prediction,
nothing is ever attached to the caller's context, and a call that turns out to be symbolic costs
no span.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence
from contextvars import Context as Variables
from typing import Protocol

from opentelemetry.context import Context, attach, detach
from opentelemetry.semconv.attributes.exception_attributes import (
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
)
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel._span_limits import limit_of_tracer, within_limit
from keras_otel._unicode import message_of, traceback_of
from keras_otel.introspection.call_facts import CallFacts
from keras_otel.introspection.scope import Scope, current
from keras_otel.options import Options, PredictionHook
from keras_otel.records import Decoded, Inference

_MAX_OUTPUTS = 8
"""Outputs of one model that get attributes of their own: a span holds 128 attributes."""


class Timed(Protocol):
    """When a call ran, for whom, and what its span points at."""

    @property
    def context(self) -> Context:
        """The context that the span is for; the span in it is the parent."""
        ...

    @property
    def start_ns(self) -> int:
        """Start, nanoseconds since the epoch."""
        ...

    @property
    def duration_s(self) -> float:
        """Duration of the call alone, seconds."""
        ...

    @property
    def variables(self) -> Variables | None:
        """The context variables that the hook is to see; None for those of the running code."""
        ...

    @property
    def links(self) -> Sequence[Link]:
        """Spans that it points at."""
        ...


class _LazyAttributes(Mapping[str, AttributeValue]):
    """A span's attributes, made when a sampler or a span first looks at them.

    A span that no sampler wants costs no decoding then; a sampler that looks sees everything.
    """

    __slots__ = ("_facts", "_inference", "_limit", "_made", "_options")

    def __init__(
        self,
        inference: Callable[[], Inference],
        facts: CallFacts,
        options: Options,
        limit: int | None,
    ) -> None:
        self._inference = inference
        self._facts = facts
        self._options = options
        self._limit = limit
        self._made: dict[str, AttributeValue] | None = None

    def items(self) -> ItemsView[str, AttributeValue]:
        if self._made is None:
            made = _attributes(self._inference(), self._facts, self._options)
            self._made = made if self._limit is None else within_limit(made, self._limit)
        return self._made.items()

    def __getitem__(self, key: str) -> AttributeValue:
        return self.copy()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __len__(self) -> int:
        return len(self.items())

    def copy(self) -> dict[str, AttributeValue]:
        """The attributes as a dictionary of the caller's own."""
        return dict(self.items())


def emit(
    tracer: Tracer,
    inference: Callable[[], Inference],
    facts: CallFacts,
    call: Timed,
    options: Options,
    error: BaseException | None,
) -> Span:
    """Make the span of an inference, let the user's hook see it, end it.

    Args:
        tracer: Makes the span.
        inference: Reads the inference; not called where nobody looks.
        facts: What the model's inferences share.
        call: When the call ran; the span of its context is the parent.
        options: The hook, and which attributes to add.
        error: What the call raised; None on success.

    Returns:
        The ended span, so that metrics can point at it.
    """
    start_ns = call.start_ns
    span = tracer.start_span(
        facts.span_name,
        call.context,
        SpanKind.INTERNAL,
        _LazyAttributes(inference, facts, options, limit_of_tracer(tracer)),
        call.links,
        start_ns,
    )
    if span.is_recording():
        if error is not None:
            _set_error(span, error)
        if options.on_prediction is not None:
            guarded(
                semconv.SITE_ON_PREDICTION,
                _call_hook,
                options.on_prediction,
                call,
                span,
                inference(),
            )
    span.end(start_ns + int(call.duration_s * 1e9))
    return span


def _call_hook(hook: PredictionHook, call: Timed, span: Span, inference: Inference) -> None:
    """Call the program's hook with the context variables of the call, whichever thread records it."""
    if call.variables is None:
        _call_hook_here(hook, call.context, span, inference)
    else:
        call.variables.run(_call_hook_here, hook, call.context, span, inference)


def _call_hook_here(
    hook: PredictionHook, context: Context, span: Span, inference: Inference
) -> None:
    # A scope of our own keeps the hook's own inferences from being observed.
    scope = current.set(Scope())
    token = attach(context)
    try:
        hook(span, inference)
    finally:
        detach(token)
        current.reset(scope)


def _attributes(
    inference: Inference, facts: CallFacts, options: Options
) -> dict[str, AttributeValue]:
    attributes = dict(facts.details)
    attributes[semconv.INFERENCE_DURATION] = inference.duration_s
    attributes[semconv.INFERENCE_COLD] = inference.cold
    if inference.rows is not None:
        attributes[semconv.BATCH_SIZE] = inference.rows
    outputs = inference.outputs
    if len(outputs) == 1:
        _add_output(attributes, outputs[0])
    elif outputs:
        _add_outputs(attributes, outputs)
    else:
        attributes[semconv.MODEL_TASK] = "opaque"
    if inference.error is not None:
        attributes[semconv.ERROR_TYPE] = semconv.error_type(inference.error)
    # Last, as the SDK drops the oldest where a hook adds more than its limit allows.
    attributes.update(facts.naming)
    if options.openinference:
        _add_openinference(attributes)
    return attributes


def _add_output(attributes: dict[str, AttributeValue], decoded: Decoded) -> None:
    attributes[semconv.MODEL_TASK] = decoded.task
    if decoded.rows == 1 and decoded.task != "sequence":
        if decoded.classes:
            attributes[semconv.PREDICTION_CLASS] = decoded.classes[0]
            attributes[semconv.PREDICTION_CLASS_ID] = decoded.class_ids[0]
            if decoded.confidences:
                attributes[semconv.PREDICTION_CONFIDENCE] = decoded.confidences[0]
                if decoded.margin is not None:
                    attributes[semconv.PREDICTION_MARGIN] = decoded.margin
        else:
            _add_value(attributes, decoded)
    else:
        _add_batch(attributes, decoded)
    if decoded.opaque_reason is not None:
        attributes[semconv.PREDICTION_OPAQUE_REASON] = decoded.opaque_reason


def _add_value(attributes: dict[str, AttributeValue], decoded: Decoded) -> None:
    if decoded.value is not None:
        attributes[semconv.PREDICTION_VALUE] = decoded.value
    if decoded.labels is not None:
        attributes[semconv.PREDICTION_LABELS] = decoded.labels
    if decoded.dimension is not None:
        attributes[semconv.EMBEDDING_DIMENSION] = decoded.dimension
    if decoded.norm is not None:
        attributes[semconv.EMBEDDING_NORM] = decoded.norm


def _add_batch(attributes: dict[str, AttributeValue], decoded: Decoded) -> None:
    if decoded.classes:
        attributes[semconv.PREDICTION_CLASSES] = decoded.classes
    if decoded.confidences:
        attributes[semconv.PREDICTION_CONFIDENCES] = decoded.confidences
    if decoded.confidence_mean is not None:
        attributes[semconv.BATCH_CONFIDENCE_MEAN] = decoded.confidence_mean
    if decoded.confidence_min is not None:
        attributes[semconv.BATCH_CONFIDENCE_MIN] = decoded.confidence_min
    if decoded.position_counts:
        counts = [f"{name}={positions}" for name, positions in decoded.position_counts]
        attributes[semconv.PREDICTION_CLASS_COUNTS] = tuple(counts)
    if decoded.dimension is not None:
        attributes[semconv.EMBEDDING_DIMENSION] = decoded.dimension


def _add_outputs(attributes: dict[str, AttributeValue], outputs: tuple[Decoded, ...]) -> None:
    tasks = {decoded.task for decoded in outputs}
    attributes[semconv.MODEL_TASK] = outputs[0].task if len(tasks) == 1 else "opaque"
    if len(tasks) > 1:
        attributes[semconv.PREDICTION_OPAQUE_REASON] = "several outputs: see keras.output.*"
    for decoded in outputs[:_MAX_OUTPUTS]:
        own: dict[str, AttributeValue] = {}
        _add_output(own, decoded)
        for key, value in own.items():
            attributes[semconv.output_key(decoded.output or "", key)] = value


def _add_openinference(attributes: dict[str, AttributeValue]) -> None:
    task = attributes[semconv.MODEL_TASK]
    if task == "embedding":
        attributes[semconv.OPENINFERENCE_SPAN_KIND] = "EMBEDDING"
        attributes[semconv.OPENINFERENCE_EMBEDDING_MODEL] = attributes[semconv.MODEL_NAME]
    elif task in ("multiclass", "binary", "multilabel", "sequence"):
        attributes[semconv.OPENINFERENCE_SPAN_KIND] = "DECISION"


def _set_error(span: Span, error: BaseException) -> None:
    guarded(semconv.SITE_EXCEPTION_EVENT, _record_exception, span, error)
    span.set_status(
        Status(StatusCode.ERROR, guarded(semconv.SITE_ERROR_MESSAGE, error_message, error))
    )


def _record_exception(span: Span, error: BaseException) -> None:
    # The message and the source lines in a traceback are the program's text.
    formatted = "".join(traceback.format_exception(error))
    span.record_exception(
        error,
        {EXCEPTION_MESSAGE: error_message(error), EXCEPTION_STACKTRACE: traceback_of(formatted)},
    )


def error_message(error: BaseException) -> str:
    """Return what the exception says, fit to be sent."""
    return message_of(str(error))
