"""OTLP JSON: one `{"resourceSpans": [...]}` or `{"resourceLogs": [...]}` a line, in any order.

As the Collector's `file` exporter and `opentelemetry-exporter-otlp-json-file` write it, and Jaeger's
`/api/v3/traces` under `result`. Ids are hex, 64-bit integers are text, unknown keys are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from keras_otel.analysis.sources.evaluations import of_event
from keras_otel.analysis.sources.intake import Intake
from keras_otel.analysis.sources.telemetry import Attributes, Event, Link, Span
from keras_otel.analysis.sources.text import number_text, span_id, trace_id, value_text

SPANS_KEY: Final = "resourceSpans"
LOGS_KEY: Final = "resourceLogs"
METRICS_KEY: Final = "resourceMetrics"
KEYS: Final = frozenset((SPANS_KEY, LOGS_KEY, METRICS_KEY))

_LATEST_NS: Final = 2**63
_STATUS: Final = {1: "ok", 2: "error", "STATUS_CODE_OK": "ok", "STATUS_CODE_ERROR": "error"}
_SERVICE: Final = "service.name"
_EVENT_NAME: Final = "event.name"

# What a wrong shape raises when it is read as if it were right.
WRONG_SHAPE: Final = (AttributeError, KeyError, TypeError, ValueError)

_Record = tuple[Mapping[str, Any], Attributes, str | None]


class BadRecordError(ValueError):
    """A span or log record that cannot be used; the message says why."""


def read_document(document: Any, source: str, intake: Intake) -> bool:
    """Take what one line, or one whole document, holds; False where it is no OTLP."""
    if isinstance(document, dict) and isinstance(document.get("result"), dict):
        document = document["result"]
    if not isinstance(document, dict) or KEYS.isdisjoint(document):
        return False
    for record, resource, scope in _records(document.get(SPANS_KEY), "scopeSpans", "spans"):
        try:
            intake.span(_span(record, resource, scope))
        except BadRecordError as error:
            intake.problem(source, str(error))
        except WRONG_SHAPE:
            intake.problem(source, "a span is not shaped as OTLP JSON says")
    for record, _, _ in _records(document.get(LOGS_KEY), "scopeLogs", "logRecords"):
        try:
            _log(record, intake)
        except WRONG_SHAPE:
            intake.problem(source, "a log record is not shaped as OTLP JSON says")
    return True


def _records(resources: Any, scopes_key: str, records_key: str) -> Iterator[_Record]:
    for resource in resources or ():
        attributes = _attributes((resource.get("resource") or {}).get("attributes"))
        for scope in resource.get(scopes_key) or ():
            name = (scope.get("scope") or {}).get("name")
            for record in scope.get(records_key) or ():
                yield record, attributes, name


def _span(record: Mapping[str, Any], resource: Attributes, scope: str | None) -> Span:
    trace, own = _ids(record)
    start_ns = _nanoseconds(record["startTimeUnixNano"])
    events, links = record.get("events"), record.get("links")
    return Span(
        trace_id=trace,
        span_id=own,
        parent_span_id=span_id(record.get("parentSpanId")),
        name=record.get("name") or "",
        scope=scope,
        service=resource.get(_SERVICE),
        start_ns=start_ns,
        duration_ns=max(0, _nanoseconds(record.get("endTimeUnixNano") or start_ns) - start_ns),
        status=_STATUS.get((record.get("status") or {}).get("code"), "unset"),
        tracestate=record.get("traceState") or None,
        attributes=_attributes(record.get("attributes")),
        resource=resource,
        events=[_event(event) for event in events] if events else (),
        links=[*_links(links)] if links else (),
    )


def _ids(record: Mapping[str, Any]) -> tuple[str, str]:
    trace, own = trace_id(record.get("traceId")), span_id(record.get("spanId"))
    if trace is None or own is None:
        raise BadRecordError("a span's ids are not hex digits (32 for the trace, 16 for the span)")
    return trace, own


def _nanoseconds(text: Any) -> int:
    value = int(text)
    if not 0 <= value < _LATEST_NS:
        raise BadRecordError("a span's time is out of range")
    return value


def _event(event: Mapping[str, Any]) -> Event:
    time = event.get("timeUnixNano")
    return Event(
        name=event.get("name") or "",
        time_ns=_nanoseconds(time) if time else None,
        attributes=_attributes(event.get("attributes")),
    )


def _links(links: Any) -> Iterator[Link]:
    for link in links:
        trace, own = trace_id(link.get("traceId")), span_id(link.get("spanId"))
        if trace and own:
            yield Link(trace, own, _attributes(link.get("attributes")))


def _log(record: Mapping[str, Any], intake: Intake) -> None:
    trace = trace_id(record.get("traceId"))
    if trace is None:
        return  # a log outside of any trace
    attributes = _attributes(record.get("attributes"))
    time = record.get("timeUnixNano") or record.get("observedTimeUnixNano")
    event = Event(
        name=record.get("eventName") or attributes.get(_EVENT_NAME, ""),
        time_ns=_nanoseconds(time) if time else None,
        attributes=attributes,
    )
    for evaluation in of_event(event, trace, span_id(record.get("spanId"))):
        intake.evaluation(evaluation)


def _attributes(pairs: Any) -> dict[str, str]:
    """OTLP's list of keys and typed values, as text; empty values are left out."""
    found = {}
    for pair in pairs or ():
        for kind, value in (pair.get("value") or {}).items():
            if kind == "stringValue":
                found[pair["key"]] = value
            elif kind == "boolValue":
                found[pair["key"]] = "true" if value else "false"
            elif kind == "intValue":
                found[pair["key"]] = str(int(value))
            elif kind == "doubleValue":
                found[pair["key"]] = number_text(float(value))
            elif kind in ("arrayValue", "kvlistValue"):
                found[pair["key"]] = value_text(_nested(kind, value))
    return found


def _nested(kind: str, value: Any) -> Any:
    """The plain value behind a typed one."""
    match kind:
        case "arrayValue":
            return [_nested(k, v) for each in value.get("values") or () for k, v in each.items()]
        case "kvlistValue":
            return {
                pair["key"]: _nested(k, v)
                for pair in value.get("values") or ()
                for k, v in (pair.get("value") or {}).items()
            }
        case "intValue":
            return int(value)
        case "doubleValue":
            return float(value)
        case _:
            return value
