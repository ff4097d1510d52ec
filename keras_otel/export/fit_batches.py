"""Spans and log records of the whole program, made fit to be sent by the exporter of `export=`.

The text in an exception's message, in a span's name or in a log line is the program's. One that is
no valid UTF-8 keeps the exporter from encoding everything that is sent with it.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status

from keras_otel._unicode import well_formed


def fit_spans(spans: Sequence[ReadableSpan]) -> Sequence[ReadableSpan]:
    """Return the spans, each itself unless it holds a text that cannot be sent."""
    return [span if _is_fit(_texts_of_span(span)) else _fit_span(span) for span in spans]


def fit_log_records(records: Sequence[ReadableLogRecord]) -> Sequence[ReadableLogRecord]:
    """Return the log records, each itself unless it holds a text that cannot be sent."""
    return [
        record if _is_fit(_texts_of_record(record)) else _fit_record(record) for record in records
    ]


def fit_resource() -> Resource:
    """Return the resource that the environment describes: its bytes need not be UTF-8."""
    resource = Resource.create({})
    if _is_fit(resource.attributes):
        return resource
    return Resource(_fit(resource.attributes), resource.schema_url)


def _texts_of_span(span: ReadableSpan) -> tuple[Any, ...]:
    return (
        span.name,
        span.status.description,
        span.attributes,
        *(part for event in span.events for part in (event.name, event.attributes)),
        *(link.attributes for link in span.links),
    )


def _texts_of_record(record: ReadableLogRecord) -> tuple[Any, ...]:
    log = record.log_record
    return log.body, log.attributes, log.severity_text, log.event_name


def _fit_span(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=well_formed(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_fit(span.attributes),
        events=[Event(well_formed(e.name), _fit(e.attributes), e.timestamp) for e in span.events],
        links=[Link(link.context, _fit(link.attributes)) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code, _fit(span.status.description)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _fit_record(record: ReadableLogRecord) -> ReadableLogRecord:
    log = copy.copy(record.log_record)
    log.body, log.attributes = _fit(log.body), _fit(log.attributes)
    log.severity_text, log.event_name = _fit(log.severity_text), _fit(log.event_name)
    return dataclasses.replace(record, log_record=log)


def _is_fit(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() or _can_encode(value)
    if isinstance(value, Mapping):
        return all(_is_fit(key) and _is_fit(part) for key, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return all(map(_is_fit, value))
    return True


def _can_encode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fit(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, Mapping):
        return {_fit(key): _fit(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return tuple(map(_fit, value))
    return value
