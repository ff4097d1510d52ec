"""Functions compiled around a model, and what each backend does differently."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_otel
from tests.backends.models import IS_EAGER, WIDTH, classifier, rows

BACKEND = keras.backend.backend()

pytestmark = pytest.mark.skipif(not IS_EAGER, reason="OpenVINO computes nothing before predict")


def compiled(model):
    """The model inside this backend's own compiled function."""
    match BACKEND:
        case "tensorflow":
            import tensorflow as tf

            return tf.function(lambda x: model(x), autograph=True)
        case "jax":
            import jax

            return jax.jit(lambda x: model(x))
        case "torch":
            import torch

            return torch.compile(lambda x: model(x), backend="eager", fullgraph=True)
        case _:
            pytest.skip("this backend has no compiler of its own")


def tensor(n=1):
    return keras.ops.convert_to_tensor(rows(n))


def test_a_compiled_function_alone_makes_no_span(telemetry):
    """Neither tracing nor running a compiled function that nobody wrapped makes a span."""
    function = compiled(classifier())
    function(tensor())
    function(tensor())
    assert telemetry.spans() == []


def test_a_traced_function_is_one_span_a_call(telemetry):
    """`traced` makes each call one span, the one that compiles included, and returns the same."""
    model = keras_otel.describe(classifier(name="intent"), labels=["a", "b", "c"])
    plain = compiled(model)
    function = keras_otel.traced(plain, model)

    results = [keras.ops.convert_to_numpy(function(tensor())) for _ in range(3)]

    spans = telemetry.spans()
    assert [span.name for span in spans] == ["traced intent"] * 3
    assert [span.attributes["keras.inference.cold"] for span in spans] == [True, False, False]
    assert spans[0].attributes["keras.prediction.class"] == "abc"[int(results[0].argmax())]
    assert type(function(tensor())) is type(plain(tensor()))


def test_a_traced_function_keeps_its_attributes(telemetry):
    """What the compiled function offers beside being called stays reachable."""
    model = classifier()
    plain = compiled(model)
    function = keras_otel.traced(plain, model)
    match BACKEND:
        case "tensorflow":
            assert function.get_concrete_function(tensor()) is not None
        case "jax":
            assert function.lower(tensor()) is not None
        case _:
            assert function.__wrapped__ is plain
    assert telemetry.spans() == []


def test_a_traced_function_without_instrumentation_is_itself(providers):
    """`traced` may stay in the code of a process that is not instrumented."""
    model = classifier()
    function = keras_otel.traced(compiled(model), model)
    function(tensor())
    assert providers.spans() == []


def test_a_traced_function_that_raises(telemetry):
    """The exception of a traced function is the caller's own, after an ERROR span."""
    error = ValueError("no")

    def fails(x):
        raise error

    model = classifier()
    with pytest.raises(ValueError, match="no") as caught:
        keras_otel.traced(fails, model)(tensor(2))
    assert caught.value is error
    assert telemetry.span().attributes["error.type"] == "ValueError"


def test_traced_needs_a_callable():
    """Arguments in the wrong order are said so."""
    with pytest.raises(TypeError, match="pass the compiled function first"):
        keras_otel.traced(None, compiled)


def holder(model):
    """An object of a user's that holds a model, as scikit-learn wrappers do."""

    class Holder:
        model_ = model

    return Holder()


@pytest.mark.parametrize("what", [lambda model: None, holder, type, lambda model: model.predict])
@pytest.mark.parametrize("is_instrumented", [True, False])
def test_traced_refuses_what_is_no_model(providers, what, is_instrumented):
    """Where no inference could ever be recorded, `traced` says so at once and how to mend it."""
    if is_instrumented:
        providers.instrument()
    model = classifier()
    try:
        with pytest.raises(TypeError, match=r"needs a Keras model or layer, got .*TFSMLayer"):
            keras_otel.traced(compiled(model), what(model))
        with pytest.raises(TypeError, match=r"describe\(model\) needs a Keras model or layer"):
            keras_otel.describe(what(model), name="intent")
    finally:
        keras_otel.uninstrument()


@pytest.mark.parametrize("n", [1, 40])
def test_a_traced_softmax_over_logits_is_not_applied_twice(telemetry, n):
    """Where the wrapped function already returns probabilities they are taken as they are."""
    model = classifier("linear")
    keras_otel.describe(model, task="multiclass")
    function = keras_otel.traced(lambda x: keras.ops.softmax(model(x)), model)

    result = keras.ops.convert_to_numpy(function(tensor(n)))

    attributes = telemetry.span().attributes
    key = "keras.prediction.confidence" if n == 1 else "keras.batch.confidence_mean"
    assert attributes[key] == pytest.approx(float(result.max(axis=1).mean()), rel=1e-5)


def test_gradients_make_no_wrong_span(telemetry):
    """Differentiating through a model is traced as symbolic where the backend traces it."""
    model = classifier()
    match BACKEND:
        case "jax":
            import jax

            jax.grad(lambda x: model(x).sum())(tensor())
            jax.vmap(lambda x: model(x[None]))(tensor(3))
            assert telemetry.spans() == []
        case "torch":
            import torch

            torch.func.vmap(lambda x: model(x[None])[0])(tensor(3))
            torch.func.grad(lambda x: model(x).sum())(tensor())
            torch.export.export(model, (tensor(),))
            assert telemetry.spans() == []
        case "tensorflow":
            import tensorflow as tf

            x = tensor()
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = model(x)
            assert tape.gradient(y, x) is not None
            assert len(telemetry.spans()) == 1  # eager, so a concrete call
        case _:
            pytest.skip("this backend has no gradients")


