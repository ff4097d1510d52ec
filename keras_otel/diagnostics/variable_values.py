"""Values of OpenTelemetry's variables that its SDK cannot parse."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from keras_otel.diagnostics.components import split_list
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.propagators import PROPAGATORS_VARIABLE, installed_propagators

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
_INTEGERS: Final = tuple(
    f"OTEL_{processor}_{setting}"
    for processor in ("BSP", "BLRP")
    for setting in ("EXPORT_TIMEOUT", "MAX_EXPORT_BATCH_SIZE", "MAX_QUEUE_SIZE", "SCHEDULE_DELAY")
)
_DECIMALS: Final = (
    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_TIMEOUT",
)
_RESOURCE_ATTRIBUTES: Final = "OTEL_RESOURCE_ATTRIBUTES"


def check_values(findings: Findings, environ: Mapping[str, str]) -> None:
    """Check that numbers are numbers, and that resource attributes have a name and a value."""
    for variable in _invalid_limits(environ):
        findings.add_problem(
            f"{variable}={environ[variable].strip()} is not a non-negative integer: importing "
            "OpenTelemetry's SDK raises an error",
            "Write a non-negative integer, or unset it",
        )
    for variable in (*_INTEGERS, *_DECIMALS):
        text = environ.get(variable, "").strip()
        is_integer = variable in _INTEGERS
        if text and not _is_positive(text, is_integer=is_integer):
            kind = "integer" if is_integer else "number"
            findings.add_problem(
                f"{variable}={text} is not a positive {kind}",
                f"Write a positive {kind}, or unset it",
            )
    _check_resource_attributes(findings, environ)


def importable_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without values at which importing OpenTelemetry raises.

    These values are problems that the checks report; a process that is to look at everything else
    must still be able to import OpenTelemetry.
    """
    invalid_limits = _invalid_limits(environ)
    importable = {name: value for name, value in environ.items() if name not in invalid_limits}
    if PROPAGATORS_VARIABLE in importable:
        importable[PROPAGATORS_VARIABLE] = installed_propagators(environ)
    return importable


def _invalid_limits(environ: Mapping[str, str]) -> list[str]:
    """Return the variables of limits that the SDK parses, and raises for, as it is imported."""
    texts = {variable: environ.get(variable, "").strip() for variable in _LIMITS}
    return [variable for variable, text in texts.items() if text and not text.isdecimal()]


def _is_positive(text: str, *, is_integer: bool) -> bool:
    if is_integer:
        return text.isdecimal() and int(text) > 0
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _check_resource_attributes(findings: Findings, environ: Mapping[str, str]) -> None:
    entries = split_list(environ.get(_RESOURCE_ATTRIBUTES, ""))
    invalid = [
        entry for entry in entries if not entry.partition("=")[0].strip() or "=" not in entry
    ]
    if invalid:
        findings.add_problem(
            f"{_RESOURCE_ATTRIBUTES} has {len(invalid)} of {len(entries)} entries that are not "
            "name=value, which the SDK ignores",
            "Write name=value,name=value and percent-encode commas in values",
        )
