"""Recording feedback as a log event, and on a span: the one it is about, or one beside it."""

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
from keras_otel.feedback.emitters import Outlets
from keras_otel.feedback.log_once import say_once
from keras_otel.feedback.target_span import Subject

Attributes = Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is recorded of one piece of feedback.

    Attributes:
        event: Name of the event.
        attributes: What the event says.
        span_name: Name of the span that says it where the subject cannot any more.
        links: What that span is linked to, each with its `keras.link.type`.
        more: Attributes for the span that carries the event, given what is on it already.
        own: Attributes for a span of its own only.
        failure: Status description of that span; None where nothing failed.
    """

    event: str
    attributes: Attributes
    span_name: str
    links: tuple[tuple[SpanContext, str], ...] = ()
    more: Callable[[Attributes], Attributes] | None = None
    own: Attributes = field(default_factory=dict)
    failure: str | None = None


def record(entry: Entry, subject: Subject, outlets: Outlets) -> None:
    """Emit an entry as a log event, and put it on a span if the subject's trace is kept."""
    if not subject.span_context.is_valid:
        say_once(
            f"{entry.span_name!r} was recorded outside of any span and belongs to no trace: "
            "call it inside the span it is about, or pass span= that span "
            "or its (trace_id, span_id)"
        )
    guarded("feedback event", _emit, entry, subject, outlets)
    guarded("feedback span", _put_on_span, entry, subject, outlets)


def _emit(entry: Entry, subject: Subject, outlets: Outlets) -> None:
    outlets.logger.emit(
        timestamp=time.time_ns(),
        context=subject.context,
        event_name=entry.event,
        attributes=dict(entry.attributes),
    )


def _put_on_span(entry: Entry, subject: Subject, outlets: Outlets) -> None:
    if subject.is_recording:
        subject.span.add_event(entry.event, entry.attributes)
        if entry.more is not None:
            _adding.add(entry.more, subject)
    elif subject.is_sampled:
        _make_span(entry, subject, outlets)


class _Adding:
    """Two judges of one span look for a free index at the same time; they take turns."""

    def __init__(self) -> None:
        self._start_over()
        run_in_child(self._start_over)

    def add(self, more: Callable[[Attributes], Attributes], subject: Subject) -> None:
        """Add attributes to a recording span, unless it would drop others for them."""
        span, present = subject.span, subject.attributes
        limit = limit_of_span(span)
        with self._lock:
            attributes = more(present)
            new = [key for key in attributes if key not in present]
            if limit is None or len(present) + len(new) <= limit:
                span.set_attributes(attributes)

    def _start_over(self) -> None:
        self._lock = threading.Lock()


_adding: Final = _Adding()


def _make_span(entry: Entry, subject: Subject, outlets: Outlets) -> None:
    span = outlets.tracer.start_span(
        entry.span_name,
        subject.context,
        SpanKind.INTERNAL,
        {**entry.attributes, **entry.own, **(entry.more({}) if entry.more else {})},
        links=[Link(linked, {semconv.LINK_TYPE: kind}) for linked, kind in entry.links],
    )
    if entry.failure is not None:
        span.set_status(Status(StatusCode.ERROR, entry.failure))
    span.end()
