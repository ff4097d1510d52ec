"""A Celery worker's tasks, with a broker of files in the working folder."""

from __future__ import annotations

import os
from pathlib import Path

import keras_otel

if TARGET := os.environ.get("TARGET"):
    keras_otel.instrument(export=TARGET)

import keras
import numpy as np
from celery import Celery

for folder in ("queue", "control", "results"):
    Path(folder).mkdir(exist_ok=True)

app = Celery("tasks", broker="filesystem://", backend="file://results")
app.conf.broker_transport_options = {
    "data_folder_in": "queue",
    "data_folder_out": "queue",
    "control_folder": "control",
}
model = keras.Sequential(
    [keras.layers.Input((3,)), keras.layers.Activation("softmax")], name="echo"
)
keras_otel.describe(model, version="7", labels=["request", "slow", "end"])


@app.task
def predict(label: int) -> int:
    """One inference whose class is the label of this number; the answer is the process."""
    model(np.eye(3, dtype="float32")[label : label + 1] * 9)
    return os.getpid()


if __name__ == "__main__":
    answers = [predict.delay(0) for _ in range(6)]
    print(len({answer.get(timeout=60) for answer in answers}))
