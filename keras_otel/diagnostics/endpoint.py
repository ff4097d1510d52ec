"""Whether the target answers: one empty OTLP export, the smallest thing a receiver accepts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from keras_otel.diagnostics.endpoint_errors import check_certificates
from keras_otel.diagnostics.endpoint_file import ask_file
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.target import Target

_HEADERS: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")


def check_answer(findings: Findings, environ: Mapping[str, str], target: Target) -> None:
    """Ask the target; the headers of the environment go with the request."""
    if target.protocol == "file":
        ask_file(findings, target.address)
        return
    headers = _headers(findings, environ)
    check_certificates(findings, environ)
    if target.protocol == "grpc":
        # grpc is imported only where it is spoken; its own lines on stderr add nothing.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from keras_otel.diagnostics.endpoint_grpc import ask_grpc

        ask_grpc(findings, environ, target, headers)
        return
    from keras_otel.diagnostics.endpoint_http import ask_http

    ask_http(findings, environ, target, headers)


def _headers(findings: Findings, environ: Mapping[str, str]) -> dict[str, str]:
    """The exporter's headers; only their names are ever shown."""
    name = next((name for name in _HEADERS if environ.get(name, "").strip()), None)
    if name is None:
        return {}
    pairs = [part.partition("=") for part in environ[name].split(",") if part.strip()]
    broken = sum(not (key.strip() and equals) for key, equals, _ in pairs)
    if broken:
        findings.wrong(
            f"{name} has {broken} of {len(pairs)} entries that are not name=value",
            "Write name=value,name=value and percent-encode commas and spaces in values",
        )
    headers = {
        key.strip().lower(): unquote(value.strip()) for key, equals, value in pairs if equals
    }
    shown = ", ".join(sorted(headers))
    findings.fact("headers", "Headers", f"{shown} ({name}; values not shown)", sorted(headers))
    return headers
