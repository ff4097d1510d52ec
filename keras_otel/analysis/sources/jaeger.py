"""Jaeger's JSON: a download from its page, or what `/api/traces` answers.

`{"data": [{"traceID", "spans": [...], "processes"}]}`; times are microseconds, tags are typed, large
integers are text, the tracestate is the tag `w3c.tracestate`, and an event's name is its field `event`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from keras_otel.analysis.sources.intake import Intake
from keras_otel.analysis.sources.otlp import WRONG_SHAPE
from keras_otel.analysis.sources.telemetry import Event, Link, Span
from keras_otel.analysis.sources.text import number_text, span_id, trace_id, value_text

_NS_PER_US: Final = 1000
_TRACESTATE: Final = "w3c.tracestate"
_STATUS: Final = "otel.status_code"
_SCOPE: Final = ("otel.scope.name", "otel.library.name")
# Tags that Jaeger makes of a span's own fields.
_FIELDS: Final = frozenset(
    {
        _TRACESTATE,
        _STATUS,
        *_SCOPE,
        "error",
        "internal.span.format",
        "otel.scope.version",
        "otel.library.version",
        "otel.status_description",
        "span.kind",
    }
)


def read_document(document: Any, source: str, intake: Intake) -> bool:
    """Take what one document holds; False where it is not Jaeger's."""
    traces = document.get("data") if isinstance(document, dict) else None
    if not isinstance(traces, list) or (traces and not any(map(_is_trace, traces))):
        return False
    for trace in traces:
        if _is_trace(trace):
            read_trace(trace, source, intake)
        else:
            intake.problem(source, "a trace is not shaped as Jaeger writes it")
    return True


def _is_trace(trace: Any) -> bool:
    return isinstance(trace, dict) and isinstance(trace.get("spans"), list)


def read_trace(trace: Mapping[str, Any], source: str, intake: Intake) -> None:
    """Take one trace."""
    processes = trace.get("processes") or {}
    for record in trace["spans"] or ():
        try:
            span = _span(record, processes)
        except WRONG_SHAPE:
            intake.problem(source, "a span is not shaped as Jaeger writes it")
            continue
        if span is None:
            intake.problem(source, "a span's ids are not hex digits")
        else:
            intake.span(span)


def _span(record: Mapping[str, Any], processes: Mapping[str, Any]) -> Span | None:
    trace, own = trace_id(record["traceID"]), span_id(record["spanID"])
    if trace is None or own is None:
        return None
    tags = _tags(record.get("tags"))
    process = record.get("process") or processes.get(record.get("processID", "")) or {}
    service = process.get("serviceName")
    references = record.get("references") or ()
    parent = _parent(references, trace)
    return Span(
        trace_id=trace,
        span_id=own,
        parent_span_id=span_id(parent.get("spanID")) if parent else None,
        name=record.get("operationName") or "",
        scope=next((tags[key] for key in _SCOPE if key in tags), None),
        service=service,
        start_ns=int(record["startTime"]) * _NS_PER_US,
        duration_ns=int(record["duration"]) * _NS_PER_US,
        status=_status(tags),
        tracestate=tags.get(_TRACESTATE),
        attributes={key: text for key, text in tags.items() if key not in _FIELDS},
        resource={"service.name": service or "", **_tags(process.get("tags"))},
        events=[_event(log) for log in record.get("logs") or ()],
        links=_links(references, parent),
    )


def _status(tags: Mapping[str, str]) -> str:
    if tags.get("error") == "true":
        return "error"
    return tags.get(_STATUS, "unset").lower()


def _parent(references: Sequence[Mapping[str, Any]], trace: str) -> Mapping[str, Any] | None:
    for reference in references:
        is_child = reference.get("refType") == "CHILD_OF"
        if is_child and trace_id(reference.get("traceID")) == trace:
            return reference
    return None


def _links(references: Sequence[Mapping[str, Any]], parent: Mapping[str, Any] | None) -> list[Link]:
    """All references but the parent's; Jaeger's JSON keeps no attributes of a link."""
    links = []
    for reference in references:
        other, own = trace_id(reference.get("traceID")), span_id(reference.get("spanID"))
        if other and own and reference is not parent:
            links.append(Link(other, own, {}))
    return links


def _event(log: Mapping[str, Any]) -> Event:
    fields = _tags(log.get("fields"))
    name = fields.pop("event", "")
    return Event(name=name, time_ns=int(log["timestamp"]) * _NS_PER_US, attributes=fields)


def _tags(tags: Any) -> dict[str, str]:
    found = {}
    for tag in tags or ():
        value = tag.get("value")
        match tag.get("type"):
            case "float64":
                found[tag["key"]] = number_text(float(value))
            case "bool":
                found[tag["key"]] = value_text(value).lower()
            case _:
                found[tag["key"]] = value_text(value)
    return found
