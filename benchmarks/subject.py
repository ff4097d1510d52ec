"""What the benchmarks run: a tiny classifier, and OpenTelemetry set up without a network."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.sampling import Sampler

INPUTS = 5
CLASSES = 10
LABELS = [f"topic_{i}" for i in range(CLASSES)]

_MEASURED = (
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "opentelemetry-sdk",
    "keras-otel",
)


class NullExporter(SpanExporter):
    """Takes spans and forgets them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        return SpanExportResult.SUCCESS


class NullLogExporter(LogRecordExporter):
    """Takes log records and forgets them."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:  # noqa: ARG002
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        """Nothing is held."""
        return True


def tracer_provider(sampler: Sampler | None = None) -> TracerProvider:
    """A provider with the processor that services use, and nothing behind it."""
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(BatchSpanProcessor(NullExporter()))
    return provider


def logger_provider() -> LoggerProvider:
    """The same for log records."""
    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(NullLogExporter()))
    return provider


def classifier() -> Any:
    """A model so small that what is added around it is easy to see."""
    import keras

    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((INPUTS,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ],
        name="intent",
    )


def compiled(model: Any) -> Callable[[Any], Any]:
    """The model behind the compiler of its backend."""
    import keras

    def forward(x: Any) -> Any:
        return model(x)

    function: Callable[[Any], Any]
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            function = tf.function(forward)
        case "jax":
            import jax

            function = jax.jit(forward)
        case backend:
            raise SystemExit(
                f"no compiled function is measured on {backend}: set KERAS_BACKEND to "
                "tensorflow or jax"
            )
    return function


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu(),
        "python": platform.python_version(),
        "versions": {name: version for name in _MEASURED if (version := _version(name))},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.machine()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
