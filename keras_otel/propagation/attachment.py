"""Adding the processors to the providers of the instrumented process."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from opentelemetry import _logs, trace
from opentelemetry._logs import _internal as _logs_api

from keras_otel import semconv
from keras_otel._forks import run_in_child
from keras_otel._guard import guarded
from keras_otel.options import Options
from keras_otel.propagation.processor_pipeline import LOGS, SPANS, Pipeline, Signal, pipeline_of

_log = logging.getLogger("keras_otel")


class _AddedProcessors:
    """The processors that were added, by the identity of what they were added to.

    A provider keeps its processors for ever: instrumenting again wakes the ones that are there. It
    need be neither hashable nor weakly referable. The lock is for several threads whose first
    inferences find the same provider.
    """

    def __init__(self) -> None:
        self._processors: dict[int, tuple[Callable[[], Any], Any]] = {}
        self._start_over()
        run_in_child(self._start_over)

    def _start_over(self) -> None:
        self.lock = threading.RLock()

    def get(self, target: Any) -> Any:
        """Return the processor that was added to this object; None if there is none."""
        reference, processor = self._processors.get(id(target), (None, None))
        return processor if reference is not None and reference() is target else None

    def add(self, target: Any, processor: Any) -> None:
        """Remember a processor as long as the object that it was added to lives."""
        key = id(target)
        reference: Callable[[], Any]
        try:
            reference = weakref.ref(target, lambda gone: self._forget(key, gone))
        except TypeError:  # it takes no weak reference
            reference = lambda: target  # noqa: E731 - stands for one
        self._processors[key] = (reference, processor)

    def all(self) -> list[Any]:
        """Return every processor that was added."""
        return [processor for _, processor in list(self._processors.values())]

    def _forget(self, key: int, gone: Any) -> None:
        reference, _ = self._processors.get(key, (None, None))
        if reference is gone:  # else the key has a new owner
            del self._processors[key]


_added: Final = _AddedProcessors()
_mentioned: Final[set[str]] = set()


class _Place(NamedTuple):
    """Where one signal of the process was found to go, and the processor that is there."""

    provider: Any
    pipeline: Pipeline | None
    processor: Any

    def is_current(self, provider: Any) -> bool:
        """False once somebody has put another provider or other processors there."""
        pipeline = self.pipeline
        return provider is self.provider and (pipeline is None or pipeline.is_intact())


_NOWHERE: Final = _Place(None, None, None)


class Attachment:
    """Keeps the processors on the providers that the process uses at any time."""

    def __init__(self, options: Options) -> None:
        self._options = options
        given = options.tracer_provider
        # The API's stand-in, asked for before a provider was set, is that of the process.
        self._given = None if isinstance(given, trace.ProxyTracerProvider) else given
        self._spans = self._logs = _NOWHERE

    def is_current(self) -> bool:
        """True if spans still go where `refresh` found them to go. Asked at every inference."""
        given = self._given
        return self._spans.is_current(trace.get_tracer_provider() if given is None else given)

    def are_logs_current(self) -> bool:
        """The same of log records."""
        return self._logs.is_current(self._loggers())

    def refresh(self) -> bool:
        """Add the processors to the providers that take any by now, and wake those that are there.

        Returns:
            False while the process has no tracer provider yet.
        """
        tracers = trace.get_tracer_provider() if self._given is None else self._given
        loggers = self._loggers()
        self._spans = _attached(semconv.SITE_ATTACH_TO_THE_TRACER_PROVIDER, SPANS, tracers)
        self._logs = _attached(semconv.SITE_ATTACH_TO_THE_LOGGER_PROVIDER, LOGS, loggers)
        if self._options.propagate != "none":
            guarded(semconv.SITE_ATTACH_TO_THE_TRACER_PROVIDER, _mention_unreachable, tracers)
        return not isinstance(tracers, trace.ProxyTracerProvider)

    def exports_at_once(self) -> bool:
        """True if spans are exported as they end, so that somebody may look right after a call."""
        pipeline = self._spans.pipeline
        return pipeline is not None and pipeline.exports_at_once()

    def _loggers(self) -> Any:
        given = self._options.logger_provider
        if given is not None:
            return given
        # Where none was set, the API looks into the environment each time that it is asked.
        is_unset = getattr(_logs_api, "_LOGGER_PROVIDER", _logs) is None
        if is_unset and self._logs is not _NOWHERE:
            return self._logs.provider
        return _logs.get_logger_provider()


def detach() -> None:
    """Stop the processors that were added; the SDK cannot take one out again."""
    for processor in _added.all():
        processor.set_enabled(False)


def is_unreachable(provider: Any) -> bool:
    """Return True if this tracer provider makes spans, and none that can be stamped."""
    makes_none = isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider)
    return not makes_none and pipeline_of(provider, SPANS) is None


def unreachable_text(provider: Any) -> str:
    """Return one line that says what that means for this provider."""
    kind = type(provider)
    return (
        f"{kind.__module__}.{kind.__qualname__} takes no span processors: inference spans are made, "
        "but later spans do not carry the predictions"
    )


UNREACHABLE_FIX: Final = (
    "Use the OpenTelemetry SDK's TracerProvider: it can export to the same backend by OTLP"
)


def _mention_unreachable(provider: Any) -> None:
    text = unreachable_text(provider)
    if text not in _mentioned and is_unreachable(provider):
        _mentioned.add(text)
        _log.warning("keras_otel: %s. %s", text, UNREACHABLE_FIX)


def _attached(site: str, signal: Signal, provider: Any) -> _Place:
    return guarded(site, _attach, signal, provider) or _Place(provider, None, None)


def _attach(signal: Signal, provider: Any) -> _Place:
    pipeline = pipeline_of(provider, signal)
    if pipeline is None:
        return _Place(provider, None, None)
    with _added.lock:
        processor = _wake_or_add(signal, pipeline)
        pipeline.remember()
        return _Place(provider, pipeline, processor)


def _wake_or_add(signal: Signal, pipeline: Pipeline) -> Any:
    processor = _added.get(pipeline.target)
    if processor is None:
        # The SDK is imported only where it is used.
        from keras_otel.propagation import processors

        kind = processors.KerasSpanProcessor
        processor = kind() if signal is SPANS else processors.KerasLogRecordProcessor()
        pipeline.add(processor)
        _added.add(pipeline.target, processor)
        return processor
    processor.set_enabled(True)
    if not pipeline.has(processor):
        pipeline.add(processor)
    return processor
