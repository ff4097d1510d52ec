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
    """A span, or the readable copy of one that exporters get."""

    def get_span_context(self) -> SpanContext | None:
        """Return the span's ids and flags."""


SpanReference = HasSpanContext | SpanContext | tuple[str | int, str | int] | None
"""A span, its context, its (trace id, span id) as hex text or numbers, or None: the current one."""

_HEX: Final = re.compile(r"(0x)?[0-9a-f]{1,32}", re.IGNORECASE)
_TRACE_ID_BITS: Final = 128
_SPAN_ID_BITS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpan:
    """The span that feedback is about, and what is known of it.

    Attributes:
        span: The span; a non-recording stand-in where only its ids are known.
        span_context: Its ids and flags; invalid where there is no span.
        context: The OpenTelemetry context in which the feedback is emitted.
        is_current: True if it is the current span.
        attributes: Its attributes; empty where they cannot be read.
        scope: Name of its instrumentation scope, if that can be read.
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
        """True if its trace is kept, so that a child span is not alone in it."""
        return self.span_context.is_valid and self.span_context.trace_flags.sampled

    @property
    def is_inference(self) -> bool:
        """True if it is a readable inference span of keras_otel."""
        return self.scope == semconv.SCOPE_NAME and semconv.OPERATION_NAME in self.attributes


def checked_reference(span: object) -> HasSpanContext | SpanContext | None:
    """Return the `span` argument of a caller, a pair of ids as a `SpanContext`.

    Raises:
        FeedbackError: It names no span.
    """
    if span is None or isinstance(span, SpanContext):  # a SpanContext is a tuple, too
        return span
    if isinstance(span, (tuple, list)) and len(span) == 2:
        trace_id = _checked_id("trace", span[0], _TRACE_ID_BITS)
        span_id = _checked_id("span", span[1], _SPAN_ID_BITS)
        return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))
    if callable(getattr(span, "get_span_context", None)) and not isinstance(span, type):
        return span  # type: ignore[return-value]  # it has what the protocol asks for
    raise FeedbackError(
        f"span cannot be of type {type(span).__name__}: pass a span, its SpanContext, "
        "or a pair (trace_id, span_id) as hex text or numbers"
    )


def _checked_id(kind: str, value: object, bits: int) -> int:
    number: int | None = None
    if isinstance(value, str) and _HEX.fullmatch(value):
        number = int(value, 16)
    elif isinstance(value, Integral) and not isinstance(value, bool):
        number = operator.index(value)
    if number is None or not 0 <= number < 1 << bits:
        raise FeedbackError(
            f"span: {value!r:.60} is no {kind} id: "
            f"write {bits // 4} hex digits or a number below 2**{bits}"
        )
    return number


def find_target(reference: HasSpanContext | SpanContext | None) -> TargetSpan:
    """Return the span that a checked reference means; None means the current one."""
    current = trace.get_current_span()
    span_context = _span_context(current if reference is None else reference)
    is_current = _ids(span_context) == _ids(current.get_span_context())
    if reference is None or (is_current and isinstance(reference, SpanContext)):
        reference = current  # unlike its ids, the span can be written to
    span = reference if isinstance(reference, Span) else NonRecordingSpan(span_context)
    return TargetSpan(
        span=span,
        span_context=span_context,
        # Another span may belong to another request: baggage and the like of this one stay out.
        context=get_current() if is_current else set_span_in_context(span, Context()),
        is_current=is_current,
        attributes=_attributes(reference),
        scope=getattr(getattr(reference, "instrumentation_scope", None), "name", None),
    )


def _span_context(reference: HasSpanContext | SpanContext) -> SpanContext:
    span_context = reference if isinstance(reference, SpanContext) else reference.get_span_context()
    return span_context if isinstance(span_context, SpanContext) else INVALID_SPAN_CONTEXT


def _ids(span_context: SpanContext) -> tuple[int, int]:
    return span_context.trace_id, span_context.span_id


def _attributes(span: Any) -> Mapping[str, AttributeValue]:
    attributes = getattr(span, "attributes", None)
    return attributes if isinstance(attributes, Mapping) else {}
