"""Whether the target accepts spans: checked with an empty OTLP export, which stores nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from keras_otel.diagnostics.certificates import check_certificate_files
from keras_otel.diagnostics.endpoint_file import check_file
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.target import Target

_HEADERS_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")


def check_endpoint(findings: Findings, environ: Mapping[str, str], target: Target) -> None:
    """Check that the target accepts an export with the environment's headers and certificates."""
    if target.protocol == "file":
        check_file(findings, target.address)
        return
    headers = _exporter_headers(findings, environ)
    check_certificate_files(findings, environ)
    # Each protocol's packages are imported only where the target needs them.
    if target.protocol == "grpc":
        # gRPC's own log lines on standard error repeat what is reported here.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from keras_otel.diagnostics.endpoint_grpc import check_grpc_endpoint

        check_grpc_endpoint(findings, environ, target, headers)
    else:
        from keras_otel.diagnostics.endpoint_http import check_http_endpoint

        check_http_endpoint(findings, environ, target, headers)


def _exporter_headers(findings: Findings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that the exporter sends; their values are secrets and never shown."""
    variable = next((name for name in _HEADERS_VARIABLES if environ.get(name, "").strip()), None)
    if variable is None:
        return {}
    entries = [entry.partition("=") for entry in environ[variable].split(",") if entry.strip()]
    invalid = sum(not (name.strip() and equals) for name, equals, _ in entries)
    if invalid:
        # The entry itself may be a key, so only the number of invalid entries is shown.
        findings.add_problem(
            f"{variable} has {invalid} of {len(entries)} entries that are not name=value",
            "Write name=value,name=value and percent-encode commas and spaces in values",
        )
    headers = {
        name.strip().lower(): unquote(value.strip()) for name, equals, value in entries if equals
    }
    names = sorted(headers)
    findings.add_fact(
        "headers", "Headers", f"{', '.join(names)} ({variable}; values not shown)", names
    )
    return headers
