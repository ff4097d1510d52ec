"""Telemetry as a receiver got it: OTLP protobuf or OTLP JSON lines, decoded into plain records.

Both forms go through the same protobuf classes, which refuse unknown fields, so that the value
types (string, int, double, boolean, arrays) are those on the wire.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Typed = tuple[str, Any]
"""A value with the name of its OTLP type, such as `("double", 0.7)`."""

REQUESTS: Mapping[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_SIGNAL_OF = {"resourceSpans": "traces", "resourceMetrics": "metrics", "resourceLogs": "logs"}
_TYPES = {
    "string_value": "string",
    "int_value": "int",
    "double_value": "double",
    "bool_value": "boolean",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event on a span."""

    name: str
    attributes: dict[str, Typed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span as it arrived."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    status: int
    message: str
    attributes: dict[str, Typed]
    events: tuple[Event, ...]
    scope: str
    resource: dict[str, Typed]

    def value(self, key: str) -> Any:
        """The value of one attribute, without its type; None where it is absent."""
        return self.attributes.get(key, ("", None))[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log record as it arrived."""

    event_name: str
    severity: int
    body: Typed
    trace_id: str
    span_id: str
    attributes: dict[str, Typed]
    resource: dict[str, Typed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One data point of a metric as it arrived."""

    metric: str
    kind: str
    unit: str
    temporality: int
    attributes: dict[str, Typed]
    value: Typed | None = None
    count: int = 0
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    exemplar_traces: frozenset[str] = frozenset()
    resource: dict[str, Typed] = field(default_factory=dict)


@dataclass(slots=True)
class Telemetry:
    """Everything that arrived, in the order of arrival."""

    spans: list[Span] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    def add(self, signal: str, request: Any) -> None:
        """Decode one export request of `traces`, `metrics` or `logs`."""
        if signal == "traces":
            self.spans.extend(_spans(request))
        elif signal == "metrics":
            self.points.extend(_points(request))
        else:
            self.logs.extend(_logs(request))

    def keras_spans(self) -> list[Span]:
        """The spans that keras_otel made, by start time."""
        ours = (span for span in self.spans if span.scope == "keras_otel")
        return sorted(ours, key=lambda span: span.start_ns)

    def last_points(self, metric: str) -> list[Point]:
        """The newest point of each series of a metric."""
        series = {
            (tuple(sorted(map(repr, point.attributes.items()))), repr(point.resource)): point
            for point in self.points
            if point.metric == metric
        }
        return list(series.values())


def from_protobuf(signal: str, payload: bytes) -> Any:
    """One export request from its protobuf bytes."""
    return REQUESTS[signal].FromString(payload)


def read_json_lines(path: Path) -> Telemetry:
    """Everything in a file of OTLP JSON lines."""
    telemetry = Telemetry()
    for line in path.read_text(encoding="utf-8").splitlines():
        content = json.loads(line)
        (key,) = content
        signal = _SIGNAL_OF[key]
        telemetry.add(signal, ParseDict(_with_base64_ids(content), REQUESTS[signal]()))
    return telemetry


def _with_base64_ids(content: Any) -> Any:
    # OTLP JSON writes ids in hexadecimal, where protobuf's own JSON form has base64.
    if isinstance(content, list):
        return [_with_base64_ids(part) for part in content]
    if not isinstance(content, dict):
        return content
    return {
        key: base64.b64encode(bytes.fromhex(part)).decode()
        if key in ("traceId", "spanId", "parentSpanId")
        else _with_base64_ids(part)
        for key, part in content.items()
    }


def _typed(value: Any) -> Typed:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        parts = [_typed(part) for part in value.array_value.values]
        kinds = "|".join(sorted({kind for kind, _ in parts}))
        return f"{kinds}[]", [part for _, part in parts]
    if kind == "kvlist_value":
        return "map", {part.key: _typed(part.value) for part in value.kvlist_value.values}
    if kind is None:
        return "empty", None
    return _TYPES[kind], getattr(value, kind)


def _attributes(pairs: Iterable[Any]) -> dict[str, Typed]:
    return {pair.key: _typed(pair.value) for pair in pairs}


def _spans(request: Any) -> Iterator[Span]:
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    kind=span.kind,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    status=span.status.code,
                    message=span.status.message,
                    attributes=_attributes(span.attributes),
                    events=tuple(
                        Event(name=event.name, attributes=_attributes(event.attributes))
                        for event in span.events
                    ),
                    scope=scope.scope.name,
                    resource=resource,
                )


def _logs(request: Any) -> Iterator[Log]:
    for group in request.resource_logs:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_logs:
            for record in scope.log_records:
                yield Log(
                    event_name=record.event_name,
                    severity=record.severity_number,
                    body=_typed(record.body),
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    attributes=_attributes(record.attributes),
                    resource=resource,
                )


def _points(request: Any) -> Iterator[Point]:
    for group in request.resource_metrics:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                for point in _points_of(metric):
                    yield Point(metric=metric.name, unit=metric.unit, resource=resource, **point)


def _points_of(metric: Any) -> Iterator[dict[str, Any]]:
    kind = metric.WhichOneof("data")
    series = getattr(metric, kind)
    for point in series.data_points:
        shared = {
            "kind": kind,
            "temporality": getattr(series, "aggregation_temporality", 0),
            "attributes": _attributes(point.attributes),
            "exemplar_traces": frozenset(e.trace_id.hex() for e in point.exemplars),
        }
        if kind == "exponential_histogram":
            yield {**shared, "count": point.count}
        elif kind == "histogram":
            yield {
                **shared,
                "count": point.count,
                "bounds": tuple(point.explicit_bounds),
                "buckets": tuple(point.bucket_counts),
            }
        else:
            number = point.WhichOneof("value")
            yield {**shared, "value": (number.removeprefix("as_"), getattr(point, number))}
