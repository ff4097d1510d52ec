"""A running Jaeger's query API: `http://host:16686`.

Jaeger answers with at most `limit` of the newest traces of a span of time and has no next page, so a span of
time that is full is asked for again in two halves.
"""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import quote, urlencode

from keras_otel.analysis.sources.http_json import Api
from keras_otel.analysis.sources.intake import Intake, Window
from keras_otel.analysis.sources.jaeger import read_document

_PAGE: Final = 500
_US: Final = 1_000_000
_DAY_US: Final = 24 * 3600 * _US
_SHORTEST_US: Final = 1000
_OWN_SERVICE: Final = "jaeger"


def read_jaeger(url: str, intake: Intake, window: Window, page: int = _PAGE) -> None:
    """Take every trace of every service in a window of time, each once.

    Args:
        url: The address of the query service, with its base path if it has one.
        intake: Takes the traces.
        window: Without a start, the last 24 hours are read.
        page: Most traces in one answer.

    Raises:
        SourceError: It cannot be reached or is no Jaeger.
    """
    api = Api(
        base=url.rstrip("/"), server="Jaeger's query service", example="http://localhost:16686"
    )
    end = window.until_ns // 1000 if window.until_ns else int(time.time() * _US) + _US
    start = window.since_ns // 1000 if window.since_ns else end - _DAY_US
    if window.since_ns is None:
        intake.problem(url, "only the last 24 hours were asked for; give a start with --since")
    reader = _Reader(api, intake, page)
    for service in api.get("/api/services").get("data") or ():
        if service != _OWN_SERVICE:
            reader.read(service, start, end)


class _Reader:
    def __init__(self, api: Api, intake: Intake, page: int) -> None:
        self._api = api
        self._intake = intake
        self._page = page
        self._seen: set[str] = set()

    def read(self, service: str, start_us: int, end_us: int) -> None:
        """Take the traces of [start_us, end_us)."""
        # Jaeger's own end is a part of the span of time.
        asked = urlencode(
            {"service": service, "start": start_us, "end": end_us - 1, "limit": self._page},
            quote_via=quote,
        )
        answer = self._api.get(f"/api/traces?{asked}")
        traces = answer.get("data") or []
        if len(traces) >= self._page and end_us - start_us > _SHORTEST_US:
            middle = (start_us + end_us) // 2
            self.read(service, start_us, middle)
            self.read(service, middle, end_us)
            return
        if len(traces) >= self._page:
            self._intake.problem(
                self._api.base,
                f"more than {self._page} traces in a millisecond; the rest is not read",
            )
        for trace in traces:
            # A trace of several services is in the answer for each of them.
            if isinstance(trace, dict) and trace.get("traceID") not in self._seen:
                self._seen.add(str(trace.get("traceID")))
                read_document({"data": [trace]}, self._api.base, self._intake)
