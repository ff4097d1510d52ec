"""Variables of OpenTelemetry's SDK whose value it cannot read: numbers, resource attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from keras_otel.diagnostics.components import listed
from keras_otel.diagnostics.findings import Findings

_LIMITS: Final = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
)
_WHOLE: Final = tuple(
    f"OTEL_{queue}_{what}"
    for queue in ("BSP", "BLRP")
    for what in ("EXPORT_TIMEOUT", "MAX_EXPORT_BATCH_SIZE", "MAX_QUEUE_SIZE", "SCHEDULE_DELAY")
)
_DECIMAL: Final = (
    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_TIMEOUT",
)
_RESOURCE: Final = "OTEL_RESOURCE_ATTRIBUTES"


def check_values(findings: Findings, environ: Mapping[str, str]) -> None:
    """Numbers that are none, and resource attributes without a name or a value."""
    for name in unreadable_limits(environ):
        findings.wrong(
            f"{name}={environ[name].strip()} is no whole number, and whatever uses OpenTelemetry's "
            "SDK stops with a traceback",
            "Write a whole number, or unset it",
        )
    for name in (*_WHOLE, *_DECIMAL):
        text = environ.get(name, "").strip()
        if text and not _is_over_0(text, is_whole=name in _WHOLE):
            kind = "whole number" if name in _WHOLE else "number"
            findings.wrong(
                f"{name}={text} is no {kind} over 0", f"Write a {kind} over 0, or unset it"
            )
    _check_resource(findings, environ)


def unreadable_limits(environ: Mapping[str, str]) -> list[str]:
    """Return the limits at which the SDK raises as soon as it is imported."""
    texts = {name: environ.get(name, "").strip() for name in _LIMITS}
    return [name for name, text in texts.items() if text and not text.isdecimal()]


def _is_over_0(text: str, *, is_whole: bool) -> bool:
    if is_whole:
        return text.isdecimal() and int(text) > 0
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _check_resource(findings: Findings, environ: Mapping[str, str]) -> None:
    entries = listed(environ.get(_RESOURCE, ""))
    bad = [entry for entry in entries if not entry.partition("=")[0].strip() or "=" not in entry]
    if bad:
        findings.wrong(
            f"{_RESOURCE} has {len(bad)} of {len(entries)} entries that are not name=value, which "
            "the SDK leaves out",
            "Write name=value,name=value and percent-encode commas in values",
        )
