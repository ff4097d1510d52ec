"""Whether an OTLP/gRPC endpoint answers."""

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
from keras_otel.diagnostics.endpoint_errors import Refusal
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.target import Target

_TIMEOUT_S: Final = 3.0


def ask_grpc(
    findings: Findings, environ: Mapping[str, str], target: Target, headers: Mapping[str, str]
) -> None:
    """Export no spans at all, with the exporter's own stub."""
    started = time.perf_counter()
    with (
        _channel(target, endpoint_errors.certificate(environ)) as channel,
        suppress_instrumentation(),
    ):
        try:
            stub: Any = TraceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
            stub.Export(
                ExportTraceServiceRequest(), timeout=_TIMEOUT_S, metadata=tuple(headers.items())
            )
        except grpc.RpcError as error:
            refusal = _refusal(target, error)
            findings.fact("answer", "Endpoint", refusal.what)
            findings.wrong(f"{target.shown}: {refusal.what}", refusal.mend)
            return
    elapsed_ms = (time.perf_counter() - started) * 1e3
    findings.fact("answer", "Endpoint", f"answers OK in {elapsed_ms:.0f} ms")


def _channel(target: Target, certificate: str | None) -> Any:
    address = target.address.rpartition("@")[2]
    if not target.is_secure:
        return grpc.insecure_channel(address)
    roots = Path(certificate).read_bytes() if certificate else None
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots))


def _refusal(target: Target, error: Any) -> Refusal:
    code, details = error.code(), str(error.details() or "")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return endpoint_errors.silent(target, _TIMEOUT_S)
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return endpoint_errors.denied(f"answers {code.name}")
    if "http2 header with status" in details:
        # A web server that knows HTTP/2, mostly the receiver's own OTLP/HTTP port.
        return endpoint_errors.misunderstood(target)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Refusal(
            what="a gRPC server answers that takes no OTLP traces",
            mend="Name the OTLP port of the Collector or backend, mostly 4317",
        )
    if code is grpc.StatusCode.UNAVAILABLE:
        return _unavailable(target, details.lower())
    return Refusal(what=f"answers {code.name}", mend="See the receiver's own log")


def _unavailable(target: Target, details: str) -> Refusal:
    # gRPC has one code for all of these; its own words are the only way to tell them apart.
    if "refused" in details:
        return endpoint_errors.refused(target)
    if any(word in details for word in ("dns", "resolution", "name or service", "domain name")):
        return endpoint_errors.unresolved(target)
    if "wrong_version" in details:
        return endpoint_errors.plaintext(target)
    if "certificate" in details:
        return endpoint_errors.untrusted("verification failed")
    return endpoint_errors.misunderstood(target)
