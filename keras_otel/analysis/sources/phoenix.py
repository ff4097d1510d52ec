"""A running Phoenix: `phoenix+http://host:6006`, or with one project `phoenix+http://host:6006/default`.

Its REST API gives spans as OTLP, a thousand at a time, and annotations by the ids of their spans. Phoenix
keeps neither the tracestate nor the resource nor the links of a span, and its times only to about 100 ns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from keras_otel.analysis.sources.http_json import Api
from keras_otel.analysis.sources.intake import Intake, Window
from keras_otel.analysis.sources.otlp import SPANS_KEY, read_document
from keras_otel.analysis.sources.rows import read_row

SCHEMES: Final = ("phoenix+http", "phoenix+https")

_PAGE: Final = 1000
_IDS: Final = 100
"""Spans that annotations are asked for at a time: their ids are part of the address."""
_NS: Final = 1e9


def read_phoenix(url: str, intake: Intake, window: Window, page: int = _PAGE) -> None:
    """Take the spans and annotations of one project, or of all.

    Args:
        url: The server, with the project's name as its path if it is one.
        intake: Takes them.
        window: Spans before its start are not asked for.
        page: Most spans in one answer, up to 1000.

    Raises:
        SourceError: It cannot be reached, is no Phoenix, or has no such project.
    """
    parts = urlsplit(url.removeprefix("phoenix+"))
    api = Api(
        base=f"{parts.scheme}://{parts.netloc}",
        server="Phoenix with that project",
        example="phoenix+http://localhost:6006/default",
    )
    project = parts.path.strip("/")
    projects = [project] if project else [each["name"] for each in _all(api, "projects", {})]
    for name in projects:
        _Project(api, name, intake).read(window, page)


class _Project:
    def __init__(self, api: Api, name: str, intake: Intake) -> None:
        self._api = api
        self._path = f"projects/{quote(name, safe='')}"
        self._intake = intake

    def read(self, window: Window, page: int) -> None:
        asked: dict[str, Any] = {"limit": page}
        if window.since_ns is not None:
            asked["start_time"] = datetime.fromtimestamp(window.since_ns / _NS, UTC).isoformat()
        waiting: list[tuple[str, str]] = []
        for span in _all(self._api, f"{self._path}/spans/otlpv1", asked):
            record = _camel(span)
            read_document(
                {SPANS_KEY: [{"scopeSpans": [{"spans": [record]}]}]}, self._api.base, self._intake
            )
            waiting.append((str(record.get("spanId")), str(record.get("traceId"))))
            if len(waiting) == _IDS:
                self._annotations(waiting)
                waiting = []
        if waiting:
            self._annotations(waiting)

    def _annotations(self, spans: Sequence[tuple[str, str]]) -> None:
        traces = dict(spans)
        asked = {"span_ids": list(traces), "limit": _PAGE}
        for annotation in _all(self._api, f"{self._path}/span_annotations", asked):
            result = annotation.get("result") or {}
            read_row(
                {
                    "trace_id": traces.get(str(annotation.get("span_id"))),
                    "span_id": annotation.get("span_id"),
                    "name": annotation.get("name"),
                    "score": result.get("score"),
                    "label": result.get("label"),
                    "explanation": result.get("explanation"),
                    "time": annotation.get("updated_at"),
                },
                self._api.base,
                self._intake,
            )


def _all(api: Api, path: str, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What an address lists, page after page."""
    query = dict(asked)
    while True:
        answer = api.get(f"/v1/{path}?{urlencode(query, doseq=True)}")
        yield from answer.get("data") or ()
        if answer.get("next_cursor") is None:
            return
        query["cursor"] = answer["next_cursor"]


def _camel(value: Any) -> Any:
    """Phoenix's field names as OTLP's JSON has them; what is null is left out."""
    if isinstance(value, dict):
        return {_camel_name(key): _camel(each) for key, each in value.items() if each is not None}
    return [_camel(each) for each in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
