"""Print what a model answers by each call, as JSON; instrumented where a target is named."""

from __future__ import annotations

import json
import sys

import keras
import numpy as np

import keras_otel

if len(sys.argv) > 1:
    keras_otel.instrument(export=sys.argv[1])

keras.utils.set_random_seed(7)
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, activation="softmax")])
rows = np.linspace(-1, 1, 20, dtype="float32").reshape(5, 4)
answers = [model.predict(rows, verbose=0), model.predict_on_batch(rows), model(rows)]
json.dump([np.asarray(answer).tolist() for answer in answers], sys.stdout)
