"""OpenTelemetry for Keras models that run in front of an LLM.

`keras_otel.instrument()` makes every inference a span with the model's version, the predicted
class, its confidence and the latency, and carries the prediction to the LLM spans and evaluations
of the same request.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from keras_otel.description import describe, refresh, save_card
from keras_otel.runtimes.traced import traced
from keras_otel.version import __version__

if TYPE_CHECKING:
    from keras_otel.export.flushing import flush, shutdown
    from keras_otel.feedback import record_evaluation, record_outcome
    from keras_otel.instrumentor import KerasInstrumentor, instrument, uninstrument
    from keras_otel.propagation.batch import batch
    from keras_otel.propagation.prediction_context import prediction_context
    from keras_otel.propagation.processors import KerasSpanProcessor
    from keras_otel.propagation.resolution import current_predictions

__all__ = [
    "KerasInstrumentor",
    "KerasSpanProcessor",
    "__version__",
    "batch",
    "current_predictions",
    "describe",
    "flush",
    "instrument",
    "prediction_context",
    "record_evaluation",
    "record_outcome",
    "refresh",
    "save_card",
    "shutdown",
    "traced",
    "uninstrument",
]

# OpenTelemetry's instrumentor and SDK take 100 ms and more to import: a program that only
# describes its models, or runs without telemetry, does not pay for it.
_LATER = {
    "KerasInstrumentor": "instrumentor",
    "KerasSpanProcessor": "propagation.processors",
    "batch": "propagation.batch",
    "current_predictions": "propagation.resolution",
    "flush": "export.flushing",
    "instrument": "instrumentor",
    "prediction_context": "propagation.prediction_context",
    "record_evaluation": "feedback",
    "record_outcome": "feedback",
    "shutdown": "export.flushing",
    "uninstrument": "instrumentor",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"keras_otel.{module}"), name)
    return value
