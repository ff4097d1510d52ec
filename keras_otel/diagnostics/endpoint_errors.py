"""Reasons why an endpoint does not accept spans, worded alike for HTTP and gRPC."""

from __future__ import annotations

from dataclasses import dataclass

from keras_otel.diagnostics.target import GRPC_PORT, HTTP_PORT, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointError:
    """Why an endpoint does not accept spans, and how to fix it."""

    message: str
    fix: str


def connection_refused(target: Target) -> EndpointError:
    """Return the error for a port on which nothing listens."""
    default_port = GRPC_PORT if target.protocol == "grpc" else HTTP_PORT
    if target.url_parts.port == default_port:
        alternative = "name another endpoint"
    else:
        alternative = f"correct the port (usually {default_port})"
    return EndpointError(
        message="connection refused",
        fix=f"Start the Collector or backend there, or {alternative}",
    )


def wrong_protocol(target: Target) -> EndpointError:
    """Return the error for a server that speaks another protocol than the target's."""
    host, port = target.url_parts.hostname, target.url_parts.port
    default_ports = {
        GRPC_PORT: " (the default port of OTLP/gRPC)",
        HTTP_PORT: " (the default port of OTLP/HTTP)",
    }
    is_http = target.protocol == "http"
    # OpenTelemetry's own variables have the protocol in a variable of its own, not in the scheme.
    if target.source.startswith("OTEL_EXPORTER_"):
        other_protocol = "grpc" if is_http else "http/protobuf"
        switch = f"set OTEL_EXPORTER_OTLP_PROTOCOL={other_protocol}"
        tls_scheme = "https"
    else:
        switch = f"write {'grpc' if is_http else 'http'}://{host}:{port}"
        tls_scheme = "https" if is_http else "grpcs"
    use_tls = "" if target.is_secure else f"; if it requires TLS, write {tls_scheme}://"
    return EndpointError(
        message=f"the server there{default_ports.get(port or 0, '')} does not speak "
        f"{'HTTP' if is_http else 'gRPC'}",
        fix=f"If it accepts {'gRPC' if is_http else 'HTTP'}, {switch}{use_tls}",
    )


def host_not_found(target: Target) -> EndpointError:
    """Return the error for a host name that DNS does not resolve."""
    return EndpointError(
        message=f"the host name {target.url_parts.hostname} cannot be resolved",
        fix="Correct the host name; inside a container localhost is the container itself",
    )


def timed_out(target: Target, timeout_s: float) -> EndpointError:
    """Return the error for a server that did not respond within `timeout_s` seconds."""
    return EndpointError(
        message=f"no response within {timeout_s:.0f} s",
        fix=f"Allow connections to {target.url_parts.hostname} (firewall, network policy), or "
        "correct the host name",
    )


def unauthorized(response: str) -> EndpointError:
    """Return the error for a server that rejects the credentials, or the lack of them.

    Args:
        response: What the server responded.
    """
    return EndpointError(
        message=f"{response}: the credentials are missing or rejected",
        fix="Correct the key in OTEL_EXPORTER_OTLP_HEADERS, such as authorization=Bearer%20KEY",
    )


def untrusted_certificate(reason: str) -> EndpointError:
    """Return the error for a server certificate that cannot be verified."""
    return EndpointError(
        message=f"the server's certificate is not trusted ({reason})",
        fix="Set OTEL_EXPORTER_OTLP_CERTIFICATE to the file of its CA",
    )


def tls_not_supported(target: Target) -> EndpointError:
    """Return the error for a TLS handshake with a port that does not speak TLS."""
    if target.protocol == "grpc":
        fix = "Write grpc:// instead of grpcs://, or set OTEL_EXPORTER_OTLP_INSECURE=true"
    else:
        fix = "Write http:// instead of https://"
    return EndpointError(message="the server does not use TLS", fix=fix)
