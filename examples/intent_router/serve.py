"""Load the saved classifier in a process of its own and route held-out questions.

One line, `keras_otel.instrument(...)`, is all that the telemetry needs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corpus
import keras
import tensorflow as tf
from opentelemetry import trace
from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import keras_otel


def calls_of(model: keras.Model) -> dict[str, Callable[[tf.Tensor], Any]]:
    """The four ways in which people call a Keras model, by the operation that spans name."""
    return {
        "predict": lambda texts: model.predict(texts, verbose=0),
        "predict_on_batch": model.predict_on_batch,
        "call": model,
        "traced": keras_otel.traced(tf.function(model), model),
    }


def keep_a_copy(path: Path) -> None:
    """Write the spans that go to a server to a file as well, for the demo to show."""
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(str(path))))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="the saved model, such as intent.keras")
    parser.add_argument("--export", required=True, help="file:PATH, http://... or grpc://...")
    parser.add_argument("--copy", type=Path, help="also write the spans to this file")
    args = parser.parse_args()

    keras_otel.instrument(export=args.export)
    if args.copy is not None:
        keep_a_copy(args.copy)

    model = keras.models.load_model(args.model)
    for number, classify in enumerate(calls_of(model).values()):
        for question in corpus.round_of(number):
            classify(tf.constant([question.text]))


if __name__ == "__main__":
    main()
