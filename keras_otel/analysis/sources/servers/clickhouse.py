"""Read the tables of the Collector's ClickHouse exporter: `otel_traces`, and `otel_logs` where it exists.

All tables are expressions that ClickHouse runs itself. All attribute values are text there, and a key
that is missing reads as ''.
"""

from __future__ import annotations

import logging
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.sources.formats.parquet_file import complete
from keras_otel.analysis.sources.servers.clickhouse_evaluations import (
    evaluations_in_attributes,
    evaluations_in_numbered_attributes,
    evaluations_of_events,
)
from keras_otel.analysis.sources.servers.http_json import Access, Address
from keras_otel.analysis.sources.tables.evaluation_attributes import EVALUATOR
from keras_otel.analysis.sources.tables.schema import LONGEST_EXPLANATION, SPANS
from keras_otel.analysis.sources.tables.writer import Window
from keras_otel.errors import SourceError

TRACES: Final = "otel_traces"
LOGS: Final = "otel_logs"

REQUIRED: Final = ("TraceId", "SpanId", "Timestamp", "Duration", "SpanAttributes")

_STATUS: Final = {
    "ok": "ok",
    "error": "error",
    "status_code_ok": "ok",
    "status_code_error": "error",
}
_EVENTS: Final = ("Events.Timestamp", "Events.Name", "Events.Attributes")
_LINKS: Final = ("Links.TraceId", "Links.SpanId", "Links.Attributes")
_EVENT_NAME: Final = "event.name"
_PORT: Final = 8123
_TIMEOUT_S: Final = 10


def _declare_nanoseconds(time: Any) -> Any:
    """Declare the signature of a function that ClickHouse has itself."""


_nanoseconds: Any = ibis.udf.scalar.builtin(
    _declare_nanoseconds,
    name="toUnixTimestamp64Nano",
    signature=((dt.Timestamp(scale=9),), dt.int64),
)


def _declare_substring(text: Any, start: Any, count: Any) -> Any:
    """Declare the signature of another one."""


# ClickHouse's `substring` counts bytes, and may cut a character in two.
_substring: Any = ibis.udf.scalar.builtin(
    _declare_substring,
    name="substringUTF8",
    signature=((dt.string, dt.int64, dt.int64), dt.string),
)


def connect(url: str, access: Access | None = None) -> tuple[ir.Table, ir.Table | None]:
    """Open the tables behind `clickhouse://user:password@host:port/database?traces=...&logs=...`.

    Args:
        url: The address.
        access: Longest time for a query.

    Returns:
        The traces, and the logs; None where there is no such table.

    Raises:
        SourceError: The extra is not installed, the server cannot be reached, or has no such table.
    """
    address = Address.parse(url)
    parts = urlsplit(address.url)
    options = dict(parse_qsl(urlsplit(url).query))
    try:
        from clickhouse_connect.driver.exceptions import ClickHouseError
    except ImportError as error:
        raise SourceError(
            "reading ClickHouse needs clickhouse-connect: pip install 'keras-otel[clickhouse]'"
        ) from error
    # Without a handler the driver writes errors to standard error too: they are raised in one line below.
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
    timeout_s = None if access is None else access.timeout_s
    where = f"clickhouse://{parts.hostname}:{parts.port or _PORT}{parts.path}"
    try:
        backend: Any = ibis.clickhouse.connect(
            host=parts.hostname or "localhost",
            port=parts.port or _PORT,
            database=parts.path.strip("/") or "default",
            user=address.user or "default",
            password=address.password,
            secure=options.get("secure", "") in ("1", "true"),
            connect_timeout=_TIMEOUT_S,
            **({} if timeout_s is None else {"send_receive_timeout": timeout_s}),
            # A row without a partner has nulls, as in every other engine.
            settings={"join_use_nulls": 1},
        )
        tables = set(backend.list_tables())
    except (ClickHouseError, OSError) as error:
        raise SourceError(
            f"{where} cannot be read ({str(error).splitlines()[0][:200]}): check the address, the port "
            "of its HTTP interface, the user and the database"
        ) from error
    traces, logs = options.get("traces", TRACES), options.get("logs", LOGS)
    if traces not in tables:
        raise SourceError(f"{where} has no table {traces}: name it with ?traces=TABLE")
    return backend.table(traces), backend.table(logs) if logs in tables else None


