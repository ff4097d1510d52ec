"""Models inside `tf.function`: AutoGraph does with a user's code what it does without keras_otel."""

from __future__ import annotations

import functools
import logging
import re

import keras
import numpy as np
import pytest

import keras_otel
from keras_otel._guard import failure_counts
from keras_otel.inference.seen import TracedCalls
from tests.backends.models import WIDTH, rows

if keras.backend.backend() != "tensorflow":
    pytest.skip("AutoGraph is TensorFlow's", allow_module_level=True)

import tensorflow as tf
from tensorflow.python.autograph.impl import api


class Plain(keras.Model):
    """A model without control flow."""

    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.head(x)


class BranchingCall(Plain):
    @tf.function
    def call(self, x):
        if tf.reduce_sum(x) > 0:
            return self.head(x)
        return self.head(-x)


class Unconvertible(Plain):
    """Keras 3 does not convert `call`: this one cannot be traced, with us or without."""

    def call(self, x):
        if tf.reduce_sum(x) > 0:
            return self.head(x)
        return self.head(-x)


class Branching(Plain):
    """Statements, which AutoGraph rewrites."""

    def __call__(self, x):
        if tf.reduce_sum(x) > 0:  # noqa: SIM108 - the statement is what is tested
            y = super().__call__(x)
        else:
            y = super().__call__(-x)
        return y

    def predict_on_batch(self, x):
        if tf.reduce_sum(x) > 0:  # noqa: SIM108 - the statement is what is tested
            y = self.head(x)
        else:
            y = self.head(-x)
        return y

    predict = predict_on_batch


class Looping(Branching):
    def __call__(self, x):
        for _ in tf.range(2):
            x = x + 1.0
        return super().__call__(x)


class Wrapped(Branching):
    def __call__(self, x):
        return tf.cond(
            tf.reduce_sum(x) > 0, lambda: self.head(x), lambda: super(Wrapped, self).__call__(x)
        )


def within(call, **options):
    @tf.function(**options)
    def function(x):
        if tf.reduce_sum(x) > 1000:  # noqa: SIM108 - the statement is what is tested
            y = call(x)
        else:
            y = call(-x)
        return y

    return function


def mapped(call, x):
    (result,) = tf.data.Dataset.from_tensors(x).map(call)
    return result


def held(model):
    """An object whose method is a traced function."""

    class Holder:
        classify = keras_otel.traced(lambda _self, x: model(x), model)

    return Holder()


FORMS = {
    "tf.function(model)": lambda m, x: tf.function(m)(x),
    "tf.function(model.__call__)": lambda m, x: tf.function(m.__call__)(x),
    "tf.function(model.call)": lambda m, x: tf.function(m.call)(x),
    "tf.function(model.predict_on_batch)": lambda m, x: tf.function(m.predict_on_batch)(x),
    "tf.function(model.predict)": lambda m, x: tf.function(m.predict)(x),
    "tf.function(partial(model))": lambda m, x: tf.function(functools.partial(m))(x),
    "without AutoGraph": lambda m, x: tf.function(m, autograph=False)(x),
    "in a function": lambda m, x: within(m)(x),
    "in a function without AutoGraph": lambda m, x: tf.function(
        lambda rows: m(rows), autograph=False
    )(x),
    "a method in a function": lambda m, x: within(m.predict_on_batch)(x),
    "tf.map_fn": lambda m, x: tf.map_fn(m, x[None]),
    "tf.map_fn in a function": lambda m, x: tf.function(lambda rows: tf.map_fn(m, rows))(x[None]),
    "tf.cond": lambda m, x: tf.function(
        lambda rows: tf.cond(tf.reduce_sum(rows) > 0, lambda: m(rows), lambda: m(-rows))
    )(x),
    "Dataset.map(model)": mapped,
    "Dataset.map(method)": lambda m, x: mapped(m.predict_on_batch, x),
    "a traced function in a function": lambda m, x: within(keras_otel.traced(m.__call__, m))(x),
    "a traced tf.function in a function": lambda m, x: within(keras_otel.traced(tf.function(m), m))(
        x
    ),
    "a traced method in a function": lambda m, x: within(held(m).classify)(x),
    "predict": lambda m, x: tf.constant(m.predict(x)),
}


def outcome(form, build):
    """The numbers that come of it, or the type of the exception."""
    keras.utils.set_random_seed(7)
    model = build()
    model(tf.ones((2, WIDTH)))
    try:
        return FORMS[form](model, tf.constant(rows(2))).numpy().round(5).tolist()
    except Exception as error:  # noqa: BLE001 - the outcome to compare is any exception
        return type(error)


@pytest.fixture
def autograph(monkeypatch):
    """What AutoGraph converts, and what it warns of."""

    class Records(logging.Handler):
        def emit(self, record):
            if re.search("AutoGraph|wrapt", record.getMessage()):
                warned.append(record.getMessage())

    warned, converted = [], []
    convert = api._convert_actual

    def converting(entity, context):
        converted.append(entity.__code__.co_qualname)
        return convert(entity, context)

    monkeypatch.setattr(api, "_convert_actual", converting)
    handler = Records()
    tf.get_logger().addHandler(handler)
    yield warned, converted
    tf.get_logger().removeHandler(handler)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "build", [Plain, BranchingCall, Unconvertible, Branching, Looping, Wrapped]
)
def test_a_model_in_a_graph_is_as_without_us(providers, autograph, build, form):
    """The same numbers or exception, no warning, and no rewriting of keras_otel's functions."""
    warned, converted = autograph
    expected = outcome("in a function" if "traced" in form else form, build)
    warned.clear()
    converted.clear()

    providers.instrument()
    try:
        assert outcome(form, build) == expected
    finally:
        keras_otel.uninstrument()

    assert warned == []
    ours = re.compile(r"wrapper|in_graph|observed|guarded|Observer|Keras3")
    assert [name for name in converted if ours.search(name)] == []


def test_control_flow_in_an_override_is_converted(telemetry):
    """What AutoGraph makes of `__call__` works for both branches of one graph, through a model."""
    model = Looping()
    model(tf.ones((2, WIDTH)))
    function = tf.function(model)
    up = tf.constant(rows(2))
    for x in (up, -up - 4.0):
        np.testing.assert_allclose(function(x), model(x), rtol=1e-5)
    assert function.experimental_get_tracing_count() == 1


def test_a_fault_in_noting_changes_nothing(providers, monkeypatch):
    """What keras_otel notes of a model in a graph may fail; the graph is built all the same."""
    expected = outcome("tf.function(model)", Branching)
    before = failure_counts().get("note a traced call", 0)
    monkeypatch.setattr(TracedCalls, "note", None)
    providers.instrument()
    try:
        assert outcome("tf.function(model)", Branching) == expected
    finally:
        keras_otel.uninstrument()
    assert failure_counts()["note a traced call"] > before
