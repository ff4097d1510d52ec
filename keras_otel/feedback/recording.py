"""Recording feedback as a log event, and on a span: the target span, or a child of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel._forks import run_in_child
from keras_otel._guard import guarded
from keras_otel._span_limits import limit_of_span
from keras_otel.feedback.emitters import Emitters
from keras_otel.feedback.log_once import log_once
from keras_otel.feedback.target_span import TargetSpan

Attributes = Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackEvent:
    """One evaluation or outcome, ready to be recorded.

    Attributes:
        name: Name of the event.
        attributes: Attributes of the event.
        span_name: Name of the child span that carries them where the target span has ended.
        links: The child span's links: the linked span, and the value of `keras.link.type`.
        span_attributes: Returns further attributes for the span that carries the event, given the
            attributes that the span has already; None for no further ones.
        child_attributes: Further attributes for the child span only.
        error_description: Status description of the child span; None where nothing failed.
    """

    name: str
    attributes: Attributes
    span_name: str
    links: tuple[tuple[SpanContext, str], ...] = ()
    span_attributes: Callable[[Attributes], Attributes] | None = None
    child_attributes: Attributes = field(default_factory=dict)
    error_description: str | None = None


def record(event: FeedbackEvent, target: TargetSpan, emitters: Emitters) -> None:
    """Emit an event as a log record, and put it on a span if the target's trace is kept."""
    if not target.span_context.is_valid:
        log_once(
            f"{event.span_name!r} was recorded outside of any span and belongs to no trace: "
            "call it inside the span it is about, or pass span= that span "
            "or its (trace_id, span_id)"
        )
    guarded(semconv.SITE_FEEDBACK_EVENT, _emit_log_record, event, target, emitters)
    guarded(semconv.SITE_FEEDBACK_SPAN, _put_on_span, event, target, emitters)


def _emit_log_record(event: FeedbackEvent, target: TargetSpan, emitters: Emitters) -> None:
    emitters.logger.emit(
        timestamp=time.time_ns(),
        context=target.context,
        event_name=event.name,
        attributes=dict(event.attributes),
    )


def _put_on_span(event: FeedbackEvent, target: TargetSpan, emitters: Emitters) -> None:
    if target.is_recording:
        target.span.add_event(event.name, event.attributes)
        if event.span_attributes is not None:
            _attribute_writer.add(event.span_attributes, target)
    elif target.is_sampled:
        _emit_child_span(event, target, emitters)


class _AttributeWriter:
    """Adds attributes to recording spans, one thread at a time.

    Two judges of one span would otherwise both find the same index free.
    """

    def __init__(self) -> None:
        self._reset_lock()
        # Another thread may hold the lock at a fork; the child must not wait for it.
        run_in_child(self._reset_lock)

    def add(self, span_attributes: Callable[[Attributes], Attributes], target: TargetSpan) -> None:
        """Add attributes, unless the SDK would drop others to make room for them."""
        span, existing = target.span, target.attributes
        limit = limit_of_span(span)
        with self._lock:
            attributes = span_attributes(existing)
            new_keys = [key for key in attributes if key not in existing]
            if limit is None or len(existing) + len(new_keys) <= limit:
                span.set_attributes(attributes)

    def _reset_lock(self) -> None:
        self._lock = threading.Lock()


_attribute_writer: Final = _AttributeWriter()


def _emit_child_span(event: FeedbackEvent, target: TargetSpan, emitters: Emitters) -> None:
    attributes = {**event.attributes, **event.child_attributes}
    if event.span_attributes is not None:
        attributes.update(event.span_attributes({}))
    span = emitters.tracer.start_span(
        event.span_name,
        target.context,
        SpanKind.INTERNAL,
        attributes,
        links=[Link(linked, {semconv.LINK_TYPE: kind}) for linked, kind in event.links],
    )
    if event.error_description is not None:
        span.set_status(Status(StatusCode.ERROR, event.error_description))
    span.end()
