"""Configure links from spans in Jaeger to the dashboard and to other traces."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from keras_otel import semconv

DASHBOARD_UID: Final = "keras-upstream"

_SINCE: Final = "from=#{startTime | epoch_micros_to_date_iso}&to=now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Addresses of the pages that link to each other.

    Attributes:
        grafana: Address of Grafana, such as `http://localhost:3000`.
        jaeger: Address of Jaeger, such as `http://localhost:16686`.
        service: Service to search for other traces; Jaeger searches in one service, and its links cannot
            take the name from a span.
    """

    grafana: str = "http://localhost:3000"
    jaeger: str = "http://localhost:16686"
    service: str = ""


def page_configuration(places: Places) -> dict[str, Any]:
    """Return the content of `jaeger_query.ui.config_file`."""
    dashboard = f"{places.grafana}/d/{DASHBOARD_UID}"
    patterns = [
        {"type": "traces", "url": f"{dashboard}?{_SINCE}", "text": "Fail rates since this trace"},
        _dashboard(dashboard, semconv.MODEL_NAME, "model", "All versions of"),
        _dashboard(
            dashboard, semconv.MODEL_VERSION, "version", "Fail rate, confidence, latency of"
        ),
        _dashboard(dashboard, semconv.EVALUATION_NAME, "evaluation", "By upstream prediction:"),
    ]
    if places.service:
        patterns += [
            _search(places.service, key)
            for key in (
                semconv.PREDICTION_CLASS,
                semconv.OUTCOME_CLASS,
                semconv.MODEL_FINGERPRINT,
                semconv.ERROR_TYPE,
            )
        ]
    menu = [{"label": "Fail rates in Grafana", "url": dashboard}]
    return {"menu": [{"label": "Keras", "items": menu}], "linkPatterns": patterns}


def _dashboard(dashboard: str, key: str, variable: str, text: str) -> dict[str, Any]:
    """Link a tag, or a field of an event, to the dashboard with one of its variables set."""
    return {
        "type": ["tags", "logs"],
        "key": key,
        "url": f"{dashboard}?var-{variable}=#{{{key}}}",
        "text": f"{text} #{{{key}}}",
    }


def _search(service: str, key: str) -> dict[str, Any]:
    """Link a tag to the traces of a service with the same value."""
    return {
        "type": ["tags", "logs"],
        "key": key,
        "url": f"/search?service={quote(service)}&tags={search_tags({key: f'#{{{key}}}'})}",
        "text": f"Other traces with #{{{key}}}",
    }


def search_tags(tags: dict[str, str]) -> str:
    """Write the `tags` of a search in Jaeger, percent-encoded except for templates such as `#{key}` or `${name}`."""
    pairs = (f"{quote(json.dumps(key))}:%22{value}%22" for key, value in tags.items())
    return f"%7B{','.join(pairs)}%7D"
