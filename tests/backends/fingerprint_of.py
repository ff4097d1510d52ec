"""Print the fingerprint of a saved model under the backend that KERAS_BACKEND names."""

from __future__ import annotations

import sys

import keras

from keras_otel.introspection.hashing import compute_fingerprint
from keras_otel.runtimes.discovery import adapter_of

model = keras.models.load_model(sys.argv[1])
adapter = adapter_of(model)
assert adapter is not None
print(keras.backend.backend(), compute_fingerprint(model, adapter))
