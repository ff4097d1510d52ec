"""OpenTelemetry for Keras models that run in front of an LLM.

`keras_otel.instrument()` makes every inference a span with the model's version, the predicted
class, its confidence and the latency.
"""

from keras_otel.description import describe, refresh, save_card
from keras_otel.instrumentor import KerasInstrumentor, instrument, uninstrument
from keras_otel.runtimes.traced import traced
from keras_otel.version import __version__

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
