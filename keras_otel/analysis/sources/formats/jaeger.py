"""Jaeger's JSON: a download from its page, what `/api/traces` answers, or its documents in Elasticsearch.

`{"data": [{"traceID", "spans": [...], "processes"}]}`, or a trace or a list of them without `data`; times are
microseconds, tags are typed, large integers are text, the tracestate is the tag `w3c.tracestate`, and an
event's name is its field `event`. In Elasticsearch each span is a document with its process inside, and
tags may be fields whose dots are `@`. A malformed tag or log is left out and counted, and its span is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from keras_otel.analysis.sources.tables.normalise import number_text, span_id, trace_id, value_text
from keras_otel.analysis.sources.tables.telemetry import LATEST_NS, WRONG_SHAPE, Event, Link, Span
from keras_otel.analysis.sources.tables.writer import TableWriter

AddProblem = Callable[[str], None]
"""Called with a clause on something that could not be read."""

_NS_PER_US: Final = 1000
_TRACESTATE: Final = "w3c.tracestate"
_STATUS: Final = "otel.status_code"
_SCOPE: Final = ("otel.scope.name", "otel.library.name")
# Tags into which Jaeger converts fields of a span: they are no attributes.
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
"""What Jaeger writes instead of a dot in the names of Elasticsearch's fields."""
_MALFORMED: Final = "a {} is not shaped as Jaeger writes it"


def read_document(document: Any, source: str, writer: TableWriter) -> bool:
    """Read the traces of a document; return False where it is not Jaeger's."""
    if not isinstance(document, dict):
        return False
    traces = document.get("data")
    if isinstance(traces, list):
        if traces and not any(map(_is_trace, traces)):
            return False
        for trace in traces:
            if _is_trace(trace):
                read_trace(trace, source, writer)
            else:
                writer.add_problem(source, _MALFORMED.format("trace"))
        return True
    if _is_trace(document):
        read_trace(document, source, writer)
        return True
    if document.keys() >= _SPAN_KEYS:
        read_trace({"spans": [document]}, source, writer)
        return True
    return False


def _is_trace(trace: Any) -> bool:
    return isinstance(trace, dict) and isinstance(trace.get("spans"), list)


def read_trace(trace: Mapping[str, Any], source: str, writer: TableWriter) -> None:
    """Read one trace."""
    add_problem = partial(writer.add_problem, source)
    processes = trace.get("processes")
    if not isinstance(processes, dict):
        processes = {}
    for record in trace["spans"]:
        try:
            span = _span(record, processes, add_problem)
        except WRONG_SHAPE:
            add_problem(_MALFORMED.format("span"))
            continue
        if span is None:
            add_problem("a span's ids are not hex digits")
        else:
            writer.add_span(span)


def _span(
    record: Mapping[str, Any], processes: Mapping[str, Any], add_problem: AddProblem
) -> Span | None:
    trace, span = trace_id(record["traceID"]), span_id(record["spanID"])
    if trace is None or span is None:
        return None
    tags = _tags(record, add_problem)
    process = record.get("process") or processes.get(record.get("processID", "")) or {}
    if not isinstance(process, dict):
        add_problem(_MALFORMED.format("process"))
        process = {}
    service = _text(process.get("serviceName"), "service's name", add_problem)
    references = [*_objects(record.get("references"), "reference", add_problem)]
    parent = _parent(references, trace)
    parent_id = parent.get("spanID") if parent else record.get("parentSpanID")
    return Span(
        trace_id=trace,
        span_id=span,
        parent_span_id=span_id(parent_id),
        name=_text(record.get("operationName"), "span's name", add_problem) or "",
        scope=next((tags[key] for key in _SCOPE if key in tags), None),
        service=service,
        start_ns=_nanoseconds(record["startTime"]),
        duration_ns=_nanoseconds(record["duration"]),
        status=_status(tags),
        tracestate=tags.get(_TRACESTATE),
        attributes={key: text for key, text in tags.items() if key not in _FIELDS},
        resource={"service.name": service or "", **_tags(process, add_problem)},
        events=[*_events(record.get("logs"), add_problem)],
        links=_links(references, parent),
    )


def _objects(
    elements: Any, element_name: str, add_problem: AddProblem
) -> Iterator[Mapping[str, Any]]:
    if elements is not None and not isinstance(elements, list):
        add_problem(f"the list of each {element_name} is none")
        return
    for element in elements or ():
        if isinstance(element, dict):
            yield element
        else:
            add_problem(_MALFORMED.format(element_name))


def _text(value: Any, field: str, add_problem: AddProblem) -> str | None:
    if value is None or isinstance(value, str):
        return value
    add_problem(f"a {field} is no text")
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
    """Return all references but the parent as links; Jaeger's JSON keeps no attributes of a link."""
    links = []
    for reference in references:
        trace, span = trace_id(reference.get("traceID")), span_id(reference.get("spanID"))
        if trace and span and reference is not parent:
            links.append(Link(trace, span, {}))
    return links


def _events(logs: Any, add_problem: AddProblem) -> Iterator[Event]:
    for log in _objects(logs, "log", add_problem):
        fields = _list_of_tags(log.get("fields"), add_problem)
        name = fields.pop("event", "")
        try:
            time_ns = _nanoseconds(log["timestamp"])
        except WRONG_SHAPE:
            add_problem("a log's time is out of range or no number")
            time_ns = None
        yield Event(name=name, time_ns=time_ns, attributes=fields)


def _tags(owner: Mapping[str, Any], add_problem: AddProblem) -> dict[str, str]:
    """Return the tags of a span or process: a list, and in Elasticsearch also fields."""
    tags = _list_of_tags(owner.get("tags"), add_problem)
    fields = owner.get("tag")
    if isinstance(fields, dict):
        typed = [
            {"key": key.replace(_DOT, "."), "value": value}
            for key, value in fields.items()
            if value is not None
        ]
        tags |= _list_of_tags(typed, add_problem)
    return tags


def _list_of_tags(tags: Any, add_problem: AddProblem) -> dict[str, str]:
    texts: dict[str, str] = {}
    for tag in _objects(tags, "tag", add_problem):
        key, value = tag.get("key"), tag.get("value")
        if not isinstance(key, str):
            add_problem("a tag's key is no text")
            continue
        try:
            match tag.get("type"):
                case "float64":
                    texts[key] = number_text(float(value))  # type: ignore[arg-type]
                case "bool":
                    texts[key] = value_text(value).lower()
                case _:
                    texts[key] = value_text(value)
        except WRONG_SHAPE:
            add_problem("a tag's value is not of the type that it says")
    return texts
