"""OTLP's JSON: `resourceSpans` and `resourceLogs` in one object a line, or in one of several.

As the Collector's `file` exporter and `opentelemetry-exporter-otlp-json-file` write it, and as others do:
Jaeger's `/api/v3/traces` under `result`, Tempo as `batches` or under `trace`, protobuf's own JSON with
base64 ids, names of enums and, on request, snake_case, and senders from before `scopeSpans` was called so.
Unknown keys are ignored. Only what is malformed itself is left out and counted: a malformed attribute does not cost its span, nor a
malformed span the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from keras_otel.analysis.sources.formats.otlp_values import attributes_of, camel_name
from keras_otel.analysis.sources.tables.evaluation_attributes import evaluations_of_event
from keras_otel.analysis.sources.tables.normalise import span_id, trace_id
from keras_otel.analysis.sources.tables.telemetry import (
    LATEST_NS,
    WRONG_SHAPE,
    Attributes,
    Event,
    Link,
    Span,
)
from keras_otel.analysis.sources.tables.writer import TableWriter

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

AddProblem = Callable[[str], None]
"""Called with a clause on something that could not be read."""


class _Signal(NamedTuple):
    """The names of the three levels of a signal, of which each writer uses one."""

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
_OTHER_SIGNALS: Final = (
    "resourceMetrics",
    "resource_metrics",
    "resourceProfiles",
    "resource_profiles",
)
_REQUEST: Final = frozenset((*_SPANS.resources, *_LOGS.resources, *_OTHER_SIGNALS))
_SCOPE: Final = ("scope", "instrumentationLibrary", "instrumentation_library")
_WRAPPERS: Final = ("result", "trace")

_Record = tuple[Mapping[str, Any], Attributes, str | None]


class BadRecordError(ValueError):
    """Raised for a span or log record that cannot be used; the message says why."""


def read_document(document: Any, source: str, writer: TableWriter) -> bool:
    """Read the spans and log records of a line or document; return False where it is no OTLP."""
    request = _request(document)
    if request is None:
        return False
    add_problem = partial(writer.add_problem, source)
    for record, resource, scope in _records(request, _SPANS, add_problem):
        try:
            span = _span(record, resource, scope, add_problem)
        except BadRecordError as error:
            add_problem(str(error))
        except WRONG_SHAPE:
            add_problem("a span is not shaped as OTLP JSON says")
        else:
            writer.add_span(span)
    for record, _, _ in _records(request, _LOGS, add_problem):
        try:
            _log(record, writer, add_problem)
        except WRONG_SHAPE:
            add_problem("a log record is not shaped as OTLP JSON says")
    return True


def _request(document: Any) -> Mapping[str, Any] | None:
    """Return the object that holds the resources; a scope or span by itself is wrapped into one."""
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


def _records(
    request: Mapping[str, Any], signal: _Signal, add_problem: AddProblem
) -> Iterator[_Record]:
    for resource in _objects(request, signal.resources, add_problem):
        description = resource.get("resource")
        pairs = description.get("attributes") if isinstance(description, dict) else None
        attributes = attributes_of(pairs, add_problem)
        for scope in _objects(resource, signal.scopes, add_problem):
            name = _scope_name(scope, add_problem)
            for record in _objects(scope, signal.records, add_problem):
                yield record, attributes, name


def _objects(
    parent: Mapping[str, Any], keys: tuple[str, ...], add_problem: AddProblem
) -> Iterator[Any]:
    """Yield the objects in a list of OTLP, under whichever of its names."""
    for key in keys:
        elements = parent.get(key)
        if elements is None:
            continue
        if not isinstance(elements, list):
            add_problem(f"{key} is no list")
            continue
        for element in elements:
            if isinstance(element, dict):
                yield element
            else:
                add_problem(f"an element of {key} is no object")


def _scope_name(scope: Mapping[str, Any], add_problem: AddProblem) -> str | None:
    scope_fields: Any = next((scope[key] for key in _SCOPE if isinstance(scope.get(key), dict)), {})
    return _text(scope_fields.get("name"), "the name of a scope", add_problem)


def _span(
    record: Mapping[str, Any], resource: Attributes, scope: str | None, add_problem: AddProblem
) -> Span:
    record = _in_camel_case(record, "traceId")
    trace, span = trace_id(record.get("traceId")), span_id(record.get("spanId"))
    if trace is None or span is None:
        raise BadRecordError(BAD_IDS)
    start_ns = _nanoseconds(record.get("startTimeUnixNano"))
    end_ns = _time(record.get("endTimeUnixNano"), "a span's end", add_problem)
    events, links = record.get("events"), record.get("links")
    return Span(
        trace_id=trace,
        span_id=span,
        parent_span_id=span_id(record.get("parentSpanId")),
        name=_text(record.get("name"), "a span's name", add_problem) or "",
        scope=scope,
        service=resource.get(_SERVICE),
        start_ns=start_ns,
        duration_ns=max(0, end_ns - start_ns) if end_ns else 0,
        status=_status(record.get("status")),
        tracestate=_text(record.get("traceState"), "a span's tracestate", add_problem) or None,
        attributes=attributes_of(record.get("attributes"), add_problem),
        resource=resource,
        events=[*_events(record, add_problem)] if events else (),
        links=[*_links(record, add_problem)] if links else (),
    )


def _in_camel_case(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a record with camelCase names; as it is if it has `key`, a camelCase name already."""
    if key in record:
        return record
    return {camel_name(name): value for name, value in record.items()}


