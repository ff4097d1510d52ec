"""The span that feedback is about."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Final, Protocol

from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    Span,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel.errors import FeedbackError


class HasSpanContext(Protocol):
    """A span, or what an exporter gets of one."""

    def get_span_context(self) -> SpanContext | None:
        """The span's ids and flags."""


SpanReference = HasSpanContext | SpanContext | tuple[str | int, str | int] | None
"""A span, its context, its (trace id, span id) as hex text or numbers, or None: the current one."""

_HEX: Final = re.compile(r"(0x)?[0-9a-f]{1,32}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The span that feedback is about, and where to record it.

    Attributes:
        span: The span; where only its ids are known, one that stands for it.
        span_context: Its ids; invalid where there is no span.
        context: The OpenTelemetry context in which the feedback is emitted.
        is_current: True if it is the span of the running code.
        attributes: What it carries; empty where that cannot be read.
        scope: Name of the instrumentation that made it, if that can be read.
    """

    span: Span
    span_context: SpanContext
    context: Context
    is_current: bool
    attributes: Mapping[str, AttributeValue]
    scope: str | None

    @property
    def is_recording(self) -> bool:
        """True while events and attributes can be added to it."""
        return self.span.is_recording()

    @property
    def is_sampled(self) -> bool:
        """True if its trace is kept, so that a span beside it has a place."""
        return self.span_context.is_valid and self.span_context.trace_flags.sampled

    @property
    def is_inference(self) -> bool:
        """True if it can be read and is an inference span of ours."""
        return self.scope == semconv.SCOPE_NAME and semconv.OPERATION_NAME in self.attributes


def reference(span: object) -> HasSpanContext | SpanContext | None:
    """What a caller passed as `span`, ids read.

    Raises:
        FeedbackError: It names no span.
    """
    if span is None or isinstance(span, SpanContext):  # which is a tuple, too
        return span
    if isinstance(span, (tuple, list)) and len(span) == 2:
        trace_id, span_id = _id(span[0], 128), _id(span[1], 64)
        return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))
    if callable(getattr(span, "get_span_context", None)) and not isinstance(span, type):
        return span  # type: ignore[return-value]  # it has what the protocol asks for
    raise FeedbackError(
        f"span cannot be of type {type(span).__name__}: pass a span, its SpanContext, "
        "or a pair (trace_id, span_id) as hex text or numbers"
    )


def _id(value: object, bits: int) -> int:
    number: int | None = None
    if isinstance(value, str) and _HEX.fullmatch(value):
        number = int(value, 16)
    elif isinstance(value, Integral) and not isinstance(value, bool):
        number = operator.index(value)
    if number is None or not 0 <= number < 1 << bits:
        what = "trace" if bits == 128 else "span"
        raise FeedbackError(
            f"span: {value!r:.60} is no {what} id: "
            f"write {bits // 4} hex digits or a number below 2**{bits}"
        )
    return number


def subject_of(given: HasSpanContext | SpanContext | None) -> Subject:
    """The subject that a checked reference means."""
    current = trace.get_current_span()
    span_context = _span_context(current if given is None else given)
    is_current = _ids(span_context) == _ids(current.get_span_context())
    if given is None or (is_current and isinstance(given, SpanContext)):
        given = current  # it can be written to, unlike its ids
    span = given if isinstance(given, Span) else NonRecordingSpan(span_context)
    return Subject(
        span=span,
        span_context=span_context,
        # Nothing of the running request belongs to a span that may be another request's.
        context=get_current() if is_current else set_span_in_context(span, Context()),
        is_current=is_current,
        attributes=_attributes(given),
        scope=getattr(getattr(given, "instrumentation_scope", None), "name", None),
    )


def _span_context(given: HasSpanContext | SpanContext) -> SpanContext:
    found = given if isinstance(given, SpanContext) else given.get_span_context()
    return found if isinstance(found, SpanContext) else INVALID_SPAN_CONTEXT


def _ids(span_context: SpanContext) -> tuple[int, int]:
    return span_context.trace_id, span_context.span_id


def _attributes(given: Any) -> Mapping[str, AttributeValue]:
    attributes = getattr(given, "attributes", None)
    return attributes if isinstance(attributes, Mapping) else {}
