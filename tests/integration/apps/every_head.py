"""Export one inference of each kind, and one log event, to the target that is named.

The weights are chosen so that the outputs are known: every kernel is zero, so a model answers
with its bias whatever it is asked.
"""

from __future__ import annotations

import contextlib
import sys

import keras_otel

keras_otel.instrument(export=sys.argv[1])

import keras  # noqa: E402 - instrumenting comes first, as in a service's first line
import numpy as np  # noqa: E402
from opentelemetry import _logs, trace  # noqa: E402


def constant(name: str, bias: list[float], activation: str) -> keras.Model:
    """A model that answers with its activated bias."""
    model = keras.Sequential(
        [keras.layers.Input((2,)), keras.layers.Dense(len(bias), activation=activation)], name=name
    )
    model.set_weights([np.zeros((2, len(bias))), np.array(bias)])
    return model


def logits(*probabilities: float) -> list[float]:
    """The numbers whose sigmoids are these."""
    return [float(np.log(p / (1 - p))) for p in probabilities]


class Broken(keras.Model):
    def call(self, inputs: object) -> object:
        raise ValueError("bad shape")


one, three, forty = (np.ones((n, 2), "float32") for n in (1, 3, 40))

intent = keras_otel.describe(
    constant("intent_net", [float(np.log(p)) for p in (0.2, 0.7, 0.1)], "softmax"),
    name="intent",
    version="2026-11-01",
    labels=["billing", "refund", "other"],
)
spam = keras_otel.describe(constant("spam", logits(0.9), "sigmoid"), version="7")
toxicity = keras_otel.describe(
    constant("toxicity", logits(0.8, 0.1, 0.6), "sigmoid"),
    version="7",
    labels=["toxic", "threat", "insult"],
    task="multilabel",
)
price = keras_otel.describe(constant("price", [17.25], "linear"), version="7", task="regression")
encoder = keras_otel.describe(
    constant("encoder", [3.0, 4.0], "linear"), version="7", task="embedding"
)
mystery = constant("mystery", [1.0, 2.0, 3.0], "linear")
shared = keras.Input((2,))
topics = keras.Model(
    shared,
    {
        "topic": keras.layers.Dense(2, activation="softmax", kernel_initializer="zeros")(shared),
        "urgency": keras.layers.Dense(1, kernel_initializer="zeros")(shared),
    },
    name="topics",
)
keras_otel.describe(
    topics,
    version="7",
    labels={"topic": ["hardware", "software"]},
    task={"topic": "multiclass", "urgency": "regression"},
)

with trace.get_tracer("app").start_as_current_span("request"):
    intent(one)
    intent.predict(three, verbose=0)
    intent.predict(forty, verbose=0)
    intent.predict_on_batch(one)
    spam(one)
    toxicity(one)
    price(one)
    encoder(one)
    mystery(one)
    topics(one)
    with contextlib.suppress(ValueError):
        keras_otel.describe(Broken(name="broken"), version="7", task="regression")(one)
    intent.set_weights([np.zeros((2, 3)), np.log(np.array([0.1, 0.3, 0.6]))])
    intent(one)
    _logs.get_logger("app").emit(
        event_name="app.answered",
        severity_number=_logs.SeverityNumber.INFO,
        body="refund paid",
        attributes={"text": "a", "whole": 3, "real": 0.5, "flag": True, "list": ["a", "b"]},
    )