def _text(value: Any, field: str, add_problem: AddProblem) -> str | None:
    if value is None or type(value) is str:
        return value
    add_problem(f"{field} is no text")
    return None


def _nanoseconds(text: Any) -> int:
    try:
        value = int(text)
    except WRONG_SHAPE:
        raise BadRecordError("a span's time is no number") from None
    if not 0 <= value < LATEST_NS:
        raise BadRecordError("a span's time is out of range")
    return value


def _time(text: Any, field: str, add_problem: AddProblem) -> int | None:
    """Return a time that a record can do without; None where it has none."""
    if not text:
        return None
    try:
        return _nanoseconds(text)
    except BadRecordError:
        add_problem(f"{field} is no time")
        return None


def _status(status: Any) -> str:
    code = status.get("code") if isinstance(status, dict) else None
    return _STATUS.get(code, "unset") if isinstance(code, int | str) else "unset"


def _events(record: Mapping[str, Any], add_problem: AddProblem) -> Iterator[Event]:
    for fields in _objects(record, ("events",), add_problem):
        event = _in_camel_case(fields, "timeUnixNano")
        name = event.get("name")
        if name is not None and type(name) is not str:
            add_problem("an event's name is no text")
            continue
        yield Event(
            name=name or "",
            time_ns=_time(event.get("timeUnixNano"), "an event's time", add_problem),
            attributes=attributes_of(event.get("attributes"), add_problem),
        )


def _links(record: Mapping[str, Any], add_problem: AddProblem) -> Iterator[Link]:
    for fields in _objects(record, ("links",), add_problem):
        link = _in_camel_case(fields, "traceId")
        trace, span = trace_id(link.get("traceId")), span_id(link.get("spanId"))
        if trace and span:
            yield Link(trace, span, attributes_of(link.get("attributes"), add_problem))


def _log(record: Mapping[str, Any], writer: TableWriter, add_problem: AddProblem) -> None:
    record = _in_camel_case(record, "traceId")
    trace_text = record.get("traceId")
    if not trace_text:
        return  # a log outside of any trace
    trace = trace_id(trace_text)
    if trace is None:
        add_problem("a log record's trace id is neither 32 hex digits nor base64")
        return
    attributes = attributes_of(record.get("attributes"), add_problem)
    time = record.get("timeUnixNano") or record.get("observedTimeUnixNano")
    name = _text(record.get("eventName"), "a log record's event name", add_problem)
    event = Event(
        name=name or attributes.get(_EVENT_NAME, ""),
        time_ns=_time(time, "a log record's time", add_problem),
        attributes=attributes,
    )
    for evaluation in evaluations_of_event(event, trace, span_id(record.get("spanId"))):
        writer.add_evaluation(evaluation)
