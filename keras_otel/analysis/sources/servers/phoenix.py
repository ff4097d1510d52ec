"""A running Phoenix: `phoenix+http://host:6006`, or with one project `phoenix+http://host:6006/default`.

Its REST API gives spans as OTLP, a thousand at a time, and annotations by the ids of their spans. Phoenix
keeps neither the tracestate nor the resource nor the links of a span, and its times only to about 100 ns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from keras_otel.analysis.sources.formats.evaluation_rows import read_row
from keras_otel.analysis.sources.formats.json_formats import read_document
from keras_otel.analysis.sources.servers.http_json import Access, Address, Api
from keras_otel.analysis.sources.tables.writer import Intake, Window

SCHEMES: Final = ("phoenix+http", "phoenix+https")

_PAGE: Final = 1000
_IDS: Final = 100
"""Spans that annotations are asked for at a time: their ids are part of the address."""
_NS: Final = 1e9
_MOST_PAGES: Final = 20_000


def read_phoenix(
    url: str, intake: Intake, window: Window, page: int = _PAGE, *, access: Access | None = None
) -> None:
    """Take the spans and annotations of one project, or of all.

    Args:
        url: The server, with the project's name as its path if it is one.
        intake: Takes them.
        window: Spans before its start are not asked for.
        page: Most spans in one answer, up to 1000.
        access: How it is asked.

    Raises:
        SourceError: It cannot be reached, is no Phoenix, or has no such project.
    """
    address = Address.of(url.removeprefix("phoenix+"))
    parts = urlsplit(address.url)
    with Api(
        replace(address, url=f"{parts.scheme}://{parts.netloc}"),
        server="Phoenix with that project",
        example="phoenix+http://localhost:6006/default",
        access=access or Access(),
    ) as api:
        pages = _Pages(api, intake)
        project = parts.path.strip("/")
        projects = [{"name": project}] if project else pages.of("projects")
        for each in projects:
            if "name" in each:
                _Project(pages, str(each["name"]), intake).read(window, page)


class _Project:
    def __init__(self, pages: _Pages, name: str, intake: Intake) -> None:
        self._pages = pages
        self._path = f"projects/{quote(name, safe='')}"
        self._intake = intake

    def read(self, window: Window, page: int) -> None:
        asked: dict[str, Any] = {"limit": page}
        if window.since_ns is not None:
            asked["start_time"] = datetime.fromtimestamp(window.since_ns / _NS, UTC).isoformat()
        waiting: list[tuple[str, str]] = []
        for span in self._pages.of(f"{self._path}/spans/otlpv1", asked):
            try:
                record = _camel(span)
            except RecursionError:
                self._intake.problem(self._pages.source, "a span is nested too deeply")
                continue
            read_document(
                {"resourceSpans": [{"scopeSpans": [{"spans": [record]}]}]},
                self._pages.source,
                self._intake,
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
        for annotation in self._pages.of(f"{self._path}/span_annotations", asked):
            result = annotation.get("result")
            result = result if isinstance(result, dict) else {}
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
                self._pages.source,
                self._intake,
            )


class _Pages:
    """What addresses list, page after page, for as long as a page brings something new."""

    def __init__(self, api: Api, intake: Intake) -> None:
        self._api = api
        self._intake = intake
        self.source = api.base

    def of(self, path: str, asked: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Every object that an address lists."""
        query = dict(asked or {})
        seen: set[int] = set()
        while True:
            mark = "?" if query else ""
            answer = self._api.get(f"/v1/{path}{mark}{urlencode(query, doseq=True)}")
            listed = self._api.listed(answer)
            cursor = answer.get("next_cursor")
            # A server that forgets the cursor gives the same page for ever.
            first = hash(json.dumps(listed[:1]))
            if first in seen:
                self._stop("its pages repeat; what follows them is not read")
                return
            yield from (each for each in listed if isinstance(each, dict))
            if cursor is None:
                return
            if not listed or str(cursor) == str(query.get("cursor")) or len(seen) == _MOST_PAGES:
                self._stop("it has no end of pages; what follows is not read")
                return
            seen.add(first)
            query["cursor"] = cursor

    def _stop(self, what: str) -> None:
        self._intake.problem(self.source, what)


def _camel(value: Any) -> Any:
    """Phoenix's field names as OTLP's JSON has them; what is null is left out."""
    if isinstance(value, dict):
        return {_camel_name(key): _camel(each) for key, each in value.items() if each is not None}
    return [_camel(each) for each in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
