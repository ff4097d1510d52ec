"""Every head of a real model: said by the user, by the model itself, or by the values."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_otel
from tests.backends.models import IS_EAGER, TRAINS, WIDTH, classifier, rows

trains = pytest.mark.skipif(not TRAINS, reason="this backend has no losses to compile")
eager = pytest.mark.skipif(not IS_EAGER, reason="OpenVINO computes nothing before predict")


def attributes_of(telemetry, model, x=None):
    result = np.asarray(model.predict_on_batch(rows() if x is None else x), dtype="float64")
    return dict(telemetry.span().attributes), result


class Unknown(keras.Model):
    """A subclassed model of which nothing is known but its values."""

    def __init__(self, activation, units=3):
        super().__init__()
        self.head = keras.layers.Dense(units)
        self.squash = activation

    def call(self, inputs):
        return self.squash(self.head(inputs))


def test_softmax(telemetry):
    """A softmax layer is a class with its probability."""
    attributes, result = attributes_of(telemetry, classifier("softmax"))
    assert attributes["keras.model.task"] == "multiclass"
    assert attributes["keras.prediction.class"] == str(int(result.argmax()))
    assert attributes["keras.prediction.confidence"] == pytest.approx(result.max())
    first, second = np.sort(result[0])[::-1][:2]
    assert attributes["keras.prediction.margin"] == pytest.approx(first - second, abs=1e-6)


def test_a_softmax_layer_of_its_own_after_dropout_and_a_nested_model(telemetry):
    """The activation is found through layers that pass numbers on and through nested models."""
    inputs = keras.Input((WIDTH,))
    nested = classifier("linear")
    outputs = keras.layers.Dropout(0.5)(keras.layers.Softmax()(nested(inputs)))
    model = keras.Model(inputs, outputs)
    outer_inputs = keras.Input((WIDTH,))
    attributes, result = attributes_of(telemetry, keras.Model(outer_inputs, model(outer_inputs)))
    assert attributes["keras.model.task"] == "multiclass"
    assert attributes["keras.prediction.confidence"] == pytest.approx(result.max())


def test_one_sigmoid(telemetry):
    """One sigmoid is binary: the class by threshold, the confidence that of the chosen class."""
    model = keras_otel.describe(classifier("sigmoid", 1), labels=["clean", "toxic"], threshold=0.9)
    attributes, result = attributes_of(telemetry, model)
    p = float(result[0, 0])
    assert attributes["keras.model.task"] == "binary"
    assert attributes["keras.prediction.class"] == ("toxic" if p > 0.9 else "clean")
    assert attributes["keras.prediction.confidence"] == pytest.approx(p if p > 0.9 else 1 - p)


def test_several_sigmoids(telemetry):
    """Several sigmoids are multilabel: every label over its own threshold."""
    model = keras_otel.describe(
        classifier("sigmoid", 3), labels=["toxic", "insult", "threat"], threshold=[0.01, 0.99, 0.01]
    )
    attributes, result = attributes_of(telemetry, model)
    over = result[0] > [0.01, 0.99, 0.01]
    assert attributes["keras.model.task"] == "multilabel"
    assert attributes["keras.prediction.labels"] == tuple(
        np.array(["toxic", "insult", "threat"])[over].tolist()
    )


@trains
@pytest.mark.parametrize("n", [1, 40])
def test_logits_by_the_compiled_loss(telemetry, n):
    """A linear layer under a loss with `from_logits` is softmaxed first."""
    model = classifier("linear")
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    attributes, result = attributes_of(telemetry, model, rows(n))
    p = np.exp(result - result.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    key = "keras.prediction.confidence" if n == 1 else "keras.batch.confidence_mean"
    assert attributes["keras.model.task"] == "multiclass"
    assert attributes[key] == pytest.approx(p.max(axis=1).mean(), rel=1e-5)


@trains
def test_binary_logits_by_the_compiled_loss(telemetry):
    """One linear unit under binary crossentropy with `from_logits` goes through the sigmoid."""
    model = classifier("linear", 1)
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
    attributes, result = attributes_of(telemetry, model)
    p = 1 / (1 + np.exp(-result[0, 0]))
    assert attributes["keras.model.task"] == "binary"
    assert attributes["keras.prediction.confidence"] == pytest.approx(max(p, 1 - p), rel=1e-5)


@trains
@pytest.mark.parametrize("loss", ["mse", keras.losses.MeanSquaredError(), keras.losses.Huber()])
def test_regression_by_the_compiled_loss(telemetry, loss):
    """A regression loss makes the output a value."""
    model = classifier("linear", 1)
    model.compile(loss=loss)
    attributes, result = attributes_of(telemetry, model)
    assert attributes["keras.model.task"] == "regression"
    assert attributes["keras.prediction.value"] == pytest.approx(float(result[0, 0]))


def test_regression_by_description(telemetry):
    """`task="regression"` says so where no loss is compiled."""
    model = keras_otel.describe(classifier("linear", 1), task="regression")
    attributes, result = attributes_of(telemetry, model)
    assert attributes["keras.prediction.value"] == pytest.approx(float(result[0, 0]))


def test_embeddings(telemetry):
    """An embedding has a dimension and a norm, never its numbers."""
    model = keras_otel.describe(classifier("linear", 8), task="embedding")
    attributes, result = attributes_of(telemetry, model)
    assert attributes["keras.embedding.dimension"] == 8
    assert attributes["keras.embedding.norm"] == pytest.approx(np.linalg.norm(result), rel=1e-5)
    assert not [v for v in attributes.values() if isinstance(v, tuple)]


def test_a_unit_normalised_output_is_an_embedding(telemetry):
    """A last layer that normalises vectors makes an embedding without a word."""
    inputs = keras.Input((WIDTH,))
    outputs = keras.layers.UnitNormalization()(keras.layers.Dense(4)(inputs))
    attributes, _ = attributes_of(telemetry, keras.Model(inputs, outputs))
    assert attributes["keras.model.task"] == "embedding"
    assert attributes["keras.embedding.norm"] == pytest.approx(1.0, rel=1e-5)


def test_probabilities_by_their_values(telemetry):
    """Rows of an unknown model that are non-negative and sum to 1 are classes."""
    attributes, result = attributes_of(telemetry, Unknown(keras.ops.softmax))
    assert attributes["keras.model.task"] == "multiclass"
    assert attributes["keras.prediction.confidence"] == pytest.approx(result.max())


@pytest.mark.parametrize("units", [1, 3])
def test_no_guess(telemetry, units):
    """Other numbers of an unknown model are opaque, with the reason."""
    attributes, _ = attributes_of(telemetry, Unknown(lambda x: x * 10.0, units))
    assert attributes["keras.model.task"] == "opaque"
    assert attributes["keras.prediction.opaque_reason"] == "no head known"
    assert "keras.prediction.class" not in attributes


def test_a_described_class_without_a_probability(telemetry):
    """The largest score of unknown scale is the class; a confidence would be a guess."""
    model = keras_otel.describe(
        Unknown(lambda x: x * 10.0), task="multiclass", labels=["a", "b", "c"]
    )
    attributes, result = attributes_of(telemetry, model)
    assert attributes["keras.prediction.class"] == "abc"[int(result.argmax())]
    assert "keras.prediction.confidence" not in attributes


@pytest.mark.parametrize("n", [1, 3])
def test_nan_names_no_class(telemetry, n):
    """Rows of NaN are marked and named nothing; the result reaches the caller as it is."""
    x = rows(n)
    x[0] = np.nan
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])  # relu swallows NaN
    attributes, result = attributes_of(telemetry, model, x)
    assert np.isnan(result[0]).all()
    assert "keras.prediction.class" not in attributes
    assert "keras.prediction.classes" not in attributes
    assert "NaN" in attributes["keras.prediction.opaque_reason"]
    assert attributes["keras.batch.size"] == n


@eager
def test_an_empty_batch(telemetry):
    """No rows are an inference of size 0 without a class."""
    model = classifier("softmax")
    result = keras.ops.convert_to_numpy(model(np.zeros((0, WIDTH), "float32")))
    assert result.shape == (0, 3)
    attributes = telemetry.span().attributes
    assert attributes["keras.batch.size"] == 0
    assert "keras.prediction.class" not in attributes


@eager
def test_an_output_that_is_no_array(telemetry):
    """A Python object comes back as the same object, in an opaque span."""
    answer = object()

    class Odd(keras.Model):
        def __call__(self, x):
            return answer

    assert Odd()(rows(2)) is answer
    attributes = telemetry.span().attributes
    assert attributes["keras.prediction.opaque_reason"].startswith("output of type object")
    assert attributes["keras.batch.size"] == 2
