"""Jaeger's JSON: a download from its page, what `/api/traces` answers, or its documents in Elasticsearch.

`{"data": [{"traceID", "spans": [...], "processes"}]}`, or a trace or a list of them without `data`; times are
microseconds, tags are typed, large integers are text, the tracestate is the tag `w3c.tracestate`, and an
event's name is its field `event`. In Elasticsearch each span is a document with its process inside, and
tags may be fields whose dots are `@`. An odd tag or log is left out and counted, and only that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from keras_otel.analysis.sources.tables.normalise import number_text, span_id, trace_id, value_text
from keras_otel.analysis.sources.tables.telemetry import LATEST_NS, WRONG_SHAPE, Event, Link, Span
from keras_otel.analysis.sources.tables.writer import Intake

Note = Callable[[str], None]
"""Counts something that could not be read."""

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
_SPAN_KEYS: Final = frozenset({"traceID", "spanID", "operationName"})
_DOT: Final = "@"
"""What Jaeger writes for a dot in the name of a field of Elasticsearch."""
_ODD: Final = "a {} is not shaped as Jaeger writes it"


def read_document(document: Any, source: str, intake: Intake) -> bool:
    """Take what one document holds; False where it is not Jaeger's."""
    if not isinstance(document, dict):
        return False
    traces = document.get("data")
    if isinstance(traces, list):
        if traces and not any(map(_is_trace, traces)):
            return False
        for trace in traces:
            if _is_trace(trace):
                read_trace(trace, source, intake)
            else:
                intake.problem(source, _ODD.format("trace"))
        return True
    if _is_trace(document):
        read_trace(document, source, intake)
        return True
    if document.keys() >= _SPAN_KEYS:
        read_trace({"spans": [document]}, source, intake)
        return True
    return False


def _is_trace(trace: Any) -> bool:
    return isinstance(trace, dict) and isinstance(trace.get("spans"), list)


def read_trace(trace: Mapping[str, Any], source: str, intake: Intake) -> None:
    """Take one trace."""
    note = partial(intake.problem, source)
    given = trace.get("processes")
    processes = given if isinstance(given, dict) else {}
    for record in trace["spans"]:
        try:
            span = _span(record, processes, note)
        except WRONG_SHAPE:
            note(_ODD.format("span"))
            continue
        if span is None:
            note("a span's ids are not hex digits")
        else:
            intake.span(span)


def _span(record: Mapping[str, Any], processes: Mapping[str, Any], note: Note) -> Span | None:
    trace, own = trace_id(record["traceID"]), span_id(record["spanID"])
    if trace is None or own is None:
        return None
    tags = _tags(record, note)
    process = record.get("process") or processes.get(record.get("processID", "")) or {}
    if not isinstance(process, dict):
        note(_ODD.format("process"))
        process = {}
    service = _text(process.get("serviceName"), "service's name", note)
    references = [*_objects(record.get("references"), "reference", note)]
    parent = _parent(references, trace)
    parent_id = parent.get("spanID") if parent else record.get("parentSpanID")
    return Span(
        trace_id=trace,
        span_id=own,
        parent_span_id=span_id(parent_id),
        name=_text(record.get("operationName"), "span's name", note) or "",
        scope=next((tags[key] for key in _SCOPE if key in tags), None),
        service=service,
        start_ns=_nanoseconds(record["startTime"]),
        duration_ns=_nanoseconds(record["duration"]),
        status=_status(tags),
        tracestate=tags.get(_TRACESTATE),
        attributes={key: text for key, text in tags.items() if key not in _FIELDS},
        resource={"service.name": service or "", **_tags(process, note)},
        events=[*_events(record.get("logs"), note)],
        links=_links(references, parent),
    )


def _objects(listed: Any, what: str, note: Note) -> Iterator[Mapping[str, Any]]:
    if listed is not None and not isinstance(listed, list):
        note(f"the list of each {what} is none")
        return
    for each in listed or ():
        if isinstance(each, dict):
            yield each
        else:
            note(_ODD.format(what))


def _text(value: Any, what: str, note: Note) -> str | None:
    if value is None or isinstance(value, str):
        return value
    note(f"a {what} is no text")
    return None


def _nanoseconds(microseconds: Any) -> int:
    value = int(microseconds) * _NS_PER_US
    if not 0 <= value < LATEST_NS:
        raise ValueError(microseconds)
    return value


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


def _events(logs: Any, note: Note) -> Iterator[Event]:
    for log in _objects(logs, "log", note):
        fields = _list_of_tags(log.get("fields"), note)
        name = fields.pop("event", "")
        try:
            time_ns = _nanoseconds(log["timestamp"])
        except WRONG_SHAPE:
            note("a log's time is out of range or no number")
            time_ns = None
        yield Event(name=name, time_ns=time_ns, attributes=fields)


def _tags(described: Mapping[str, Any], note: Note) -> dict[str, str]:
    """The tags of a span or process: a list, and in Elasticsearch also fields."""
    tags = _list_of_tags(described.get("tags"), note)
    fields = described.get("tag")
    if isinstance(fields, dict):
        typed = [
            {"key": key.replace(_DOT, "."), "value": value}
            for key, value in fields.items()
            if value is not None
        ]
        tags |= _list_of_tags(typed, note)
    return tags


def _list_of_tags(tags: Any, note: Note) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag in _objects(tags, "tag", note):
        key, value = tag.get("key"), tag.get("value")
        if not isinstance(key, str):
            note("a tag's key is no text")
            continue
        try:
            match tag.get("type"):
                case "float64":
                    found[key] = number_text(float(value))  # type: ignore[arg-type]
                case "bool":
                    found[key] = value_text(value).lower()
                case _:
                    found[key] = value_text(value)
        except WRONG_SHAPE:
            note("a tag's value is not of the type that it says")
    return found
