"""The target that spans are sent to, read from the environment."""

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

EXPORT_VARIABLE: Final = ENVIRONMENT["export"]
TRACES_PATH: Final = "/v1/traces"
GRPC_PORT: Final = 4317
HTTP_PORT: Final = 4318

# The values of OTEL_EXPORTER_OTLP_PROTOCOL that OpenTelemetry's SDK for Python accepts.
_OTLP_PROTOCOLS: Final[Mapping[str, Protocol]] = {"grpc": "grpc", "http/protobuf": "http"}
_ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOL_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_INSECURE_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target that spans are sent to.

    Attributes:
        protocol: How they are sent.
        address: A whole URL for `http`, `host:port` for `grpc`, a path for `file`.
        is_secure: Whether the connection uses TLS.
        source: The variable or argument that names it.
    """

    protocol: Protocol
    address: str
    is_secure: bool
    source: str

    @property
    def display_url(self) -> str:
        """Return the target as a URL without secrets."""
        match self.protocol:
            case "file":
                return f"file:{self.address}"
            case "grpc":
                return safe_url(f"grpc{'s' if self.is_secure else ''}://{self.address}")
            case "http":
                return safe_url(self.address)

    @property
    def url_parts(self) -> SplitResult:
        """Return the address split as a URL."""
        url = self.address if "://" in self.address else f"//{self.address}"
        return urlsplit(url)


def check_target(
    findings: Findings, environ: Mapping[str, str], endpoint: str | None
) -> Target | None:
    """Find the target, and check that its URL is valid.

    Args:
        findings: Where to add what is found.
        environ: The environment of the program.
        endpoint: The argument of `--endpoint`, which overrides the environment.

    Returns:
        The target; None where there is none or its URL is invalid.
    """
    target = _find_target(findings, environ, endpoint)
    if target is None:
        findings.add_fact("target", "Spans go to", "no target in the environment", {})
        findings.add_note(
            f"Unless the program sets a TracerProvider, spans are lost. Set {EXPORT_VARIABLE}, call "
            'instrument(export="http://localhost:4318"), or name a target to check with --endpoint'
        )
        return None
    findings.add_fact(
        "target",
        "Spans go to",
        f"{target.display_url} ({target.source})",
        {"url": target.display_url, "protocol": target.protocol, "source": target.source},
    )
    if target.protocol == "file":
        return target
    if target.url_parts.query or target.url_parts.fragment:
        findings.add_problem(
            f"{target.source} has a query string, to which the exporter would append its path",
            "Remove the query string; API keys go into OTEL_EXPORTER_OTLP_HEADERS",
        )
        return None
    return target if _has_valid_port(findings, target) else None


def target_of_export(url: str, source: str) -> Target:
    """Return the target of `instrument(export=url)`; the URL must be one that `resolve` accepts."""
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


def _find_target(
    findings: Findings, environ: Mapping[str, str], endpoint: str | None
) -> Target | None:
    """Return the target of `--endpoint`, else of our variable, else of OpenTelemetry's."""
    if endpoint is not None:
        return target_of_export(endpoint, "--endpoint")
    otlp_variable = _first_set(environ, _ENDPOINT_VARIABLES)
    if export := environ.get(EXPORT_VARIABLE, "").strip():
        try:
            resolve({}, {EXPORT_VARIABLE: export})
        except OptionError:
            return None  # reported by the check of variables
        if otlp_variable:
            findings.add_note(
                f"{otlp_variable} is set too, and is the one used under opentelemetry-instrument"
            )
        return target_of_export(export, EXPORT_VARIABLE)
    if otlp_variable or environ.get("OTEL_TRACES_EXPORTER", "").strip() == "otlp":
        return _otlp_target(findings, environ, otlp_variable)
    return None


def _first_set(environ: Mapping[str, str], variables: tuple[str, ...]) -> str | None:
    return next((name for name in variables if environ.get(name, "").strip()), None)


def _otlp_target(
    findings: Findings, environ: Mapping[str, str], variable: str | None
) -> Target | None:
    """Return the target that OpenTelemetry's SDK takes from its own variables.

    Args:
        findings: Where to add what is found.
        environ: The environment of the program.
        variable: The variable that names the endpoint; None for OTLP's default endpoint.
    """
    protocol = _otlp_protocol(findings, environ)
    if protocol is None:
        return None
    _note_readers(findings, variable or "OTEL_TRACES_EXPORTER")
    default_port = GRPC_PORT if protocol == "grpc" else HTTP_PORT
    url = environ[variable].strip() if variable else f"http://localhost:{default_port}"
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
        findings.add_problem(f"{source} is not a URL: {url}", "Write http://host:4318")
        return None
    # By OTLP's specification the path is appended to the general endpoint, not to the traces' own.
    is_complete = variable == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    address = url if is_complete else url.rstrip("/") + TRACES_PATH
    return Target(
        protocol="http", address=address, is_secure=parts.scheme == "https", source=source
    )


def _otlp_protocol(findings: Findings, environ: Mapping[str, str]) -> Protocol | None:
    variable = _first_set(environ, _PROTOCOL_VARIABLES)
    protocol = environ[variable].strip() if variable else "grpc"
    if protocol not in _OTLP_PROTOCOLS:
        findings.add_problem(
            f"{variable} cannot be {protocol!r}: OpenTelemetry's SDK for Python does not support it",
            f"Write {' or '.join(_OTLP_PROTOCOLS)}",
        )
    return _OTLP_PROTOCOLS.get(protocol)


def _is_insecure(environ: Mapping[str, str], scheme: str) -> bool:
    """Return whether the gRPC exporter would connect without TLS, by its own rules."""
    if scheme == "https":
        return False
    for variable in _INSECURE_VARIABLES:
        if environ.get(variable):
            return environ[variable].strip().lower() == "true"
    return scheme == "http"


def _has_valid_port(findings: Findings, target: Target) -> bool:
    try:
        _ = target.url_parts.port
    except ValueError:
        findings.add_problem(
            f"{target.source} has an invalid port: {target.display_url}", "Correct the port"
        )
        return False
    return True


def _note_readers(findings: Findings, variable: str) -> None:
    distro = installed_version("opentelemetry-distro")
    missing = "" if distro else " (with opentelemetry-distro, which is not installed)"
    findings.add_note(
        f"{variable} is read by opentelemetry-instrument{missing} or by an SDK that the program "
        f"sets up; keras_otel.instrument() alone reads {EXPORT_VARIABLE}"
    )
