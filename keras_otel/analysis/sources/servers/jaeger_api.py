"""Read traces from the query API of a running Jaeger: `http://host:16686`.

Jaeger answers with at most `limit` of the newest traces of an interval of time and has no next page, so an interval
whose answer is full is requested again in two halves.
"""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import quote, urlencode

from keras_otel.analysis.sources.formats.json_formats import read_document
from keras_otel.analysis.sources.servers.http_json import Access, Address, Api
from keras_otel.analysis.sources.tables.writer import TableWriter, Window

_PAGE: Final = 500
_US: Final = 1_000_000
_DAY_US: Final = 24 * 3600 * _US
_SHORTEST_US: Final = 1000
_OWN_SERVICE: Final = "jaeger"
_MOST_ANSWERS: Final = 20_000


def read_jaeger(
    url: str,
    writer: TableWriter,
    window: Window,
    page: int = _PAGE,
    *,
    access: Access | None = None,
) -> None:
    """Read every trace of every service in a window of time, each once.

    Args:
        url: The address of the query service, with its base path if it has one.
        writer: Where the traces go.
        window: Without a start, the last 24 hours are read.
        page: Most traces in one answer.
        access: Timeout and headers.

    Raises:
        SourceError: The server cannot be reached or is no Jaeger.
    """
    end = window.until_ns // 1000 if window.until_ns else int(time.time() * _US) + _US
    start = window.since_ns // 1000 if window.since_ns else end - _DAY_US
    with Api(
        Address.parse(url),
        server="Jaeger's query service",
        example="http://localhost:16686",
        access=access or Access(),
    ) as api:
        if window.since_ns is None:
            writer.add_problem(
                api.base, "only the last 24 hours were asked for; give a start with --since"
            )
        reader = _Reader(api, writer, page)
        for service in api.list_in(api.get("/api/services")):
            if isinstance(service, str) and service != _OWN_SERVICE:
                reader.read(service, start, end)


class _Reader:
    def __init__(self, api: Api, writer: TableWriter, page: int) -> None:
        self._api = api
        self._writer = writer
        self._page = page
        self._seen: set[str] = set()
        self._answers = 0

    def read(self, service: str, start_us: int, end_us: int) -> None:
        """Read the traces of [start_us, end_us)."""
        self._answers += 1
        if self._answers > _MOST_ANSWERS:
            if self._answers == _MOST_ANSWERS + 1:
                message = f"more than {_MOST_ANSWERS:,} answers; the rest is not asked for"
                self._writer.add_problem(self._api.base, message)
            return
        # Jaeger includes the end in the interval.
        query = urlencode(
            {"service": service, "start": start_us, "end": end_us - 1, "limit": self._page},
            quote_via=quote,
        )
        traces = self._api.list_in(self._api.get(f"/api/traces?{query}"))
        for trace in traces:
            self._add(trace)
        if len(traces) < self._page:
            return
        if not any(_starts_within(trace, start_us, end_us) for trace in traces):
            message = "it answers with traces of another time; only those are read"
            self._writer.add_problem(self._api.base, message)
        elif end_us - start_us > _SHORTEST_US:
            middle = (start_us + end_us) // 2
            self.read(service, start_us, middle)
            self.read(service, middle, end_us)
        else:
            message = f"more than {self._page} traces in a millisecond; the rest is not read"
            self._writer.add_problem(self._api.base, message)

    def _add(self, trace: Any) -> None:
        # A trace of several services, or at the edge of an interval, is in several answers.
        identity = str(trace.get("traceID")) if isinstance(trace, dict) else None
        if identity is not None and identity in self._seen:
            return
        if identity is None or not read_document({"data": [trace]}, self._api.base, self._writer):
            self._writer.add_problem(self._api.base, "a trace is of another shape than Jaeger's")
            return
        self._seen.add(identity)


def _starts_within(trace: Any, start_us: int, end_us: int) -> bool:
    """Return True if some span of a trace starts within an interval."""
    spans = trace.get("spans") if isinstance(trace, dict) else None
    starts = [span.get("startTime") for span in spans or () if isinstance(span, dict)]
    return any(isinstance(start, int) and start_us <= start < end_us for start in starts)
