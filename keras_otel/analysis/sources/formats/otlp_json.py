"""OTLP's JSON: `resourceSpans` and `resourceLogs` in one object a line, or in one of several.

As the Collector's `file` exporter and `opentelemetry-exporter-otlp-json-file` write it, and as others do:
Jaeger's `/api/v3/traces` under `result`, Tempo as `batches` or under `trace`, protobuf's own JSON with
base64 ids, names of enums and, on request, snake_case, and senders from before `scopeSpans` was called so.
Unknown keys are ignored. What is not shaped as it should be is left out and counted, and only that: an odd
attribute does not cost its span, nor an odd span the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from keras_otel.analysis.sources.formats.otlp_values import attributes_of, camel_name
from keras_otel.analysis.sources.tables.evaluation_attributes import of_event
from keras_otel.analysis.sources.tables.normalise import span_id, trace_id
from keras_otel.analysis.sources.tables.telemetry import (
    LATEST_NS,
    WRONG_SHAPE,
    Attributes,
    Event,
    Link,
    Span,
)
from keras_otel.analysis.sources.tables.writer import Intake

SPANS_KEY: Final = "resourceSpans"
LOGS_KEY: Final = "resourceLogs"
BAD_IDS: Final = (
    "a span's ids are neither hex digits (32 for the trace, 16 for the span) nor base64"
)

_STATUS: Final = {
    1: "ok",
    "1": "ok",
    "STATUS_CODE_OK": "ok",
    2: "error",
    "2": "error",
    "STATUS_CODE_ERROR": "error",
}
_SERVICE: Final = "service.name"
_EVENT_NAME: Final = "event.name"

Note = Callable[[str], None]
"""Counts something that could not be read."""


class _Signal(NamedTuple):
    """What a signal's levels are called, by whoever writes them."""

    resources: tuple[str, ...]
    scopes: tuple[str, ...]
    records: tuple[str, ...]


_SPANS: Final = _Signal(
    (SPANS_KEY, "resource_spans", "batches"),
    ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans"),
    ("spans",),
)
_LOGS: Final = _Signal(
    (LOGS_KEY, "resource_logs"),
    ("scopeLogs", "scope_logs", "instrumentationLibraryLogs", "instrumentation_library_logs"),
    ("logRecords", "log_records", "logs"),
)
_OTHERS: Final = ("resourceMetrics", "resource_metrics", "resourceProfiles", "resource_profiles")
_REQUEST: Final = frozenset((*_SPANS.resources, *_LOGS.resources, *_OTHERS))
_SCOPE: Final = ("scope", "instrumentationLibrary", "instrumentation_library")
_WRAPPERS: Final = ("result", "trace")

_Record = tuple[Mapping[str, Any], Attributes, str | None]


class BadRecordError(ValueError):
    """A span or log record that cannot be used; the message says why."""


def read_document(document: Any, source: str, intake: Intake) -> bool:
    """Take what one line, or one whole document, holds; False where it is no OTLP."""
    request = _request(document)
    if request is None:
        return False
    note = partial(intake.problem, source)
    for record, resource, scope in _records(request, _SPANS, note):
        try:
            span = _span(record, resource, scope, note)
        except BadRecordError as error:
            note(str(error))
        except WRONG_SHAPE:
            note("a span is not shaped as OTLP JSON says")
        else:
            intake.span(span)
    for record, _, _ in _records(request, _LOGS, note):
        try:
            _log(record, intake, note)
        except WRONG_SHAPE:
            note("a log record is not shaped as OTLP JSON says")
    return True


def _request(document: Any) -> Mapping[str, Any] | None:
    """The object that has the resources; what is below one by itself is put into one."""
    if not isinstance(document, dict):
        return None
    for wrapper in _WRAPPERS:
        inner = document.get(wrapper)
        if isinstance(inner, dict) and not _REQUEST.isdisjoint(inner):
            return inner
    if not _REQUEST.isdisjoint(document):
        return document
    for signal in (_SPANS, _LOGS):
        if not document.keys().isdisjoint(signal.scopes):
            return {signal.resources[0]: [document]}
    if "spanId" in document and "startTimeUnixNano" in document:
        return {SPANS_KEY: [{"scopeSpans": [{"spans": [document]}]}]}
    return None


def _records(request: Mapping[str, Any], signal: _Signal, note: Note) -> Iterator[_Record]:
    for resource in _objects(request, signal.resources, note):
        described = resource.get("resource")
        pairs = described.get("attributes") if isinstance(described, dict) else None
        attributes = attributes_of(pairs, note)
        for scope in _objects(resource, signal.scopes, note):
            name = _scope_name(scope, note)
            for record in _objects(scope, signal.records, note):
                yield record, attributes, name


