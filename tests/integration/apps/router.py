"""The first of two services: predicts an intent, then asks the other service over HTTP.

`GET /ask?label=2` predicts class 2; the answer is the other service's.
"""

from __future__ import annotations

import os
from typing import Any

import keras_otel

keras_otel.instrument(export=os.environ["TARGET"])

import keras  # noqa: E402 - instrumenting comes first, as in a service's first line
import numpy as np  # noqa: E402
import requests  # noqa: E402
import uvicorn  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: E402
from opentelemetry.instrumentation.requests import RequestsInstrumentor  # noqa: E402

CLASSES = ["refund", "order", "状態, 100% + more"]

model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Activation("softmax")])
keras_otel.describe(model, name="intent", version="2026-11-01", labels=CLASSES)
app = FastAPI()


@app.get("/ask")
def ask(label: int) -> Any:
    """Predict, and pass the question on."""
    model(5 * np.eye(3, dtype="float32")[label : label + 1])
    return requests.get(
        f"{os.environ['ANSWERING']}/answer", params={"label": label}, timeout=60
    ).json()


if __name__ == "__main__":
    FastAPIInstrumentor.instrument_app(app)
    RequestsInstrumentor().instrument()
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
