"""OTLP JSON lines as the Collector's ClickHouse exporter stores them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chdb.session import Session

from keras_otel.analysis.sources.tables.normalise import value_text

# The exporter's own statements, without codecs, indexes and time to live.
_TRACES = """
CREATE TABLE otel.otel_traces (
    Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, TraceState String,
    SpanName LowCardinality(String), SpanKind LowCardinality(String),
    ServiceName LowCardinality(String), ResourceAttributes Map(LowCardinality(String), String),
    ScopeName String, ScopeVersion String, SpanAttributes Map(LowCardinality(String), String),
    Duration UInt64, StatusCode LowCardinality(String), StatusMessage String,
    Events Nested (Timestamp DateTime64(9), Name LowCardinality(String),
                   Attributes Map(LowCardinality(String), String)),
    Links Nested (TraceId String, SpanId String, TraceState String,
                  Attributes Map(LowCardinality(String), String))
) ENGINE = MergeTree ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
"""
_LOGS = """
CREATE TABLE otel.otel_logs (
    Timestamp DateTime64(9), TraceId String, SpanId String, ServiceName LowCardinality(String),
    Body String, ResourceAttributes Map(LowCardinality(String), String), ScopeName String,
    LogAttributes Map(LowCardinality(String), String), EventName String
) ENGINE = MergeTree ORDER BY (ServiceName, Timestamp)
"""


def fill(session: Session, path: Path) -> None:
    """Create the two tables and store what the file holds."""
    session.query("CREATE DATABASE otel")
    session.query(_TRACES)
    session.query(_LOGS)
    spans, logs = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        document = json.loads(line)
        for resource in document.get("resourceSpans", ()):
            for scope in resource["scopeSpans"]:
                spans += [_span(span, resource, scope) for span in scope["spans"]]
        for resource in document.get("resourceLogs", ()):
            for scope in resource["scopeLogs"]:
                logs += [_log(record, resource) for record in scope["logRecords"]]
    for table, rows in (("otel_traces", spans), ("otel_logs", logs)):
        text = "\n".join(json.dumps(row) for row in rows)
        session.query(f"INSERT INTO otel.{table} FORMAT JSONEachRow {text}")


def _time(nanoseconds: str) -> str:
    return f"{int(nanoseconds) // 10**9}.{int(nanoseconds) % 10**9:09d}"


def attributes(pairs: list[dict[str, Any]] | None) -> dict[str, str]:
    """Keys and values as the Collector's `AsString` gives them."""
    found = {}
    for pair in pairs or ():
        ((kind, value),) = pair["value"].items()
        if kind == "doubleValue":
            value = float(value)
        found[pair["key"]] = value_text(value)
    return found


def _span(span: dict[str, Any], resource: dict[str, Any], scope: dict[str, Any]) -> dict[str, Any]:
    resource_attributes = attributes(resource["resource"]["attributes"])
    start, end = span["startTimeUnixNano"], span["endTimeUnixNano"]
    events, links = span.get("events", []), span.get("links", [])
    return {
        "Timestamp": _time(start),
        "TraceId": span["traceId"],
        "SpanId": span["spanId"],
        "ParentSpanId": span.get("parentSpanId", ""),
        "TraceState": span.get("traceState", ""),
        "SpanName": span["name"],
        "ServiceName": resource_attributes["service.name"],
        "ResourceAttributes": resource_attributes,
        "ScopeName": scope["scope"]["name"],
        "SpanAttributes": attributes(span.get("attributes")),
        "Duration": int(end) - int(start),
        "StatusCode": "Unset",
        "Events.Timestamp": [_time(event["timeUnixNano"]) for event in events],
        "Events.Name": [event["name"] for event in events],
        "Events.Attributes": [attributes(event.get("attributes")) for event in events],
        "Links.TraceId": [link["traceId"] for link in links],
        "Links.SpanId": [link["spanId"] for link in links],
        "Links.TraceState": ["" for _ in links],
        "Links.Attributes": [attributes(link.get("attributes")) for link in links],
    }


def _log(record: dict[str, Any], resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "Timestamp": _time(record["timeUnixNano"]),
        "TraceId": record["traceId"],
        "SpanId": record["spanId"],
        "ServiceName": attributes(resource["resource"]["attributes"])["service.name"],
        "LogAttributes": attributes(record.get("attributes")),
        "EventName": record.get("eventName", ""),
    }
