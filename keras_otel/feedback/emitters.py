"""The tracer, logger and instruments that feedback is emitted with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from opentelemetry import _logs, trace

from keras_otel import semconv
from keras_otel.metrics import Instruments, instruments_of
from keras_otel.options import Options, in_force
from keras_otel.version import __version__

_DEFAULT_OPTIONS: Final = Options()
"""For a service that evaluates answers but is not instrumented: the global providers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitters:
    """The tracer, logger and instruments of one set of options.

    Attributes:
        options: The options that the providers come from.
        tracer: Makes the spans of feedback on spans that have ended.
        logger: Emits the log events.
        instruments: Counts evaluations; None with `metrics=False`.
    """

    options: Options
    tracer: trace.Tracer
    logger: _logs.Logger
    instruments: Instruments | None


_cache: list[Emitters] = []
"""The latest emitters, or nothing."""


def current_emitters() -> Emitters:
    """Return the emitters of the options in force; cached, because the SDK's look-ups are slow."""
    options = in_force() or _DEFAULT_OPTIONS
    for cached in _cache:
        if cached.options is options:
            return cached
    emitters = Emitters(
        options=options,
        tracer=trace.get_tracer(
            semconv.SCOPE_NAME, __version__, tracer_provider=options.tracer_provider
        ),
        logger=_logs.get_logger(
            semconv.SCOPE_NAME, __version__, logger_provider=options.logger_provider
        ),
        instruments=instruments_of(options.meter_provider) if options.metrics else None,
    )
    _cache[:] = [emitters]
    return emitters
