"""From the numbers of an output to what they say. numpy in, records out.

Nothing here knows of OpenTelemetry or holds a Keras object.
"""

from keras_otel.decoding.decode import decode
from keras_otel.decoding.heads import (
    DEFAULT_THRESHOLD,
    Binary,
    Embedding,
    Head,
    Multiclass,
    Multilabel,
    Opaque,
    Regression,
    Scale,
    Undetermined,
)

__all__ = [
    "DEFAULT_THRESHOLD",
    "Binary",
    "Embedding",
    "Head",
    "Multiclass",
    "Multilabel",
    "Opaque",
    "Regression",
    "Scale",
    "Undetermined",
    "decode",
]
