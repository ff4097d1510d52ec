"""Set an OpenTelemetry SDK up where none is set up yet: `instrument(export=...)`."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from keras_otel._own_random import isolate_sdk
from keras_otel.errors import OptionError
from keras_otel.export.delivery import (
    CountedLogRecordProcessor,
    CountedSpanProcessor,
    Endpoint,
    NotedMetricReader,
    Pipeline,
    Tally,
    pipelines,
)
from keras_otel.export.exits import watch_exits
from keras_otel.export.fit_batches import fit_log_records, fit_resource, fit_spans
from keras_otel.ids import IndependentIdGenerator
from keras_otel.options import export_timeouts

_log = logging.getLogger("keras_otel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporters:
    """One exporter for each signal, all to the same target."""

    spans: Any
    metrics: Any
    logs: Any


def fill_providers(target: str) -> tuple[str, ...]:
    """Give each signal that has no provider an SDK provider that exports to `target`.

    They are flushed when the process ends: at the interpreter's exit, at SIGTERM, and at the end of
    forked children.

    Args:
        target: `http(s)://host:port`, `grpc(s)://host:port` or `file:path`.

    Returns:
        The signals that were set up, of `traces`, `metrics` and `logs`.

    Raises:
        OptionError: The file cannot be opened for writing.
    """
    open_signals = [signal for signal, is_set in _is_set().items() if not is_set]
    if not open_signals:
        _log.warning(
            "keras_otel: option 'export' is not used: the process has its own OpenTelemetry "
            "providers for traces, metrics and logs, and spans go where those send them"
        )
        return ()
    exporters = _exporters(target)
    isolate_sdk()
    endpoint = Endpoint(target)
    if "traces" in open_signals:
        _fill_traces(exporters.spans, endpoint)
    if "logs" in open_signals:
        _fill_logs(exporters.logs, endpoint)
    if "metrics" in open_signals:
        _fill_metrics(exporters.metrics, endpoint)
    watch_exits()
    return tuple(open_signals)


def _fill_traces(exporter: Any, endpoint: Endpoint) -> None:
    tally = Tally("spans")
    watched = endpoint.watch(exporter, tally, SpanExportResult, fit_spans)
    provider = TracerProvider(
        resource=fit_resource(),
        id_generator=IndependentIdGenerator(),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(CountedSpanProcessor(watched, tally))
    trace.set_tracer_provider(provider)
    pipelines.append(Pipeline(provider=provider, tally=tally, endpoint=endpoint))


def _fill_logs(exporter: Any, endpoint: Endpoint) -> None:
    tally = Tally("log records")
    watched = endpoint.watch(exporter, tally, LogRecordExportResult, fit_log_records)
    provider = LoggerProvider(fit_resource(), shutdown_on_exit=False)
    provider.add_log_record_processor(CountedLogRecordProcessor(watched, tally))
    _logs.set_logger_provider(provider)
    pipelines.append(Pipeline(provider=provider, tally=tally, endpoint=endpoint))


def _fill_metrics(exporter: Any, endpoint: Endpoint) -> None:
    tally = Tally("metrics")
    watched = endpoint.watch(exporter, tally, MetricExportResult)
    reader = NotedMetricReader(watched, tally)
    provider = MeterProvider([reader], fit_resource(), shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    pipelines.append(Pipeline(provider=provider, tally=tally, endpoint=endpoint))


def _is_set() -> dict[str, bool]:
    """Whether each signal has a provider: the API hands out proxies until one is set."""
    return {
        "traces": not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider),
        "metrics": type(metrics.get_meter_provider()).__name__ != "_ProxyMeterProvider",
        "logs": type(_logs.get_logger_provider()).__name__ != "ProxyLoggerProvider",
    }


def _exporters(target: str) -> Exporters:
    scheme = urlsplit(target).scheme
    if scheme == "file":
        return _file_exporters(Path(file_path(target)))
    if scheme in ("grpc", "grpcs"):
        return _grpc_exporters(target)
    return _http_exporters(target)


def file_path(target: str, platform: str = os.name) -> PurePath:
    """Return the path that a `file:` target names, on Windows also that of `file:///C:/...`."""
    text = target.removeprefix("file://").removeprefix("file:")
    if platform != "nt":
        return PurePosixPath(text)
    return PureWindowsPath(text[1:] if re.match(r"/[A-Za-z]:[/\\]", text) else text)


def _timeout_s(signal: str) -> int | None:
    """How long one export may take, retries included; None where the environment says it.

    The SDK's own 10 s, once a signal, would keep a program with a dead endpoint from ending for
    up to half a minute.
    """
    return None if any(os.environ.get(name) for name in export_timeouts(signal)) else 4


def _http_exporters(target: str) -> Exporters:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    base = target.rstrip("/")
    return Exporters(
        spans=OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=_timeout_s("TRACES")),
        metrics=OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=_timeout_s("METRICS")),
        logs=OTLPLogExporter(endpoint=f"{base}/v1/logs", timeout=_timeout_s("LOGS")),
    )


def _grpc_exporters(target: str) -> Exporters:
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    parts = urlsplit(target)
    insecure = parts.scheme == "grpc"
    endpoint = urlunsplit(("http" if insecure else "https", parts.netloc, "", "", ""))
    return Exporters(
        spans=OTLPSpanExporter(endpoint=endpoint, insecure=insecure, timeout=_timeout_s("TRACES")),
        metrics=OTLPMetricExporter(
            endpoint=endpoint, insecure=insecure, timeout=_timeout_s("METRICS")
        ),
        logs=OTLPLogExporter(endpoint=endpoint, insecure=insecure, timeout=_timeout_s("LOGS")),
    )


def _file_exporters(path: Path) -> Exporters:
    from opentelemetry.exporter.otlp.json.file import FileMetricExporter, FileSpanExporter
    from opentelemetry.exporter.otlp.json.file._log_exporter import FileLogExporter

    try:
        # One stream for the three signals: each line is one write and one flush, so that lines
        # of different threads stay whole. It stays open until the interpreter exits, because the
        # SDK writes its last batches then.
        stream = path.open("a", encoding="utf-8")
    except OSError as error:
        raise OptionError(
            f"option 'export': {path} cannot be opened for writing ({error.strerror}); "
            "name a file in a folder that exists and is writable"
        ) from error
    return Exporters(
        spans=FileSpanExporter(stream=stream),
        metrics=FileMetricExporter(stream=stream),
        logs=FileLogExporter(stream=stream),
    )