@pytest.mark.skipif(BACKEND != "torch", reason="about torch.compile")
def test_torch_compile_of_predict(telemetry):
    """Keras's own use of torch.compile inside `predict` is one span."""
    model = classifier()
    model.compile(jit_compile=True)
    model.predict(rows(2), verbose=0)
    assert telemetry.span().attributes["keras.batch.size"] == 2


@pytest.mark.skipif(BACKEND != "torch", reason="about torch dtypes")
def test_bfloat16_outputs_are_read(telemetry):
    """A bfloat16 model has a class, a confidence and its precision."""
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax", dtype="bfloat16")])
    model(tensor())
    attributes = telemetry.span().attributes
    assert attributes["keras.model.precision"] == "bfloat16"
    assert 0.33 < attributes["keras.prediction.confidence"] <= 1.0


@pytest.mark.skipif(BACKEND not in ("tensorflow", "jax"), reason="about float16 on these backends")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16"])
def test_half_precision_outputs_are_read(telemetry, dtype):
    """Half precision outputs are decoded like any other."""
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax", dtype=dtype)])
    result = np.asarray(keras.ops.cast(model(tensor()), "float32"))
    attributes = telemetry.span().attributes
    assert attributes["keras.prediction.class_id"] == int(result.argmax())
    assert attributes["keras.prediction.confidence"] == pytest.approx(float(result.max()))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="about TensorFlow")
class TestTensorFlow:
    def test_tf_data(self, telemetry):
        """`predict` on a tf.data pipeline is one span of all its rows."""
        import tensorflow as tf

        data = tf.data.Dataset.from_tensor_slices(rows(10)).batch(4)
        classifier().predict(data, verbose=0)
        assert telemetry.span().attributes["keras.batch.size"] == 10

    def test_autograph_still_converts_the_users_call(self, telemetry):
        """A tf.function over a model whose `call` branches on a tensor works as without us."""
        import tensorflow as tf

        class Branches(keras.Model):
            def __init__(self):
                super().__init__()
                self.head = keras.layers.Dense(3, activation="softmax")

            @tf.function
            def call(self, x):
                if tf.reduce_sum(x) > 0:
                    return self.head(x)
                return self.head(-x)

        model = Branches()
        function = tf.function(model)
        np.testing.assert_allclose(function(tensor()), function(-tensor()))
        assert telemetry.spans() == []

    def test_a_ragged_output_is_marked(self, telemetry):
        """A ragged output is opaque with a reason, and comes back as it was."""
        import tensorflow as tf

        class Ragged(keras.Model):
            def call(self, x):
                return tf.ragged.constant([[1.0, 2.0], [3.0]])

        result = Ragged()(tensor(2))
        assert isinstance(result, tf.RaggedTensor)
        attributes = telemetry.span().attributes
        assert attributes["keras.model.task"] == "opaque"
        assert attributes["keras.prediction.opaque_reason"].startswith(
            "output of type RaggedTensor"
        )

    def test_exporting_and_a_saved_model_layer(self, telemetry, tmp_path):
        """Exporting makes no span; a `TFSMLayer` on the artefact is named and versioned by it."""
        path = tmp_path / "toxicity" / "7"
        classifier().export(path, verbose=False)
        assert telemetry.spans() == []

        layer = keras.layers.TFSMLayer(path, call_endpoint="serve")
        keras_otel.describe(layer, task="multiclass", labels=["a", "b", "c"])
        layer(tensor())

        attributes = telemetry.span().attributes
        assert attributes["keras.model.name"] == "toxicity"
        assert attributes["keras.model.version"] == "7"
        assert attributes["keras.model.class"] == "TFSMLayer"
        assert attributes["keras.prediction.class"] in ("a", "b", "c")

    def test_a_saved_model_is_refused_and_its_layer_taken(self, telemetry, tmp_path):
        """A SavedModel as loaded is no model to `traced`; its Keras model or a layer on it is."""
        import tensorflow as tf

        model = classifier()
        model.export(tmp_path / "m", verbose=False)
        loaded = tf.saved_model.load(tmp_path / "m")
        for function in (loaded.serve, loaded.signatures["serving_default"]):
            with pytest.raises(TypeError, match="TFSMLayer"):
                keras_otel.traced(function, loaded)

        layer = keras.layers.TFSMLayer(tmp_path / "m", call_endpoint="serve")
        for owner in (model, layer):
            result = keras_otel.traced(loaded.serve, owner)(tensor())
            attributes = telemetry.span().attributes
            assert attributes["keras.prediction.class_id"] == int(np.argmax(result))

    def test_a_saved_model_layer_inside_a_model_is_one_span(self, telemetry, tmp_path):
        """The model around a `TFSMLayer` is the outermost call."""
        classifier().export(tmp_path / "m", verbose=False)
        layer = keras.layers.TFSMLayer(tmp_path / "m", call_endpoint="serve")
        inputs = keras.Input((WIDTH,))
        model = keras.Model(inputs, layer(inputs), name="around")
        model(tensor())
        assert telemetry.span().attributes["keras.model.name"] == "around"
