"""A running Jaeger's query API: `http://host:16686`.

Jaeger answers with at most `limit` of the newest traces of a span of time and has no next page, so a span of
time that is full is asked for again in two halves.
"""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import quote, urlencode

from keras_otel.analysis.sources.formats.json_formats import read_document
from keras_otel.analysis.sources.servers.http_json import Access, Address, Api
from keras_otel.analysis.sources.tables.writer import Intake, Window

_PAGE: Final = 500
_US: Final = 1_000_000
_DAY_US: Final = 24 * 3600 * _US
_SHORTEST_US: Final = 1000
_OWN_SERVICE: Final = "jaeger"
_MOST_ANSWERS: Final = 20_000


def read_jaeger(
    url: str, intake: Intake, window: Window, page: int = _PAGE, *, access: Access | None = None
) -> None:
    """Take every trace of every service in a window of time, each once.

    Args:
        url: The address of the query service, with its base path if it has one.
        intake: Takes the traces.
        window: Without a start, the last 24 hours are read.
        page: Most traces in one answer.
        access: How it is asked.

    Raises:
        SourceError: It cannot be reached or is no Jaeger.
    """
    end = window.until_ns // 1000 if window.until_ns else int(time.time() * _US) + _US
    start = window.since_ns // 1000 if window.since_ns else end - _DAY_US
    with Api(
        Address.of(url),
        server="Jaeger's query service",
        example="http://localhost:16686",
        access=access or Access(),
    ) as api:
        if window.since_ns is None:
            intake.problem(
                api.base, "only the last 24 hours were asked for; give a start with --since"
            )
        reader = _Reader(api, intake, page)
        for service in api.listed(api.get("/api/services")):
            if isinstance(service, str) and service != _OWN_SERVICE:
                reader.read(service, start, end)


class _Reader:
    def __init__(self, api: Api, intake: Intake, page: int) -> None:
        self._api = api
        self._intake = intake
        self._page = page
        self._seen: set[str] = set()
        self._answers = 0

    def read(self, service: str, start_us: int, end_us: int) -> None:
        """Take the traces of [start_us, end_us)."""
        self._answers += 1
        if self._answers > _MOST_ANSWERS:
            if self._answers == _MOST_ANSWERS + 1:
                what = f"more than {_MOST_ANSWERS:,} answers; the rest is not asked for"
                self._intake.problem(self._api.base, what)
            return
        # Jaeger's own end is a part of the span of time.
        asked = urlencode(
            {"service": service, "start": start_us, "end": end_us - 1, "limit": self._page},
            quote_via=quote,
        )
        traces = self._api.listed(self._api.get(f"/api/traces?{asked}"))
        for trace in traces:
            self._take(trace)
        if len(traces) < self._page:
            return
        if not any(_touches(trace, start_us, end_us) for trace in traces):
            what = "it answers with traces of another time; only those are read"
            self._intake.problem(self._api.base, what)
        elif end_us - start_us > _SHORTEST_US:
            middle = (start_us + end_us) // 2
            self.read(service, start_us, middle)
            self.read(service, middle, end_us)
        else:
            what = f"more than {self._page} traces in a millisecond; the rest is not read"
            self._intake.problem(self._api.base, what)

    def _take(self, trace: Any) -> None:
        # A trace of several services, or at the edge of a span of time, is in several answers.
        name = str(trace.get("traceID")) if isinstance(trace, dict) else None
        if name is not None and name in self._seen:
            return
        if name is None or not read_document({"data": [trace]}, self._api.base, self._intake):
            self._intake.problem(self._api.base, "a trace is of another shape than Jaeger's")
            return
        self._seen.add(name)


def _touches(trace: Any, start_us: int, end_us: int) -> bool:
    """True if some span of a trace starts within a span of time."""
    spans = trace.get("spans") if isinstance(trace, dict) else None
    starts = [span.get("startTime") for span in spans or () if isinstance(span, dict)]
    return any(isinstance(start, int) and start_us <= start < end_us for start in starts)
