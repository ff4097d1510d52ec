"""Recognise formats of traces that are not read, to name them in the problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from keras_otel.analysis.sources.tables.writer import TableWriter


class _Format(NamedTuple):
    """A format, recognised by the keys of its objects: all of some, one of some, none of others."""

    name: str
    all_of: frozenset[str]
    one_of: frozenset[str] = frozenset()
    none_of: frozenset[str] = frozenset()

    def fits(self, document: Mapping[str, Any]) -> bool:
        """Return True for a document of this format."""
        keys = document.keys()
        return (
            keys >= self.all_of
            and (not self.one_of or not keys.isdisjoint(self.one_of))
            and keys.isdisjoint(self.none_of)
        )


_FORMATS: Final = (
    _Format(
        "Zipkin's JSON",
        frozenset({"traceId", "id"}),
        frozenset({"duration", "localEndpoint", "annotations", "binaryAnnotations", "tags"}),
        # A score of Langfuse's has the same ids.
        frozenset({"value", "stringValue", "dataType", "score", "spanId"}),
    ),
    _Format(
        "Jaeger's protobuf as JSON",
        frozenset({"traceId", "spanId", "operationName"}),
    ),
    _Format(
        "a document of OpenSearch's trace analytics",
        frozenset({"traceId", "spanId", "durationInNanos"}),
    ),
    _Format("a document of Elastic APM", frozenset({"processor", "trace", "timestamp"})),
    _Format(
        "Datadog's JSON",
        frozenset({"trace_id", "span_id", "parent_id", "resource", "service"}),
    ),
    _Format(
        "an X-Ray segment",
        frozenset({"trace_id", "id", "start_time"}),
        frozenset({"end_time", "in_progress", "subsegments"}),
        frozenset({"feedback_stats"}),  # LangSmith's runs
    ),
    _Format("what the SDK's console exporter prints", frozenset({"context", "parent_id", "kind"})),
    _Format("a trace of Chrome's", frozenset({"traceEvents"})),
    _Format("a data frame of Grafana's", frozenset({"schema", "data"})),
)
_ADVICE: Final = "which is not read: export OTLP (the Collector's file exporter), or Jaeger's JSON"


def refuse_document(document: Any, source: str, writer: TableWriter) -> bool:
    """Count a document whose format is known and not read; return False for any other document."""
    if not isinstance(document, dict):
        return False
    traces = document.get("traces")
    if isinstance(traces, list) and any(
        isinstance(trace, dict) and "rootServiceName" in trace for trace in traces
    ):
        writer.add_problem(
            source, "Tempo's answer to a search has no spans: download each trace by its id"
        )
        return True
    for unread in _FORMATS:
        if unread.fits(document):
            writer.add_problem(source, f"this is {unread.name}, {_ADVICE}")
            return True
    return False
