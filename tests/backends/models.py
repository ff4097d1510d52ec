"""Small real models for the tests."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

WIDTH = 5
CLASSES = ("a", "b", "c")

TRAINS = keras.backend.backend() in ("tensorflow", "jax", "torch")
IS_EAGER = keras.backend.backend() != "openvino"  # its `model(x)` returns a node of a graph


def rows(n: int = 1) -> np.ndarray:
    """`n` rows of input."""
    return np.random.default_rng(n).normal(size=(n, WIDTH)).astype("float32")


def classifier(activation: str = "softmax", units: int = 3, **kwargs: Any) -> keras.Model:
    """A functional model with one dense head."""
    inputs = keras.Input((WIDTH,))
    hidden = keras.layers.Dense(4, activation="relu")(inputs)
    outputs = keras.layers.Dense(units, activation=activation)(hidden)
    return keras.Model(inputs, outputs, **kwargs)


def sequential(**kwargs: Any) -> keras.Model:
    """The same as a Sequential."""
    return keras.Sequential(
        [
            keras.Input((WIDTH,)),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ],
        **kwargs,
    )


class Subclassed(keras.Model):
    """A subclassed model around a layer and a nested model."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(WIDTH)
        self.head = sequential(name="nested")

    def call(self, inputs: Any) -> Any:
        return self.head(self.hidden(inputs))


class Buildable(Subclassed):
    """A subclassed model that can be built without data, which calls its nested model."""

    def build(self, input_shape: Any) -> None:
        self.compute_output_spec(keras.KerasTensor(input_shape))
        self.built = True


class LabelTexts(keras.Model):
    """A model whose `predict` is overridden and returns texts."""

    def __init__(self) -> None:
        super().__init__()
        self.head = sequential()

    def call(self, inputs: Any) -> Any:
        return self.head(inputs)

    def predict(self, x: Any, **kwargs: Any) -> list[str]:
        return [CLASSES[i] for i in super().predict(x, **kwargs).argmax(axis=1)]


class Sharpened(LabelTexts):
    """A model whose `predict` makes the probable more probable."""

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        squares = keras.Model.predict(self, x, **kwargs) ** 2
        return squares / squares.sum(axis=1, keepdims=True)


class Averaging(LabelTexts):
    """A model whose `predict` averages several calls of itself."""

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        calls = [keras.Model.predict(self, x, **kwargs) for _ in range(3)]
        return np.mean(calls, axis=0)


def two_outputs() -> keras.Model:
    """A model with a class and a number, as a dict."""
    inputs = keras.Input((WIDTH,))
    return keras.Model(
        inputs,
        {
            "topic": keras.layers.Dense(3, activation="softmax", name="topic_layer")(inputs),
            "Length Mm": keras.layers.Dense(1, name="length_layer")(inputs),
        },
        name="two",
    )


def two_inputs() -> keras.Model:
    """A model with two inputs and a list of two outputs."""
    left, right = keras.Input((WIDTH,), name="left"), keras.Input((WIDTH,), name="right")
    both = keras.layers.Concatenate()([left, right])
    outputs = [
        keras.layers.Dense(3, activation="softmax", name="topic")(both),
        keras.layers.Dense(4, activation="sigmoid", name="flags")(both),
    ]
    return keras.Model([left, right], outputs, name="pair")
