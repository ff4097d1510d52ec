"""Heads of Keras 2 (`tf_keras`) models: graphs, dictionaries, operations of TensorFlow, subclasses."""

from __future__ import annotations

import numpy as np
import pytest

import keras_otel

tf_keras = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")

layers = tf_keras.layers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def rows(n=1):
    return np.random.default_rng(n).normal(size=(n, 5)).astype("float32")


def attributes_of(telemetry, model, x=None):
    result = model.predict_on_batch(rows() if x is None else x)
    return dict(telemetry.span().attributes), result


@pytest.mark.parametrize("order", [("topic", "flags", "length"), ("length", "topic", "flags")])
def test_a_dictionary_of_outputs_has_a_head_for_each_key(telemetry, order):
    """Each key has the head of its own tensor, in whatever order the keys were written."""
    inputs = tf_keras.Input((5,))
    made = {
        "topic": layers.Dense(3, activation="softmax", name="zz")(inputs),
        "flags": layers.Dense(4, activation="sigmoid", name="mm")(inputs),
        "length": layers.Dense(1, name="aa")(inputs),
    }
    model = tf_keras.Model(inputs, {key: made[key] for key in order})
    model.compile(loss={"length": "mse"})
    keras_otel.describe(model, labels={"topic": ["a", "b", "c"]})
    attributes, result = attributes_of(telemetry, model)
    assert attributes["keras.output.topic.class"] == "abc"[int(result["topic"].argmax())]
    assert attributes["keras.output.flags.task"] == "multilabel"
    assert attributes["keras.output.length.value"] == pytest.approx(float(result["length"][0, 0]))


def test_one_loss_speaks_for_one_output(telemetry):
    """A second output under one compiled loss has no head by it."""
    inputs = tf_keras.Input((5,))
    model = tf_keras.Model(inputs, {"a": layers.Dense(3)(inputs), "b": layers.Dense(3)(inputs)})
    model.compile(loss=tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    attributes, _ = attributes_of(telemetry, model)
    assert attributes["keras.output.a.task"] == attributes["keras.output.b.task"] == "opaque"


@pytest.mark.parametrize(
    ("last", "task"),
    [
        (lambda x: tf.nn.softmax(x * 1000.0), "multiclass"),
        (tf.math.sigmoid, "multilabel"),
        (tf.sigmoid, "multilabel"),
        (tf_keras.activations.softmax, "multiclass"),
        (layers.Lambda(tf.nn.softmax), "multiclass"),
        (lambda x: tf.math.top_k(x, 2).values, "opaque"),
        (lambda x: tf.nn.softmax(x, axis=0), "opaque"),
    ],
)
def test_an_operation_of_tensorflow_states_a_head(telemetry, last, task):
    """The last operation of a graph is read as a layer is."""
    inputs = tf_keras.Input((5,))
    attributes, _ = attributes_of(telemetry, tf_keras.Model(inputs, last(layers.Dense(3)(inputs))))
    assert attributes["keras.model.task"] == task


def test_a_gate_is_no_class(telemetry):
    """A softmax that is multiplied with another tensor weighs it."""
    inputs = tf_keras.Input((5,))
    gate = layers.Dense(3, activation="softmax", name="gate")(inputs)
    mixed = layers.Multiply()([gate, layers.Dense(3)(inputs)])
    sliced = gate[:, :1] * layers.Dense(3)(inputs)
    both = layers.Add()([mixed, sliced])
    answer = layers.Dense(3, activation="softmax", name="answer")(both)
    attributes, result = attributes_of(telemetry, tf_keras.Model(inputs, [answer, gate]))
    assert attributes["keras.output.answer.class_id"] == int(result[0].argmax())
    assert attributes["keras.output.gate.task"] == "opaque"


class Subclass(tf_keras.Model):
    def __init__(self, last=None):
        super().__init__()
        self.head = layers.Dense(1, activation="sigmoid")
        self.last = last

    def call(self, inputs):
        return self.head(inputs)


class ByOperation(Subclass):
    def call(self, inputs):
        x = layers.Flatten()(inputs)
        return tf.nn.sigmoid(x[:, :1])


class Compiled(Subclass):
    @tf.function
    def call(self, inputs):
        return self.head(inputs)


class Inverted(Subclass):
    def call(self, inputs):
        return 1.0 - self.head(inputs)


class TopTwo(Subclass):
    def predict_step(self, data):
        return tf.math.top_k(tf.nn.softmax(data[0] if isinstance(data, tuple) else data), 2)


@pytest.mark.parametrize("kind", [Subclass, ByOperation, Compiled])
def test_the_last_step_of_a_subclass(telemetry, kind):
    """A sigmoid that `call` returns is binary."""
    attributes, result = attributes_of(telemetry, kind())
    assert attributes["keras.model.task"] == "binary"
    assert attributes["keras.prediction.class_id"] == int(result[0, 0] > 0.5)


@pytest.mark.parametrize("kind", [Inverted, TopTwo])
def test_what_is_not_the_last_step_is_no_head(telemetry, kind):
    """Arithmetic after the head, and a `predict_step` of one's own."""
    model = kind()
    model.predict(rows(), verbose=0)
    attributes = telemetry.span().attributes
    assert {v for k, v in attributes.items() if k.endswith("task")} == {"opaque"}


def test_a_tagger_is_a_sequence(telemetry):
    """A class for each position, counted."""
    inputs = tf_keras.Input((None, 5))
    tags = layers.TimeDistributed(layers.Dense(3, activation="softmax"))(inputs)
    x = np.random.default_rng(1).normal(size=(1, 6, 5)).astype("float32")
    attributes, result = attributes_of(telemetry, tf_keras.Model(inputs, tags), x)
    counts = np.bincount(result[0].argmax(axis=1), minlength=3)
    assert attributes["keras.model.task"] == "sequence"
    assert attributes["keras.prediction.class_counts"][0] == f"{counts.argmax()}={counts.max()}"
    assert "keras.prediction.class" not in attributes


def test_hinge(telemetry):
    """The sign is the class."""
    model = tf_keras.Sequential([tf_keras.Input((5,)), layers.Dense(1, activation="tanh")])
    model.compile(loss=tf_keras.losses.Hinge())
    attributes, result = attributes_of(telemetry, model)
    assert attributes["keras.prediction.class_id"] == int(result[0, 0] > 0)
    assert "keras.prediction.confidence" not in attributes


def test_top_k_of_a_traced_function(telemetry):
    """The best two of a compiled function are opaque; the model's own output is read."""
    model = tf_keras.Sequential([tf_keras.Input((5,)), layers.Dense(3, activation="softmax")])
    subclass = Subclass()
    subclass(rows())
    telemetry.spans()
    best = keras_otel.traced(tf.function(lambda x: tf.math.top_k(model(x), 2)), model)
    own = keras_otel.traced(tf.function(lambda x: subclass(x)), subclass)
    best(tf.constant(rows()))
    attributes = telemetry.span().attributes
    assert "keras.output.output_1.class" not in attributes
    assert attributes["keras.output.output_1.task"] == "opaque"
    own(tf.constant(rows()))
    assert telemetry.span().attributes["keras.model.task"] == "binary"
