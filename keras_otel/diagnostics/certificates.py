"""The certificate files that OTLP exporters are configured to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keras_otel.diagnostics.findings import Findings

_CA_VARIABLES: Final = (
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
)
_FILE_SUFFIXES: Final = ("_CERTIFICATE", "_CLIENT_KEY")


def ca_file(environ: Mapping[str, str]) -> str | None:
    """Return the CA file that the exporter trusts; None where none is set or it does not exist."""
    for variable in _CA_VARIABLES:
        path = environ.get(variable, "").strip()
        if path and Path(path).is_file():
            return path
    return None


def check_certificate_files(findings: Findings, environ: Mapping[str, str]) -> None:
    """Check that every certificate and key file named in the environment exists."""
    for variable in sorted(environ):
        if not (variable.startswith("OTEL_EXPORTER_OTLP_") and variable.endswith(_FILE_SUFFIXES)):
            continue
        path = environ[variable].strip()
        if path and not Path(path).is_file():
            findings.add_problem(f"{variable} is {path}, which is not a file", "Correct the path")
