"""Adding the processors to the providers of the instrumented process."""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import _logs, trace

from keras_otel._guard import guarded
from keras_otel.options import Options

# A provider keeps its processors for ever: instrumenting again wakes the ones that are there.
_attached: Final[WeakKeyDictionary[Any, Any]] = WeakKeyDictionary()


def attach(options: Options) -> bool:
    """Add the processors to the providers that are SDK providers by now.

    Returns:
        False while the process has no tracer provider yet.
    """
    tracers = options.tracer_provider or trace.get_tracer_provider()
    loggers = options.logger_provider or _logs.get_logger_provider()
    guarded("attach to the tracer provider", _attach_spans, tracers)
    guarded("attach to the logger provider", _attach_logs, loggers)
    return not isinstance(tracers, trace.ProxyTracerProvider)


def detach() -> None:
    """Silence the processors that `attach` added."""
    for processor in list(_attached.values()):
        processor.set_enabled(False)


def _attach_spans(provider: Any) -> None:
    # A provider of another SDK has no processors; the spans that it makes are not stamped.
    if hasattr(provider, "add_span_processor"):
        from keras_otel.propagation.processors import KerasSpanProcessor

        _wake_or_add(provider, KerasSpanProcessor, provider.add_span_processor)


def _attach_logs(provider: Any) -> None:
    if hasattr(provider, "add_log_record_processor"):
        from keras_otel.propagation.processors import KerasLogRecordProcessor

        _wake_or_add(provider, KerasLogRecordProcessor, provider.add_log_record_processor)


def _wake_or_add(provider: Any, kind: Any, add: Any) -> None:
    processor = _attached.get(provider)
    if processor is not None:
        processor.set_enabled(True)
        return
    processor = _attached[provider] = kind()
    add(processor)
