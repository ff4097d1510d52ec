"""The same rules twice: evaluations read from single records, and from whole tables in an engine."""

from __future__ import annotations

import ibis
import pyarrow as pa
import pytest

from keras_otel import semconv
from keras_otel.analysis.sources.servers.clickhouse_evaluations import (
    evaluations_in_attributes,
    evaluations_in_numbered_attributes,
    evaluations_of_events,
)
from keras_otel.analysis.sources.tables.evaluation_attributes import (
    evaluations_of_event,
    evaluations_of_span,
)
from keras_otel.analysis.sources.tables.fetch import fetch_rows
from keras_otel.analysis.sources.tables.schema import EVALUATIONS, TEXT_MAP
from keras_otel.analysis.sources.tables.telemetry import Event, Link, Span

TRACE, OWN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OTHER_TRACE, OTHER, TARGET = "1" * 32, "2" * 16, "3" * 16
TIME_NS = 1_780_000_000_000_000_000

NAME, SCORE = semconv.EVALUATION_NAME, semconv.EVALUATION_SCORE
LABEL, PASSED = semconv.EVALUATION_LABEL, semconv.EVALUATION_PASSED

ATTRIBUTES = {
    "a score": {NAME: "tone", SCORE: "0.25"},
    "a label and a reason": {NAME: "tone", LABEL: "fail", semconv.EVALUATION_EXPLANATION: "rude"},
    "passed": {NAME: "tone", PASSED: "true"},
    "failed, in capitals": {NAME: "tone", PASSED: "False"},
    "a score that is no number": {NAME: "tone", SCORE: "NaN"},
    "a score that is no number beside a label": {NAME: "tone", SCORE: "NaN", LABEL: "fail"},
    "an evaluator that failed": {NAME: "tone", semconv.ERROR_TYPE: "TimeoutError"},
    "an answer that failed": {NAME: "tone", SCORE: "0", semconv.ERROR_TYPE: "TimeoutError"},
    "a target": {NAME: "tone", SCORE: "1", semconv.FUTUREAGI_TARGET: TARGET},
    "a target and an error": {
        NAME: "tone",
        SCORE: "1",
        semconv.FUTUREAGI_TARGET: TARGET,
        semconv.ERROR_TYPE: "TimeoutError",
    },
    "upstream predictions": {NAME: "tone", SCORE: "1", "keras.upstream.intent.class": "refund"},
    "no evaluation": {"gen_ai.operation.name": "chat", SCORE: "0.5"},
    "numbered": {
        "evaluations.0.evaluation.name": "relevance",
        "evaluations.0.evaluation.score": "0.4",
        "evaluations.0.evaluation.explanation": "about another order",
        "evaluations.1.evaluation.name": "tone",
        "evaluations.1.evaluation.label": "fail",
        "evaluations.x.evaluation.name": "none",
    },
    "numbered, of the trace": {
        "trace.evaluations.0.evaluation.name": "solved",
        "trace.evaluations.0.evaluation.score": "1",
    },
    "metrics": {
        "eval.groundedness": "0.8",
        "eval.groundedness.reason": "cites the page",
        "eval.groundedness.latency_ms": "12",
        "eval.comment": "no score",
        "eval.model": "7",
    },
    "a metric that repeats": {
        NAME: "groundedness",
        SCORE: "0.8",
        "eval.groundedness": "0.8",
        "eval.groundedness.reason": "cites the page",
        "eval.toxicity": "0.1",
        semconv.FUTUREAGI_TARGET: TARGET,
    },
}
TYPES = {
    "trace_id": pa.string(),
    "span_id": pa.string(),
    "time_ns": pa.int64(),
    "attributes": TEXT_MAP,
}


def table(attributes):
    """A table of one span or event with these attributes."""
    row = {
        "trace_id": TRACE,
        "span_id": OWN,
        "time_ns": TIME_NS,
        "attributes": [*attributes.items()],
    }
    return ibis.memtable(pa.Table.from_pylist([row], schema=pa.schema(TYPES)))


def without_upstream(rows):
    """Evaluations in one order: engines keep all attributes beside them, and readers pick the upstream ones."""
    rows = [{key: value for key, value in row.items() if key != "upstream"} for row in rows]
    return sorted(rows, key=lambda row: (row["name"], str(row["score"])))


def from_records(evaluations):
    """Those read from records."""
    return without_upstream(
        dict(zip(EVALUATIONS.names, evaluation, strict=True)) for evaluation in evaluations
    )


def span(attributes, links=()):
    """A span that ends at `TIME_NS`."""
    return Span(
        trace_id=TRACE,
        span_id=OWN,
        parent_span_id=None,
        name="chat",
        scope=None,
        service=None,
        start_ns=TIME_NS - 5,
        duration_ns=5,
        status="unset",
        tracestate=None,
        attributes=attributes,
        resource={},
        links=links,
    )


def from_tables(attributes, links=None):
    """Those read from a table of spans."""
    spans = table(attributes)
    return without_upstream(
        fetch_rows(evaluations_in_attributes(spans, links))
        + fetch_rows(evaluations_in_numbered_attributes(spans, links))
    )


@pytest.mark.parametrize("attributes", ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
def test_attributes_of_a_span(attributes):
    """A span's attributes are the same evaluations, whoever reads them."""
    assert from_tables(attributes) == from_records(evaluations_of_span(span(attributes)))


@pytest.mark.parametrize("attributes", ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
def test_a_span_with_a_link(attributes):
    """A link to the evaluated span counts the same, and so does a target beside it."""
    link = Link(OTHER_TRACE, OTHER, {semconv.LINK_TYPE: semconv.LINK_EVALUATED})
    row = {"trace_id": TRACE, "span_id": OWN, "target_trace": OTHER_TRACE, "target_span": OTHER}
    links = ibis.memtable(pa.Table.from_pylist([row]))

    assert from_tables(attributes, links) == from_records(
        evaluations_of_span(span(attributes, (link,)))
    )


@pytest.mark.parametrize("attributes", ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
def test_events(attributes):
    """An event `gen_ai.evaluation.result` is the same evaluation, whoever reads it."""
    event = Event(semconv.EVALUATION_EVENT.name, TIME_NS, attributes)

    found = without_upstream(fetch_rows(evaluations_of_events(table(attributes))))

    assert found == from_records(evaluations_of_event(event, TRACE, OWN))
