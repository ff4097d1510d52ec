"""OpenTelemetry for Keras models that run in front of an LLM.

`keras_otel.instrument()` makes every inference a span with the model's version, the predicted
class, its confidence and the latency.
"""

from typing import TYPE_CHECKING, Any

from keras_otel.description import describe, refresh, save_card
from keras_otel.runtimes.traced import traced
from keras_otel.version import __version__

if TYPE_CHECKING:
    from keras_otel.instrumentor import KerasInstrumentor, instrument, uninstrument

__all__ = [
    "KerasInstrumentor",
    "__version__",
    "describe",
    "instrument",
    "refresh",
    "save_card",
    "traced",
    "uninstrument",
]


def __getattr__(name: str) -> Any:
    # OpenTelemetry's base class for instrumentors takes 100 ms to import: a program that only
    # describes its models, or runs without telemetry, does not pay for it.
    if name in __all__:
        from keras_otel import instrumentor

        return getattr(instrumentor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
