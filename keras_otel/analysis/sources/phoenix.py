"""A running Phoenix: `phoenix+http://host:6006`, or with one project `phoenix+http://host:6006/default`.

Its REST API gives spans as OTLP, a thousand at a time, and annotations by the ids of their spans. Phoenix
keeps neither the tracestate nor the resource nor the links of a span, and its times only to about 100 ns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import urlopen

from keras_otel.analysis.sources.intake import Intake, Window
from keras_otel.analysis.sources.otlp import SPANS_KEY, read_document
from keras_otel.analysis.sources.rows import read_row
from keras_otel.errors import SourceError

SCHEMES: Final = ("phoenix+http", "phoenix+https")

_PAGE: Final = 1000
_IDS: Final = 100
"""Spans that annotations are asked for at a time: their ids are part of the address."""
_TIMEOUT_S: Final = 60
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
    base = f"{parts.scheme}://{parts.netloc}"
    project = parts.path.strip("/")
    projects = [project] if project else [each["name"] for each in _all(base, "projects", {})]
    for name in projects:
        _Project(base, name, intake).read(window, page)


class _Project:
    def __init__(self, base: str, name: str, intake: Intake) -> None:
        self._base = base
        self._path = f"projects/{quote(name, safe='')}"
        self._intake = intake

    def read(self, window: Window, page: int) -> None:
        asked: dict[str, Any] = {"limit": page}
        if window.since_ns is not None:
            asked["start_time"] = datetime.fromtimestamp(window.since_ns / _NS, UTC).isoformat()
        waiting: list[tuple[str, str]] = []
        for span in _all(self._base, f"{self._path}/spans/otlpv1", asked):
            record = _camel(span)
            read_document(
                {SPANS_KEY: [{"scopeSpans": [{"spans": [record]}]}]}, self._base, self._intake
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
        for annotation in _all(self._base, f"{self._path}/span_annotations", asked):
            result = annotation.get("result") or {}
            read_row(
                {
                    "trace_id": traces.get(str(annotation.get("span_id"))),
                    "span_id": annotation.get("span_id"),
                    "name": annotation.get("name"),
                    "score": result.get("score"),
                    "label": result.get("label"),
                    "time": annotation.get("updated_at"),
                },
                self._base,
                self._intake,
            )


def _all(base: str, path: str, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What an address lists, page after page."""
    query = dict(asked)
    while True:
        answer = _answer(base, f"/v1/{path}?{urlencode(query, doseq=True)}")
        yield from answer.get("data") or ()
        if answer.get("next_cursor") is None:
            return
        query["cursor"] = answer["next_cursor"]


def _answer(base: str, path: str) -> dict[str, Any]:
    try:
        with urlopen(f"{base}{path}", timeout=_TIMEOUT_S) as response:  # noqa: S310 - the user's own URL
            answer = json.load(response)
    except HTTPError as error:
        error.close()
        raise SourceError(
            f"{base} answers {error.code} to Phoenix's API ({path.partition('?')[0]}): check the address "
            "and the project's name, as in phoenix+http://localhost:6006/default"
        ) from error
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise SourceError(f"{base} cannot be reached ({reason}): is Phoenix up there?") from error
    except ValueError as error:
        raise SourceError(f"{base} does not answer in JSON: it is not Phoenix") from error
    if not isinstance(answer, dict):
        raise SourceError(f"{base} answers with no object: it is not Phoenix")
    return answer


def _camel(value: Any) -> Any:
    """Phoenix's field names as OTLP's JSON has them; what is null is left out."""
    if isinstance(value, dict):
        return {_camel_name(key): _camel(each) for key, each in value.items() if each is not None}
    return [_camel(each) for each in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
