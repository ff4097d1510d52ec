"""Where feedback goes: the providers of the instrumented process, or the process's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from opentelemetry import _logs, trace

from keras_otel import semconv
from keras_otel.metrics import Instruments, instruments_of
from keras_otel.options import Options, in_force
from keras_otel.version import __version__

_DEFAULTS: Final = Options()
"""A service that only evaluates has providers, and nothing to instrument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlets:
    """The tracer, logger and instruments of one set of options."""

    options: Options
    tracer: trace.Tracer
    logger: _logs.Logger
    instruments: Instruments | None


_latest: list[Outlets] = []


def outlets() -> Outlets:
    """The outlets of the options in force; kept, because the SDK takes long to look them up."""
    options = in_force() or _DEFAULTS
    for known in _latest:
        if known.options is options:
            return known
    made = Outlets(
        options=options,
        tracer=trace.get_tracer(
            semconv.SCOPE_NAME, __version__, tracer_provider=options.tracer_provider
        ),
        logger=_logs.get_logger(
            semconv.SCOPE_NAME, __version__, logger_provider=options.logger_provider
        ),
        instruments=instruments_of(options.meter_provider) if options.metrics else None,
    )
    _latest[:] = [made]
    return made
