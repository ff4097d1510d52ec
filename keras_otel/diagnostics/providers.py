"""The OpenTelemetry providers of this process, and where their spans go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry import _logs, metrics, trace

from keras_otel._secrets import redacted
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.id_generator import check_id_generator
from keras_otel.diagnostics.target import Target
from keras_otel.export.providers import file_path
from keras_otel.options import Options, in_force
from keras_otel.propagation.attachment import UNREACHABLE_FIX, is_unreachable, unreachable_text
from keras_otel.propagation.processor_pipeline import SPANS, pipeline_of
from keras_otel.propagation.processors import KerasSpanProcessor

# What the API returns where no SDK is set up.
_API_PROVIDERS: Final = ("ProxyTracerProvider", "NoOpTracerProvider")


def is_set_up() -> bool:
    """Return whether this process is instrumented or has an SDK."""
    provider = type(trace.get_tracer_provider()).__name__
    return in_force() is not None or provider not in _API_PROVIDERS


def process_target() -> Target | None:
    """Return the target of this process's first OTLP exporter; None where it has none."""
    for exporter in _exporters(trace.get_tracer_provider()):
        endpoint = getattr(exporter, "_endpoint", None)
        if not isinstance(endpoint, str):
            continue
        is_grpc = ".grpc." in type(exporter).__module__
        if is_grpc:
            is_secure = not getattr(exporter, "_insecure", True)
        else:
            is_secure = endpoint.startswith("https:")
        return Target(
            protocol="grpc" if is_grpc else "http",
            address=endpoint,
            is_secure=is_secure,
            source=f"this process's {type(exporter).__name__}",
        )
    return None


def check_providers(findings: Findings, options: Options) -> None:
    """Check the providers that the options name, else those of this process."""
    tracer_provider = options.tracer_provider or trace.get_tracer_provider()
    providers = {
        "traces": tracer_provider,
        "metrics": options.meter_provider or metrics.get_meter_provider(),
        "logs": options.logger_provider or _logs.get_logger_provider(),
    }
    class_names = {signal: type(provider).__name__ for signal, provider in providers.items()}
    text = ", ".join(f"{signal} {class_name}" for signal, class_name in class_names.items())
    findings.add_fact("providers", "Providers", text, class_names)
    exporters = [_describe_exporter(exporter) for exporter in _exporters(tracer_provider)]
    findings.add_fact("exporters", "Spans go to", "; ".join(exporters) or "nowhere", exporters)
    _check_spans_are_processed(findings, tracer_provider)
    if options.propagate != "none" and is_unreachable(tracer_provider):
        findings.add_problem(unreachable_text(tracer_provider), UNREACHABLE_FIX)
    _check_sampler(findings, tracer_provider)
    check_id_generator(findings, tracer_provider)


def check_export_is_used(findings: Findings, options: Options) -> None:
    """Check that spans go to the target of `export`, which only fills providers not set before."""
    tracer_provider = options.tracer_provider or trace.get_tracer_provider()
    if options.export is not None and not _exports_to(tracer_provider, options.export):
        findings.add_problem(
            f"export={redacted(options.export)} is not used for spans: a TracerProvider was set "
            "before, and spans go to its exporters",
            "Add an exporter to that provider, or set no provider and leave it to export",
        )


def _check_spans_are_processed(findings: Findings, tracer_provider: Any) -> None:
    if type(tracer_provider).__name__ in _API_PROVIDERS:
        findings.add_problem(
            "no OpenTelemetry SDK is set up in this process, so spans go nowhere",
            'Call keras_otel.instrument(export="http://localhost:4318"), or set a TracerProvider',
        )
    elif getattr(tracer_provider, "_disabled", False):
        findings.add_problem("OTEL_SDK_DISABLED=true drops every span", "Unset it and restart")
    elif hasattr(tracer_provider, "_active_span_processor") and not _processors(tracer_provider):
        findings.add_problem(
            "the TracerProvider has no span processor, so spans go nowhere",
            "provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))",
        )


def _check_sampler(findings: Findings, tracer_provider: Any) -> None:
    sampler = getattr(tracer_provider, "sampler", None)
    if sampler is None:
        return
    description: str = sampler.get_description()
    # `ParentBased{root:AlwaysOnSampler,remoteParent...` is shown as `ParentBased AlwaysOnSampler`.
    text = description.partition(",remoteParent")[0].replace("{root:", " ")
    findings.add_fact("sampler", "Sampler", text)
    if description.startswith(("AlwaysOff", "ParentBased{root:AlwaysOff")):
        findings.add_problem(
            "the sampler drops every span that starts a trace",
            "Unset OTEL_TRACES_SAMPLER, or give the TracerProvider another sampler",
        )


def _processors(tracer_provider: Any) -> tuple[Any, ...]:
    # The SDK has these in private attributes only; other implementations have none to show.
    pipeline = pipeline_of(tracer_provider, SPANS)
    processors = () if pipeline is None else getattr(pipeline.target, "_span_processors", ())
    # Our own adds attributes to spans and exports none.
    return tuple([p for p in processors if not isinstance(p, KerasSpanProcessor)])


def _exporters(tracer_provider: Any) -> Iterator[Any]:
    for processor in _processors(tracer_provider):
        exporter = getattr(processor, "span_exporter", None)
        if exporter is not None:
            yield exporter


def _exports_to(tracer_provider: Any, export: str) -> bool:
    parts = urlsplit(export)
    is_file = parts.scheme == "file"
    address = str(file_path(export)) if is_file else parts.netloc.rpartition("@")[2]
    return any(address in _describe_exporter(exporter) for exporter in _exporters(tracer_provider))


def _describe_exporter(exporter: Any) -> str:
    endpoint = getattr(exporter, "_endpoint", None)
    if endpoint is None:
        # A file exporter, ours or the SDK's for the console, has a stream with a name.
        writer = getattr(exporter, "_exporter", exporter)
        endpoint = getattr(getattr(writer, "_stream", None), "name", None)
    class_name = type(exporter).__name__
    return redacted(f"{class_name} to {endpoint}") if endpoint else class_name
