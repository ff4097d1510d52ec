"""The tracer of the inference spans."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace

from keras_otel import semconv
from keras_otel._guard import guarded
from keras_otel.options import Options
from keras_otel.version import __version__


def tracer_of(options: Options) -> trace.Tracer:
    """Return the tracer of the options' provider, or of the process's own."""
    tracer = trace.get_tracer(
        semconv.SCOPE_NAME, __version__, tracer_provider=options.tracer_provider
    )
    guarded(semconv.SITE_TRACER, _draw_ids_apart, tracer)
    return tracer


def _draw_ids_apart(tracer: Any) -> None:
    """Leave Python's global random generator alone, from which the SDK draws ids by default.

    Spans are made at moments of their own, in which a seeded program may be drawing from it. The
    tracer is keras_otel's alone; a generator that the program chose is used as it is.
    """
    if type(getattr(tracer, "id_generator", None)).__name__ == "RandomIdGenerator":
        # The SDK is imported only where it is used.
        from keras_otel.ids import IndependentIdGenerator

        tracer.id_generator = IndependentIdGenerator()
