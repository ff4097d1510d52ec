"""Where spans go, as far as the environment says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from keras_otel._secrets import safe_url
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.packages import installed_version
from keras_otel.errors import OptionError
from keras_otel.options import ENVIRONMENT, resolve

Protocol = Literal["http", "grpc", "file"]

EXPORT: Final = ENVIRONMENT["export"]
TRACES_PATH: Final = "/v1/traces"
GRPC_PORT: Final = 4317
HTTP_PORT: Final = 4318

_PROTOCOLS: Final[Mapping[str, Protocol]] = {"grpc": "grpc", "http/protobuf": "http"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One place where spans go.

    Attributes:
        protocol: How they are sent.
        address: A whole URL for `http`, `host:port` for `grpc`, a path for `file`.
        is_secure: Whether the connection is encrypted.
        source: The variable or argument that names it.
    """

    protocol: Protocol
    address: str
    is_secure: bool
    source: str

    @property
    def shown(self) -> str:
        """The target without its secrets."""
        match self.protocol:
            case "file":
                return f"file:{self.address}"
            case "grpc":
                return safe_url(f"grpc{'s' if self.is_secure else ''}://{self.address}")
            case "http":
                return safe_url(self.address)

    @property
    def host(self) -> SplitResult:
        """The target's parts as a URL."""
        url = self.address if "://" in self.address else f"//{self.address}"
        return urlsplit(url)


def check_target(
    findings: Findings, environ: Mapping[str, str], endpoint: str | None
) -> Target | None:
    """The target that counts: the argument, then our variable, then OpenTelemetry's."""
    target = _target(findings, environ, endpoint)
    if target is None:
        findings.fact("target", "Spans go to", "nowhere that the environment names", {})
        _note_nowhere(findings)
        return None
    findings.fact(
        "target",
        "Spans go to",
        f"{target.shown} ({target.source})",
        {"url": target.shown, "protocol": target.protocol, "source": target.source},
    )
    if target.protocol == "file":
        return target
    if target.host.query or target.host.fragment:
        findings.wrong(
            f"{target.source} has a query string, and the exporter's path would land in it",
            "Write the address without it; keys go into OTEL_EXPORTER_OTLP_HEADERS",
        )
        return None
    return target if _has_port(findings, target) else None


def _target(findings: Findings, environ: Mapping[str, str], endpoint: str | None) -> Target | None:
    if endpoint is not None:
        return from_export(endpoint, "--endpoint")
    if export := environ.get(EXPORT, "").strip():
        try:
            resolve({}, {EXPORT: export})
        except OptionError:
            return None  # said by the check of variables
        if _otlp_endpoint(environ):
            findings.note(
                f"{_otlp_endpoint(environ)} is set too, and is the one that counts under "
                "opentelemetry-instrument"
            )
        return from_export(export, EXPORT)
    if _otlp_endpoint(environ) or environ.get("OTEL_TRACES_EXPORTER", "").strip() == "otlp":
        return _from_otlp(findings, environ)
    return None


def from_export(url: str, source: str) -> Target:
    """The target of `instrument(export=url)`; the URL must have passed `resolve`."""
    scheme = urlsplit(url).scheme
    if scheme == "file":
        path = url.removeprefix("file://").removeprefix("file:")
        return Target(protocol="file", address=path, is_secure=True, source=source)
    if scheme in ("grpc", "grpcs"):
        return Target(
            protocol="grpc",
            address=urlsplit(url).netloc,
            is_secure=scheme == "grpcs",
            source=source,
        )
    return Target(
        protocol="http",
        address=url.rstrip("/") + TRACES_PATH,
        is_secure=scheme == "https",
        source=source,
    )


def _otlp_endpoint(environ: Mapping[str, str]) -> str | None:
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return next((name for name in names if environ.get(name, "").strip()), None)


def _from_otlp(findings: Findings, environ: Mapping[str, str]) -> Target | None:
    variable = _otlp_endpoint(environ)
    protocol = _otlp_protocol(findings, environ)
    if protocol is None:
        return None
    _note_who_reads(findings, variable or "OTEL_TRACES_EXPORTER")
    port = GRPC_PORT if protocol == "grpc" else HTTP_PORT
    url = environ[variable].strip() if variable else f"http://localhost:{port}"
    source = variable or f"default of OTLP {protocol}"
    parts = urlsplit(url)
    if protocol == "grpc":
        return Target(
            protocol="grpc",
            address=parts.netloc or url,
            is_secure=not _is_insecure(environ, parts.scheme),
            source=source,
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        findings.wrong(f"{source} is no URL: {url}", "Write http://host:4318")
        return None
    is_whole = variable == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    address = url if is_whole else url.rstrip("/") + TRACES_PATH
    return Target(
        protocol="http", address=address, is_secure=parts.scheme == "https", source=source
    )


def _otlp_protocol(findings: Findings, environ: Mapping[str, str]) -> Protocol | None:
    names = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    name = next((name for name in names if environ.get(name, "").strip()), None)
    text = environ[name].strip() if name else "grpc"
    if text not in _PROTOCOLS:
        findings.wrong(
            f"{name} cannot be {text!r}: OpenTelemetry's SDK for Python does not know it",
            f"Write {' or '.join(_PROTOCOLS)}",
        )
    return _PROTOCOLS.get(text)


def _is_insecure(environ: Mapping[str, str], scheme: str) -> bool:
    if scheme == "https":
        return False
    for name in ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"):
        if environ.get(name):
            return environ[name].strip().lower() == "true"
    return scheme == "http"


def _has_port(findings: Findings, target: Target) -> bool:
    try:
        _ = target.host.port
    except ValueError:
        findings.wrong(f"{target.source} has a bad port: {target.shown}", "Correct the port")
        return False
    return True


def _note_nowhere(findings: Findings) -> None:
    findings.note(
        f"Where the program sets no provider either, spans are lost. Set {EXPORT}, call "
        'instrument(export="http://localhost:4318"), or ask here with --endpoint'
    )


def _note_who_reads(findings: Findings, variable: str) -> None:
    distro = installed_version("opentelemetry-distro")
    needs = "" if distro else " (with opentelemetry-distro, which is not installed)"
    findings.note(
        f"{variable} counts under opentelemetry-instrument{needs} or with an SDK that the program "
        f"sets up; keras_otel.instrument() alone reads {EXPORT}"
    )
