"""What can be wrong with an endpoint, in words, for HTTP and gRPC alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.target import GRPC_PORT, HTTP_PORT, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an endpoint takes no spans, and how to mend it."""

    what: str
    mend: str


def certificate(environ: Mapping[str, str]) -> str | None:
    """The file of certificates that the exporter trusts, where one is named and there."""
    for name in ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"):
        path = environ.get(name, "").strip()
        if path and Path(path).is_file():
            return path
    return None


def check_certificates(findings: Findings, environ: Mapping[str, str]) -> None:
    """Whether the files that the exporter is told to read are there."""
    for name in sorted(environ):
        is_file = name.endswith(("_CERTIFICATE", "_CLIENT_KEY"))
        if not (name.startswith("OTEL_EXPORTER_OTLP_") and is_file and environ[name].strip()):
            continue
        if not Path(environ[name].strip()).is_file():
            findings.wrong(f"{name} names {environ[name]}, which is no file", "Correct the path")


def refused(target: Target) -> Refusal:
    """Nobody listens at the port."""
    usual = GRPC_PORT if target.protocol == "grpc" else HTTP_PORT
    other = f"correct the port (mostly {usual})" if target.host.port != usual else "name another"
    mend = f"Start the Collector or backend there, or {other}"
    return Refusal(what="connection refused", mend=mend)


def misunderstood(target: Target) -> Refusal:
    """Somebody listens and does not speak the protocol."""
    host, port = target.host.hostname, target.host.port
    other, secure = ("grpc", "https") if target.protocol == "http" else ("http", "grpcs")
    is_plain_variable = target.source.startswith("OTEL_EXPORTER_")
    protocol = "grpc" if other == "grpc" else "http/protobuf"
    switch = f"set OTEL_EXPORTER_OTLP_PROTOCOL={protocol}"
    write = switch if is_plain_variable else f"write {other}://{host}:{port}"
    usual = {GRPC_PORT: " (OTLP's port for gRPC)", HTTP_PORT: " (OTLP's port for HTTP)"}
    encrypted = "https" if is_plain_variable else secure
    also = "" if target.is_secure else f"; if it is encrypted, write {encrypted}://"
    return Refusal(
        what=f"what listens there{usual.get(port or 0, '')} does not speak "
        f"{'HTTP' if target.protocol == 'http' else 'gRPC'}",
        mend=f"If it takes {'gRPC' if other == 'grpc' else 'HTTP'}, {write}{also}",
    )


def unresolved(target: Target) -> Refusal:
    """The name has no address."""
    return Refusal(
        what=f"the name {target.host.hostname} cannot be resolved",
        mend="Correct the host name; inside a container localhost is the container itself",
    )


def silent(target: Target, timeout_s: float) -> Refusal:
    """Nothing came back in time."""
    return Refusal(
        what=f"no answer within {timeout_s:.0f} s",
        mend=f"Open the way to {target.host.hostname} (firewall, network policy) or correct it",
    )


def denied(what: str) -> Refusal:
    """The receiver wants other credentials."""
    return Refusal(
        what=f"{what}: not allowed",
        mend="Correct the key in OTEL_EXPORTER_OTLP_HEADERS, such as authorization=Bearer%20KEY",
    )


def untrusted(reason: str) -> Refusal:
    """The certificate cannot be verified."""
    return Refusal(
        what=f"its certificate is not trusted ({reason})",
        mend="Name the file of its CA in OTEL_EXPORTER_OTLP_CERTIFICATE",
    )


def plaintext(target: Target) -> Refusal:
    """We speak TLS, the port does not."""
    if target.protocol == "grpc":
        mend = "Write grpc:// instead of grpcs://, or set OTEL_EXPORTER_OTLP_INSECURE=true"
    else:
        mend = "Write http:// instead of https://"
    return Refusal(what="the port is not encrypted (no TLS)", mend=mend)
