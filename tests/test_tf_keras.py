"""Keras 2 (`tf_keras`), in the same process as Keras 3."""

from __future__ import annotations

import numpy as np
import pytest
from opentelemetry.trace import StatusCode

import keras_otel

tf_keras = pytest.importorskip("tf_keras")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def rows(n=1):
    return np.random.default_rng(n).normal(size=(n, 5)).astype("float32")


def classifier(**kwargs):
    return tf_keras.Sequential(
        [tf_keras.Input((5,)), tf_keras.layers.Dense(3, activation="softmax")], **kwargs
    )


class Overrides(tf_keras.Model):
    def __init__(self):
        super().__init__()
        self.head = classifier()

    def call(self, inputs):
        return self.head(inputs)

    def predict(self, x, **kwargs):
        return ["abc"[i] for i in super().predict(x, **kwargs).argmax(axis=1)]


@pytest.mark.parametrize("operation", ["predict", "predict_on_batch", "call"])
def test_each_call_is_one_span(telemetry, operation):
    """`predict`, `predict_on_batch` and `model(x)` make one span each, of runtime tf_keras."""
    model = keras_otel.describe(classifier(name="intent"), labels=["a", "b", "c"])
    call = {
        "predict": lambda: model.predict(rows(), verbose=0),
        "predict_on_batch": lambda: model.predict_on_batch(rows()),
        "call": lambda: model(rows()),
    }[operation]

    result = np.asarray(call())

    span = telemetry.span()
    assert span.name == f"{operation} intent"
    assert span.attributes["keras.runtime.name"] == "tf_keras"
    assert span.attributes["keras.backend.name"] == "tensorflow"
    assert span.attributes["keras.version"] == tf_keras.__version__
    assert span.attributes["keras.prediction.class"] == "abc"[int(result.argmax())]
    assert span.attributes["keras.prediction.confidence"] == pytest.approx(float(result.max()))


def test_an_overridden_predict_is_one_span(telemetry):
    """A `predict` that returns texts is one span with the class inside it."""
    texts = Overrides().predict(rows(), verbose=0)
    assert "abc"[telemetry.span().attributes["keras.prediction.class_id"]] == texts[0]


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_training_building_and_saving_make_no_span(telemetry, tmp_path, run_eagerly):
    """Only inferences make spans."""
    model = classifier()
    model.compile(loss="sparse_categorical_crossentropy", run_eagerly=run_eagerly)
    x, y = rows(8), np.zeros(8)
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.train_on_batch(x, y)
    model.test_on_batch(x, y)
    model(x, training=True)
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    model.save(tmp_path / "m", save_format="tf")
    for name in ("m.keras", "m.h5", "m"):
        tf_keras.models.load_model(tmp_path / name)
    tf_keras.models.clone_model(model)
    assert telemetry.spans() == []


@pytest.mark.parametrize("name", ["intent.keras", "intent.h5"])
def test_a_loaded_model_has_its_path_and_fingerprint(telemetry, tmp_path, name):
    """The path names a loaded model, and its fingerprint is that of the saved one."""
    model = classifier()
    model.predict_on_batch(rows())
    before = telemetry.span().attributes["keras.model.fingerprint"]
    model.save(tmp_path / name)

    tf_keras.models.load_model(tmp_path / name).predict_on_batch(rows())

    attributes = telemetry.span().attributes
    assert attributes["keras.model.name"] == "intent"
    assert attributes["keras.model.fingerprint"] == before


def test_training_changes_the_fingerprint(telemetry):
    """After `fit` the model is another one."""
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.predict_on_batch(rows())
    model.fit(rows(8), np.zeros(8), verbose=0)
    model.predict_on_batch(rows())
    before, after = telemetry.spans()
    assert (
        before.attributes["keras.model.fingerprint"] != after.attributes["keras.model.fingerprint"]
    )


def test_an_error_is_the_callers_own(telemetry):
    """A failed predict keeps its exception and makes an ERROR span."""
    with pytest.raises(Exception) as caught:
        classifier().predict_on_batch(np.ones((1, 9), "float32"))
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"].endswith(type(caught.value).__name__)


def test_its_model_is_as_it_was_afterwards(providers):
    """Uninstrumenting leaves `vars(tf_keras.Model)` as it was."""
    before = dict(vars(tf_keras.Model))
    for _ in range(3):
        providers.instrument()
        assert dict(vars(tf_keras.Model)) != before
        keras_otel.uninstrument()
    assert dict(vars(tf_keras.Model)) == before


def test_both_keras_in_one_process(telemetry):
    """Keras 3 and Keras 2 models beside each other are told apart."""
    import keras

    keras.Sequential([keras.layers.Dense(3, activation="softmax")]).predict_on_batch(rows())
    classifier().predict_on_batch(rows())
    runtimes = [span.attributes["keras.runtime.name"] for span in telemetry.spans()]
    assert runtimes == ["keras", "tf_keras"]


class TrainsByDefault(tf_keras.Model):
    def __init__(self):
        super().__init__()
        self.head = classifier()

    def call(self, inputs, training=True):
        return self.head(inputs)


def test_training_by_default_is_an_inference_until_the_call_says_so(telemetry):
    """`call(self, x, training=True)` is a default and not a wish: a service calls `model(x)`."""
    model = TrainsByDefault()
    for arguments in ({}, {"training": False}, {"training": None}):
        model(rows(), **arguments)
        assert telemetry.span().name == "call TrainsByDefault"
    model(rows(), training=True)
    assert telemetry.spans() == []


@pytest.mark.parametrize("is_training", [True, False])
def test_a_model_called_by_a_layer_follows_the_layer(telemetry, is_training):
    """A model inside a layer that is called for training trains too."""

    class Around(tf_keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = TrainsByDefault()

        def call(self, inputs, training=None):
            return self.inner(inputs)

    layer = Around()
    layer(rows())
    telemetry.spans()
    layer(rows(), training=is_training)
    assert len(telemetry.spans()) == (0 if is_training else 1)


def test_autograph_converts_what_it_converts_without_us(providers):
    """A `tf.function` over a model whose `call` branches on a tensor works for both branches."""
    import tensorflow as tf

    class Branches(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.head = tf_keras.layers.Dense(3, activation="softmax")

        def call(self, x):
            if tf.reduce_sum(x) > 0:  # noqa: SIM108 - the statement is what is tested
                y = self.head(x)
            else:
                y = self.head(-x)
            return y

    def outcomes():
        tf_keras.utils.set_random_seed(7)
        model = Branches()
        forms = (
            tf.function(model),
            tf.function(lambda x: model(x)),
            lambda x: next(iter(tf.data.Dataset.from_tensors(x).map(model))),
        )
        return [f(x).numpy() for f in forms for x in (tf.ones((1, 5)), -tf.ones((1, 5)))]

    expected = outcomes()
    providers.instrument()
    try:
        np.testing.assert_array_equal(outcomes(), expected)
    finally:
        keras_otel.uninstrument()
    assert providers.spans() == []