def _objects(parent: Mapping[str, Any], keys: tuple[str, ...], note: Note) -> Iterator[Any]:
    """The objects in a list of OTLP, under whichever of its names."""
    for key in keys:
        listed = parent.get(key)
        if listed is None:
            continue
        if not isinstance(listed, list):
            note(f"{key} is no list")
            continue
        for each in listed:
            if isinstance(each, dict):
                yield each
            else:
                note(f"an element of {key} is no object")


def _scope_name(scope: Mapping[str, Any], note: Note) -> str | None:
    named: Any = next((scope[key] for key in _SCOPE if isinstance(scope.get(key), dict)), {})
    return _text(named.get("name"), "the name of a scope", note)


def _span(record: Mapping[str, Any], resource: Attributes, scope: str | None, note: Note) -> Span:
    record = _in_camel_case(record, "traceId")
    trace, own = trace_id(record.get("traceId")), span_id(record.get("spanId"))
    if trace is None or own is None:
        raise BadRecordError(BAD_IDS)
    start_ns = _nanoseconds(record.get("startTimeUnixNano"))
    end_ns = _time(record.get("endTimeUnixNano"), "a span's end", note)
    events, links = record.get("events"), record.get("links")
    return Span(
        trace_id=trace,
        span_id=own,
        parent_span_id=span_id(record.get("parentSpanId")),
        name=_text(record.get("name"), "a span's name", note) or "",
        scope=scope,
        service=resource.get(_SERVICE),
        start_ns=start_ns,
        duration_ns=max(0, end_ns - start_ns) if end_ns else 0,
        status=_status(record.get("status")),
        tracestate=_text(record.get("traceState"), "a span's tracestate", note) or None,
        attributes=attributes_of(record.get("attributes"), note),
        resource=resource,
        events=[*_events(record, note)] if events else (),
        links=[*_links(record, note)] if links else (),
    )


def _in_camel_case(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A record's fields as OTLP's JSON calls them, where one of them is not there by that name."""
    if key in record:
        return record
    return {camel_name(name): value for name, value in record.items()}


def _text(value: Any, what: str, note: Note) -> str | None:
    if value is None or type(value) is str:
        return value
    note(f"{what} is no text")
    return None


def _nanoseconds(text: Any) -> int:
    try:
        value = int(text)
    except WRONG_SHAPE:
        raise BadRecordError("a span's time is no number") from None
    if not 0 <= value < LATEST_NS:
        raise BadRecordError("a span's time is out of range")
    return value


def _time(text: Any, what: str, note: Note) -> int | None:
    """A time that a record can do without."""
    if not text:
        return None
    try:
        return _nanoseconds(text)
    except BadRecordError:
        note(f"{what} is no time")
        return None


def _status(status: Any) -> str:
    code = status.get("code") if isinstance(status, dict) else None
    return _STATUS.get(code, "unset") if isinstance(code, int | str) else "unset"


def _events(record: Mapping[str, Any], note: Note) -> Iterator[Event]:
    for given in _objects(record, ("events",), note):
        event = _in_camel_case(given, "timeUnixNano")
        name = event.get("name")
        if name is not None and type(name) is not str:
            note("an event's name is no text")
            continue
        yield Event(
            name=name or "",
            time_ns=_time(event.get("timeUnixNano"), "an event's time", note),
            attributes=attributes_of(event.get("attributes"), note),
        )


def _links(record: Mapping[str, Any], note: Note) -> Iterator[Link]:
    for given in _objects(record, ("links",), note):
        link = _in_camel_case(given, "traceId")
        trace, own = trace_id(link.get("traceId")), span_id(link.get("spanId"))
        if trace and own:
            yield Link(trace, own, attributes_of(link.get("attributes"), note))


def _log(record: Mapping[str, Any], intake: Intake, note: Note) -> None:
    record = _in_camel_case(record, "traceId")
    given = record.get("traceId")
    if not given:
        return  # a log outside of any trace
    trace = trace_id(given)
    if trace is None:
        note("a log record's trace id is neither 32 hex digits nor base64")
        return
    attributes = attributes_of(record.get("attributes"), note)
    time = record.get("timeUnixNano") or record.get("observedTimeUnixNano")
    name = _text(record.get("eventName"), "a log record's event name", note)
    event = Event(
        name=name or attributes.get(_EVENT_NAME, ""),
        time_ns=_time(time, "a log record's time", note),
        attributes=attributes,
    )
    for evaluation in of_event(event, trace, span_id(record.get("spanId"))):
        intake.evaluation(evaluation)
