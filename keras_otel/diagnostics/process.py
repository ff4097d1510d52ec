"""What is switched on in this very process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import _logs, metrics, trace

from keras_otel._guard import failure_counts
from keras_otel._secrets import redacted
from keras_otel.diagnostics.calls import check_calls
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.id_generator import check_ids
from keras_otel.diagnostics.propagators import check_process_propagators
from keras_otel.diagnostics.target import Target
from keras_otel.diagnostics.trial import check_counts, grouped
from keras_otel.export.providers import file_path
from keras_otel.instrumentor import ignored_options, patched
from keras_otel.metrics import dropped_counts
from keras_otel.options import Options, in_force
from keras_otel.propagation.attachment import UNREACHABLE_FIX, is_unreachable, unreachable_text
from keras_otel.propagation.processor_pipeline import SPANS, pipeline_of
from keras_otel.propagation.processors import KerasSpanProcessor

_KERAS = ("keras", "tf_keras")
_API_ONLY = ("ProxyTracerProvider", "NoOpTracerProvider")


def check_process(findings: Findings) -> None:
    """Whether this process is instrumented, with what, and where its spans go."""
    present = in_force()
    options = present or Options()
    imported = [name for name in _KERAS if hasattr(sys.modules.get(name), "Model")]
    findings.fact(
        "instrumented",
        "Instrumented",
        f"{'yes' if present else 'no'}, Keras {'imported' if imported else 'not imported yet'}",
        present is not None,
    )
    if present is None:
        findings.wrong(
            "this process is not instrumented",
            "Call keras_otel.instrument(), or start it with opentelemetry-instrument",
        )
    _check_patches(findings, is_expected=present is not None and bool(imported))
    findings.fact("options", "Options", _changed(options), _values(options))
    check_providers(findings, options)
    _check_ignored(findings, options)
    check_process_propagators(findings)
    check_calls(findings)
    check_counts(findings, failure_counts(), dropped_counts())


def _check_ignored(findings: Findings, options: Options) -> None:
    """What `instrument()` was asked for and could not do."""
    for names in ignored_options():
        findings.wrong(
            f"instrument() was called again with other options ({', '.join(names)}), and they are "
            "not used: the first call wins",
            "Call it once with all options, or call keras_otel.uninstrument() before",
        )
    tracers = options.tracer_provider or trace.get_tracer_provider()
    if options.export is not None and not _goes_to(tracers, options.export):
        findings.wrong(
            f"export={redacted(options.export)} is not used for spans: a TracerProvider was set "
            "before, and spans go where that one sends them",
            "Add an exporter to that provider, or set none and leave it to export",
        )


def _goes_to(tracers: Any, target: str) -> bool:
    """True if an exporter of the provider sends to the target of `export`."""
    parts = urlsplit(target)
    place = str(file_path(target)) if parts.scheme == "file" else parts.netloc.rpartition("@")[2]
    return any(place in _described(exporter) for exporter in _exporters(tracers))


def is_set_up() -> bool:
    """Whether this process is instrumented or has an SDK."""
    provider = type(trace.get_tracer_provider()).__name__
    return in_force() is not None or provider not in _API_ONLY


def process_target() -> Target | None:
    """Where the first OTLP exporter of this process sends to."""
    for exporter in _exporters(trace.get_tracer_provider()):
        endpoint = getattr(exporter, "_endpoint", None)
        if not isinstance(endpoint, str):
            continue
        is_grpc = ".grpc." in type(exporter).__module__
        return Target(
            protocol="grpc" if is_grpc else "http",
            address=endpoint,
            is_secure=not getattr(exporter, "_insecure", True)
            if is_grpc
            else endpoint.startswith("https:"),
            source=f"this process's {type(exporter).__name__}",
        )
    return None


def _check_patches(findings: Findings, *, is_expected: bool) -> None:
    names = patched()
    findings.fact("patched", "Patched", grouped(names), list(names))
    if is_expected and not names:
        findings.wrong(
            "Keras is imported and nothing of it is patched",
            "Call keras_otel.uninstrument() and keras_otel.instrument() again, and read the log",
        )


def _values(options: Options) -> dict[str, Any]:
    return {
        f.name: value
        if isinstance(value := getattr(options, f.name), (bool, int, type(None)))
        else redacted(str(value))
        for f in fields(options)
        if not f.name.endswith("_provider")
    }


def _changed(options: Options) -> str:
    default = _values(Options())
    changed = {k: v for k, v in _values(options).items() if v != default[k]}
    return ", ".join(f"{name}={value}" for name, value in changed.items()) or "all as by default"


def check_providers(findings: Findings, options: Options) -> None:
    """The providers that the options name or this process has, and what is behind them."""
    tracers = options.tracer_provider or trace.get_tracer_provider()
    providers = {
        "traces": tracers,
        "metrics": options.meter_provider or metrics.get_meter_provider(),
        "logs": options.logger_provider or _logs.get_logger_provider(),
    }
    kinds = {signal: type(provider).__name__ for signal, provider in providers.items()}
    findings.fact("providers", "Providers", ", ".join(f"{k} {v}" for k, v in kinds.items()), kinds)
    exporters = [_described(exporter) for exporter in _exporters(tracers)]
    findings.fact("exporters", "Spans go to", "; ".join(exporters) or "nowhere", exporters)
    if kinds["traces"] in _API_ONLY:
        findings.wrong(
            "no OpenTelemetry SDK is set up in this process, so spans go nowhere",
            'Call keras_otel.instrument(export="http://localhost:4318"), or set a TracerProvider',
        )
    elif getattr(tracers, "_disabled", False):
        findings.wrong("OTEL_SDK_DISABLED=true drops every span", "Unset it and start again")
    elif hasattr(tracers, "_active_span_processor") and not _processors(tracers):
        findings.wrong(
            "the TracerProvider has no span processor, so spans go nowhere",
            "provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))",
        )
    if options.propagate != "none" and is_unreachable(tracers):
        findings.wrong(unreachable_text(tracers), UNREACHABLE_FIX)
    _check_sampler(findings, tracers)
    check_ids(findings, tracers)


def _check_sampler(findings: Findings, tracers: Any) -> None:
    sampler = getattr(tracers, "sampler", None)
    if sampler is None:
        return
    text: str = sampler.get_description()
    findings.fact("sampler", "Sampler", text.partition(",remoteParent")[0].replace("{root:", " "))
    if text.startswith(("AlwaysOff", "ParentBased{root:AlwaysOff")):
        findings.wrong(
            "the sampler drops every span that starts a trace",
            "Unset OTEL_TRACES_SAMPLER, or give the TracerProvider another sampler",
        )


def _processors(tracers: Any) -> tuple[Any, ...]:
    # The SDK names these only privately; a provider of another make just has none to show.
    pipeline = pipeline_of(tracers, SPANS)
    processors = () if pipeline is None else getattr(pipeline.target, "_span_processors", ())
    # Ours stamps spans and sends them nowhere.
    return tuple([p for p in processors if not isinstance(p, KerasSpanProcessor)])


def _exporters(tracers: Any) -> Iterator[Any]:
    for processor in _processors(tracers):
        exporter = getattr(processor, "span_exporter", None)
        if exporter is not None:
            yield exporter


def _described(exporter: Any) -> str:
    endpoint = getattr(exporter, "_endpoint", None)
    if endpoint is None:
        writer = getattr(exporter, "_exporter", exporter)
        endpoint = getattr(getattr(writer, "_stream", None), "name", None)
    name = type(exporter).__name__
    return redacted(f"{name} to {endpoint}") if endpoint else name
