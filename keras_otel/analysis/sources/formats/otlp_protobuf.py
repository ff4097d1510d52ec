"""OTLP in protobuf: one request, or one after another, each preceded by its length.

As the Collector's `file` exporter writes it with `format: proto`. A message does not say whether it holds spans, log
records or metrics: all have the same fields on the outside. What is inside tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from keras_otel.analysis.sources.formats import length_prefixed
from keras_otel.analysis.sources.tables.evaluation_attributes import evaluations_of_event
from keras_otel.analysis.sources.tables.normalise import number_text, span_id, trace_id, value_text
from keras_otel.analysis.sources.tables.telemetry import LATEST_NS, Attributes, Event, Link, Span
from keras_otel.analysis.sources.tables.writer import TableWriter

_SERVICE: Final = "service.name"
_EVENT_NAME: Final = "event.name"
_STATUS: Final = {1: "ok", 2: "error"}
_UNKNOWN: Final = "a message is no OTLP"


def read_protobuf(path: Path, source: str, writer: TableWriter) -> None:
    """Read the requests of a file."""
    is_framed = length_prefixed.is_framed(path)
    for message in length_prefixed.messages(path) if is_framed else [path.read_bytes()]:
        if message is None:
            writer.add_problem(source, length_prefixed.DAMAGE)
        elif message and not _read_message(message, source, writer):
            writer.add_problem(source, _UNKNOWN)


def _read_message(message: bytes, source: str, writer: TableWriter) -> bool:
    traces = _parsed(TracesData, message)
    if traces is not None and any(_is_span(record) for record, _, _ in _spans(traces)):
        for record, resource, scope in _spans(traces):
            _add_span(record, resource, scope, source, writer)
        return True
    logs = _parsed(LogsData, message)
    if logs is not None and any(_is_log(record) for record in _logs(logs)):
        for record in _logs(logs):
            _add_log(record, writer)
        return True
    return traces is not None or logs is not None or _parsed(MetricsData, message) is not None


def _parsed(kind: Any, message: bytes) -> Any:
    try:
        return kind.FromString(message)
    except DecodeError:
        return None


def _spans(traces: Any) -> Iterator[tuple[Any, Attributes, str]]:
    for resource in traces.resource_spans:
        attributes = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for record in scope.spans:
                yield record, attributes, scope.scope.name


def _logs(logs: Any) -> Iterator[Any]:
    for resource in logs.resource_logs:
        for scope in resource.scope_logs:
            yield from scope.log_records


def _is_span(record: Any) -> bool:
    """Return True unless another signal's record was parsed as a span."""
    return len(record.trace_id) == 16 and len(record.span_id) == 8 and record.start_time_unix_nano


def _is_log(record: Any) -> bool:
    return bool(record.time_unix_nano or record.observed_time_unix_nano or record.event_name)


def _add_span(
    record: Any, resource: Attributes, scope: str, source: str, writer: TableWriter
) -> None:
    trace, span = trace_id(record.trace_id.hex()), span_id(record.span_id.hex())
    start_ns, end_ns = record.start_time_unix_nano, record.end_time_unix_nano
    if len(record.trace_id) != 16 or len(record.span_id) != 8 or trace is None or span is None:
        writer.add_problem(source, "a span's ids are not 16 bytes for the trace and 8 for the span")
    elif max(start_ns, end_ns) >= LATEST_NS:
        writer.add_problem(source, "a span's time is out of range")
    else:
        writer.add_span(
            Span(
                trace_id=trace,
                span_id=span,
                parent_span_id=span_id(record.parent_span_id.hex()),
                name=record.name,
                scope=scope or None,
                service=resource.get(_SERVICE),
                start_ns=start_ns,
                duration_ns=max(0, end_ns - start_ns) if end_ns else 0,
                status=_STATUS.get(record.status.code, "unset"),
                tracestate=record.trace_state or None,
                attributes=_attributes(record.attributes),
                resource=resource,
                events=[_event(event.name, event) for event in record.events],
                links=[*_links(record.links)],
            )
        )


def _event(name: str, record: Any) -> Event:
    time = record.time_unix_nano
    return Event(
        name=name,
        time_ns=time if 0 < time < LATEST_NS else None,
        attributes=_attributes(record.attributes),
    )


def _links(links: Any) -> Iterator[Link]:
    for link in links:
        trace, span = trace_id(link.trace_id.hex()), span_id(link.span_id.hex())
        if trace and span:
            yield Link(trace, span, _attributes(link.attributes))


def _add_log(record: Any, writer: TableWriter) -> None:
    trace = trace_id(record.trace_id.hex())
    if trace is None:
        return  # a log outside of any trace
    event = _event(record.event_name, record)
    event = event._replace(
        name=event.name or event.attributes.get(_EVENT_NAME, ""),
        time_ns=event.time_ns or record.observed_time_unix_nano or None,
    )
    for evaluation in evaluations_of_event(event, trace, span_id(record.span_id.hex())):
        writer.add_evaluation(evaluation)


def _attributes(pairs: Any) -> Mapping[str, str]:
    attributes = {}
    for pair in pairs:
        value = pair.value
        match value.WhichOneof("value"):
            case "string_value":
                attributes[pair.key] = value.string_value
            case "double_value":
                attributes[pair.key] = number_text(value.double_value)
            case None | "bytes_value":
                pass
            case _:
                attributes[pair.key] = value_text(_plain(value))
    return attributes


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    match kind:
        case None:
            return None
        case "array_value":
            return [_plain(inner) for inner in value.array_value.values]
        case "kvlist_value":
            return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
        case "bytes_value":
            return value.bytes_value.hex()
        case _:
            return getattr(value, kind)
