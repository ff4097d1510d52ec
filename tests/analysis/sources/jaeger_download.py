"""OTLP JSON lines as Jaeger's page downloads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_TYPES = {
    "stringValue": "string",
    "boolValue": "bool",
    "intValue": "int64",
    "doubleValue": "float64",
}


def download(path: Path) -> dict[str, Any]:
    """The spans of a file as one document; log records have no place in it."""
    traces: dict[str, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        for resource in json.loads(line).get("resourceSpans", ()):
            tags = _tags(resource["resource"]["attributes"])
            service = next(tag["value"] for tag in tags if tag["key"] == "service.name")
            process = {
                "serviceName": service,
                "tags": [tag for tag in tags if tag["key"] != "service.name"],
            }
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    trace = traces.setdefault(
                        span["traceId"],
                        {"traceID": span["traceId"], "spans": [], "processes": {"p1": process}},
                    )
                    trace["spans"].append(_span(span, scope["scope"]["name"]))
    return {"data": list(traces.values()), "total": 0, "limit": 0, "offset": 0, "errors": None}


def _span(span: dict[str, Any], scope: str) -> dict[str, Any]:
    start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    references = []
    if span.get("parentSpanId"):
        references.append(_reference("CHILD_OF", span["traceId"], span["parentSpanId"]))
    references += [
        _reference("FOLLOWS_FROM", link["traceId"], link["spanId"])
        for link in span.get("links", ())
    ]
    tags = _tags(span.get("attributes"))
    tags.append({"key": "otel.scope.name", "type": "string", "value": scope})
    if span.get("traceState"):
        tags.append({"key": "w3c.tracestate", "type": "string", "value": span["traceState"]})
    return {
        "traceID": span["traceId"],
        "spanID": span["spanId"],
        "operationName": span["name"],
        "references": references,
        "startTime": start // 1000,
        "duration": (end - start) // 1000,
        "tags": tags,
        "logs": [
            {
                "timestamp": int(event["timeUnixNano"]) // 1000,
                "fields": [
                    {"key": "event", "type": "string", "value": event["name"]},
                    *_tags(event.get("attributes")),
                ],
            }
            for event in span.get("events", ())
        ],
        "processID": "p1",
        "warnings": None,
    }


def _reference(kind: str, trace: str, span: str) -> dict[str, str]:
    return {"refType": kind, "traceID": trace, "spanID": span}


def _tags(pairs: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    tags = []
    for pair in pairs or ():
        ((kind, value),) = pair["value"].items()
        if kind == "intValue":
            value = int(value)
        if kind == "doubleValue":
            value = float(value)
            value = int(value) if value.is_integer() else value  # as Go's JSON writes it
        tags.append({"key": pair["key"], "type": _TYPES[kind], "value": value})
    return tags
