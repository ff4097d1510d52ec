"""Read spans and annotations from a running Phoenix: `phoenix+http://host:6006`, or with one project `phoenix+http://host:6006/default`.

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
from keras_otel.analysis.sources.formats.otlp_values import camel_name
from keras_otel.analysis.sources.servers.http_json import Access, Address, Api
from keras_otel.analysis.sources.tables.writer import TableWriter, Window

SCHEMES: Final = ("phoenix+http", "phoenix+https")

_PAGE: Final = 1000
_SPANS_AT_A_TIME: Final = 100
"""Spans whose annotations are requested at a time: their ids are part of the address."""
_NS: Final = 1e9
_MOST_PAGES: Final = 20_000


def read_phoenix(
    url: str,
    writer: TableWriter,
    window: Window,
    page: int = _PAGE,
    *,
    access: Access | None = None,
) -> None:
    """Read the spans and annotations of one project, or of all.

    Args:
        url: The server, with the name of a project as its path, or without for all projects.
        writer: Where spans and evaluations go.
        window: Spans before its start are not requested.
        page: Most spans in one answer, up to 1000.
        access: Timeout and headers.

    Raises:
        SourceError: The server cannot be reached, is no Phoenix, or has no such project.
    """
    address = Address.parse(url.removeprefix("phoenix+"))
    parts = urlsplit(address.url)
    with Api(
        replace(address, url=f"{parts.scheme}://{parts.netloc}"),
        server="Phoenix with that project",
        example="phoenix+http://localhost:6006/default",
        access=access or Access(),
    ) as api:
        pages = _Pages(api, writer)
        project = parts.path.strip("/")
        projects = [{"name": project}] if project else pages.objects("projects")
        for project_fields in projects:
            if "name" in project_fields:
                _Project(pages, str(project_fields["name"]), writer).read(window, page)


class _Project:
    def __init__(self, pages: _Pages, name: str, writer: TableWriter) -> None:
        self._pages = pages
        self._path = f"projects/{quote(name, safe='')}"
        self._writer = writer

    def read(self, window: Window, page: int) -> None:
        query: dict[str, Any] = {"limit": page}
        if window.since_ns is not None:
            query["start_time"] = datetime.fromtimestamp(window.since_ns / _NS, UTC).isoformat()
        batch: list[tuple[str, str]] = []
        for span in self._pages.objects(f"{self._path}/spans/otlpv1", query):
            try:
                record = _in_camel_case(span)
            except RecursionError:
                self._writer.add_problem(self._pages.source, "a span is nested too deeply")
                continue
            read_document(
                {"resourceSpans": [{"scopeSpans": [{"spans": [record]}]}]},
                self._pages.source,
                self._writer,
            )
            batch.append((str(record.get("spanId")), str(record.get("traceId"))))
            if len(batch) == _SPANS_AT_A_TIME:
                self._read_annotations(batch)
                batch = []
        if batch:
            self._read_annotations(batch)

    def _read_annotations(self, spans: Sequence[tuple[str, str]]) -> None:
        traces = dict(spans)
        query = {"span_ids": list(traces), "limit": _PAGE}
        for annotation in self._pages.objects(f"{self._path}/span_annotations", query):
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
                self._writer,
            )


class _Pages:
    """Reads lists page by page, for as long as a page has something new."""

    def __init__(self, api: Api, writer: TableWriter) -> None:
        self._api = api
        self._writer = writer
        self.source = api.base

    def objects(
        self, path: str, query: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield every object in the list at a path."""
        query = dict(query or {})
        seen: set[int] = set()
        while True:
            mark = "?" if query else ""
            answer = self._api.get(f"/v1/{path}{mark}{urlencode(query, doseq=True)}")
            elements = self._api.list_in(answer)
            cursor = answer.get("next_cursor")
            # A server that ignores the cursor repeats the same page without end.
            first = hash(json.dumps(elements[:1]))
            if first in seen:
                self._stop("its pages repeat; what follows them is not read")
                return
            yield from (element for element in elements if isinstance(element, dict))
            if cursor is None:
                return
            if not elements or str(cursor) == str(query.get("cursor")) or len(seen) == _MOST_PAGES:
                self._stop("it has no end of pages; what follows is not read")
                return
            seen.add(first)
            query["cursor"] = cursor

    def _stop(self, message: str) -> None:
        self._writer.add_problem(self.source, message)


def _in_camel_case(value: Any) -> Any:
    """Return a value with the field names of OTLP's JSON; fields that are null are left out."""
    if isinstance(value, dict):
        return {
            camel_name(key): _in_camel_case(inner)
            for key, inner in value.items()
            if inner is not None
        }
    return [_in_camel_case(inner) for inner in value] if isinstance(value, list) else value
