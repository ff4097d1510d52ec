"""Whether an OTLP/gRPC endpoint accepts spans."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from keras_otel.diagnostics import endpoint_errors
from keras_otel.diagnostics.certificates import ca_file
from keras_otel.diagnostics.endpoint_errors import EndpointError
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.target import Target

_TIMEOUT_S: Final = 3.0
_DNS_WORDS: Final = ("dns", "resolution", "name or service", "domain name")


def check_grpc_endpoint(
    findings: Findings, environ: Mapping[str, str], target: Target, headers: Mapping[str, str]
) -> None:
    """Check that the endpoint accepts an export without spans, sent with the exporter's own stub."""
    started = time.perf_counter()
    with _open_channel(target, ca_file(environ)) as channel, suppress_instrumentation():
        try:
            stub: Any = TraceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
            stub.Export(
                ExportTraceServiceRequest(), timeout=_TIMEOUT_S, metadata=tuple(headers.items())
            )
        except grpc.RpcError as rpc_error:
            error = _endpoint_error(target, rpc_error)
            findings.add_fact("answer", "Endpoint", error.message)
            findings.add_problem(f"{target.display_url}: {error.message}", error.fix)
            return
    elapsed_ms = (time.perf_counter() - started) * 1e3
    findings.add_fact("answer", "Endpoint", f"responded OK in {elapsed_ms:.0f} ms")


def _open_channel(target: Target, ca_path: str | None) -> Any:
    address = target.address.rpartition("@")[2]
    if not target.is_secure:
        return grpc.insecure_channel(address)
    roots = Path(ca_path).read_bytes() if ca_path else None
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots))


def _endpoint_error(target: Target, rpc_error: Any) -> EndpointError:
    code, details = rpc_error.code(), str(rpc_error.details() or "")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return endpoint_errors.timed_out(target, _TIMEOUT_S)
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return endpoint_errors.unauthorized(f"responded {code.name}")
    if "http2 header with status" in details:
        # A web server that speaks HTTP/2, usually the receiver's own OTLP/HTTP port.
        return endpoint_errors.wrong_protocol(target)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return EndpointError(
            message="the gRPC server there does not accept OTLP traces",
            fix="Name the OTLP port of the Collector or backend, usually 4317",
        )
    if code is grpc.StatusCode.UNAVAILABLE:
        return _unavailable_error(target, details.lower())
    return EndpointError(message=f"responded {code.name}", fix="See the receiver's own log")


def _unavailable_error(target: Target, details: str) -> EndpointError:
    # gRPC has one status code for all of these; only the wording of its details distinguishes them.
    if "refused" in details:
        return endpoint_errors.connection_refused(target)
    if any(word in details for word in _DNS_WORDS):
        return endpoint_errors.host_not_found(target)
    if "wrong_version" in details:
        return endpoint_errors.tls_not_supported(target)
    if "certificate" in details:
        return endpoint_errors.untrusted_certificate("verification failed")
    return endpoint_errors.wrong_protocol(target)