def spans(traces: ir.Table, window: Window) -> ir.Table:
    """Return `otel_traces` as a table by `schema.SPANS`.

    Raises:
        SourceError: It is a table of something else.
    """
    missing = [column for column in REQUIRED if column not in traces.columns]
    if missing:
        raise SourceError(
            f"the table {traces.get_name()} has no column {missing[0]}: name the Collector's "
            f"{TRACES} in the URL"
        )
    start_ns, attributes = _nanoseconds(traces.Timestamp), traces.SpanAttributes
    table = traces.select(
        trace_id=traces.TraceId.lower(),
        span_id=traces.SpanId.lower(),
        parent_span_id=_text(traces, "ParentSpanId"),
        name=_text(traces, "SpanName"),
        scope=_text(traces, "ScopeName"),
        service=_text(traces, "ServiceName"),
        start_ns=start_ns,
        duration_ns=traces.Duration.cast("int64"),
        status=_status(traces),
        tracestate=_text(traces, "TraceState"),
        upstream=attributes,
        outputs=attributes,
        attributes=attributes,
        resource=traces.ResourceAttributes,
    )
    is_prediction = table["attributes"].get(semconv.MODEL_NAME, "") != ""
    if window.since_ns is not None:
        table = table.filter(table.start_ns >= window.since_ns)
    if window.until_ns is not None:
        table = table.filter((table.start_ns < window.until_ns) | ~is_prediction)
    return complete(table, SPANS)


def _text(table: ir.Table, column: str) -> ir.Value:
    if column not in table.columns:
        return ibis.null("string")
    return table[column].cast("string").nullif("")


def _status(traces: ir.Table) -> ir.Value:
    if "StatusCode" not in traces.columns:
        return ibis.literal("unset")
    code = traces.StatusCode.cast("string").lower()
    return ibis.cases(*((code == text, status) for text, status in _STATUS.items()), else_="unset")


def evaluations(traces: ir.Table, logs: ir.Table | None, window: Window) -> ir.Table:
    """Return all evaluations: on spans, on their events, and in the logs."""
    attributes = traces.select(
        trace_id=traces.TraceId.lower(),
        span_id=traces.SpanId.lower(),
        time_ns=_nanoseconds(traces.Timestamp) + traces.Duration.cast("int64"),
        attributes=traces.SpanAttributes,
    )
    links = _links(traces)
    parts = [
        evaluations_in_attributes(attributes, links),
        evaluations_in_numbered_attributes(attributes, links),
    ]
    if set(_EVENTS) <= set(traces.columns):
        parts.append(_evaluations_of_events(traces))
    if logs is not None:
        parts.append(_evaluations_of_logs(logs))
    table = ibis.union(*parts)
    table = table.mutate(explanation=_substring(table.explanation, 1, LONGEST_EXPLANATION))
    if window.since_ns is not None:
        table = table.filter(table.time_ns.isnull() | (table.time_ns >= window.since_ns))
    return table


def _evaluations_of_events(traces: ir.Table) -> ir.Table:
    times, event_names, attributes = (traces[column] for column in _EVENTS)
    unnested = traces.select(
        trace_id=traces.TraceId.lower(),
        span_id=traces.SpanId.lower(),
        event=times.zip(event_names, attributes).unnest(),
    )
    event: Any = unnested.event
    events = unnested.select(
        "trace_id",
        "span_id",
        time_ns=_nanoseconds(event.f1),
        attributes=event.f3,
        event_name=event.f2,
    )
    return evaluations_of_events(events.filter(events.event_name == semconv.EVALUATION_EVENT.name))


def _evaluations_of_logs(logs: ir.Table) -> ir.Table:
    in_attributes = logs.LogAttributes.get(_EVENT_NAME, "").nullif("")
    event_name = (
        ibis.coalesce(_text(logs, "EventName"), in_attributes)
        if "EventName" in logs.columns
        else in_attributes
    )
    records = logs.select(
        trace_id=logs.TraceId.lower(),
        span_id=logs.SpanId.lower().nullif(""),
        time_ns=_nanoseconds(logs.Timestamp),
        attributes=logs.LogAttributes,
        event_name=event_name,
    )
    is_evaluation = records.event_name == semconv.EVALUATION_EVENT.name
    return evaluations_of_events(records.filter(is_evaluation & (records.trace_id != "")))


def _links(traces: ir.Table) -> ir.Table | None:
    """Return the links to evaluated spans: those of that type, and an evaluator's only link."""
    if not set(_LINKS) <= set(traces.columns):
        return None
    trace_ids, span_ids, attributes = (traces[column] for column in _LINKS)
    kind = traces.SpanAttributes.get(semconv.OPENINFERENCE_SPAN_KIND, "")
    is_evaluator = (kind == EVALUATOR) | (_text(traces, "ScopeName") == semconv.SCOPE_NAME)
    unnested = traces.filter(trace_ids.length() > 0).select(
        trace_id=traces.TraceId.lower(),
        span_id=traces.SpanId.lower(),
        is_only=(trace_ids.length() == 1) & ibis.coalesce(is_evaluator, False),
        link=trace_ids.zip(span_ids, attributes).unnest(),
    )
    link: Any = unnested.link
    links = unnested.select(
        "trace_id",
        "span_id",
        "is_only",
        target_trace=link.f1.lower(),
        target_span=link.f2.lower(),
        link_type=link.f3.get(semconv.LINK_TYPE, ""),
    )
    return links.filter((links.link_type == semconv.LINK_EVALUATED) | links.is_only)
