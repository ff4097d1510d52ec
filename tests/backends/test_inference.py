"""Exactly one span for each inference, on whichever backend KERAS_BACKEND names."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode

import keras_otel
from keras_otel.inference import observer
from tests.backends.models import (
    IS_EAGER,
    TRAINS,
    Averaging,
    Buildable,
    LabelTexts,
    Subclassed,
    classifier,
    rows,
    sequential,
    two_inputs,
    two_outputs,
)

eager = pytest.mark.skipif(not IS_EAGER, reason="OpenVINO computes nothing before predict")
trains = pytest.mark.skipif(not TRAINS, reason="this backend only infers")

BUILDERS = [classifier, sequential, Subclassed]


@pytest.mark.parametrize("build", BUILDERS)
def test_predict_is_one_span(telemetry, build):
    """`predict` makes one span, whatever it calls inside, and returns what it returns alone."""
    model = build()
    telemetry.spans()

    result = model.predict(rows(), verbose=0)

    span = telemetry.span()
    assert span.name.startswith("predict ")
    assert span.attributes["keras.operation.name"] == "predict"
    assert span.attributes["keras.prediction.class_id"] == int(result.argmax())
    assert span.attributes["keras.prediction.confidence"] == pytest.approx(float(result.max()))
    keras_otel.uninstrument()
    np.testing.assert_array_equal(result, model.predict(rows(), verbose=0))


@pytest.mark.parametrize("build", BUILDERS)
def test_predict_on_batch_is_one_span(telemetry, build):
    """`predict_on_batch` makes one span."""
    model = build()
    telemetry.spans()

    result = model.predict_on_batch(rows())

    span = telemetry.span()
    assert span.attributes["keras.operation.name"] == "predict_on_batch"
    assert span.attributes["keras.prediction.class_id"] == int(np.argmax(result))


@eager
@pytest.mark.parametrize("build", BUILDERS)
def test_calling_the_model_is_one_span(telemetry, build):
    """`model(x)` makes one span and returns an array of the backend's own type."""
    model = build()
    telemetry.spans()

    result = model(rows())

    span = telemetry.span()
    assert span.attributes["keras.operation.name"] == "call"
    values = keras.ops.convert_to_numpy(result)
    assert span.attributes["keras.prediction.confidence"] == pytest.approx(float(values.max()))
    keras_otel.uninstrument()
    assert type(result) is type(model(rows()))


def test_every_required_attribute_is_there_with_its_type(telemetry):
    """A span holds every attribute that is always there, each of its own type."""
    model = keras_otel.describe(classifier(name="intent"), labels=["a", "b", "c"], version="7")

    model.predict_on_batch(rows())

    span = telemetry.span()
    assert span.name == "predict_on_batch intent"
    assert span.kind is SpanKind.INTERNAL
    assert span.status.status_code is StatusCode.UNSET
    types = {key: type(value) for key, value in span.attributes.items()}
    assert types == {
        "keras.operation.name": str,
        "keras.model.name": str,
        "keras.model.version": str,
        "keras.model.fingerprint": str,
        "keras.model.class": str,
        "keras.model.task": str,
        "keras.model.precision": str,
        "keras.version": str,
        "keras.backend.name": str,
        "keras.runtime.name": str,
        "keras.batch.size": int,
        "keras.inference.duration": float,
        "keras.inference.cold": bool,
        "keras.prediction.class": str,
        "keras.prediction.class_id": int,
        "keras.prediction.confidence": float,
        "keras.prediction.margin": float,
    }
    assert span.attributes["keras.model.name"] == "intent"
    assert span.attributes["keras.model.version"] == "7"
    assert span.attributes["keras.model.class"] == "Functional"
    assert span.attributes["keras.backend.name"] == keras.backend.backend()
    assert span.attributes["keras.version"] == keras.__version__
    assert span.attributes["keras.runtime.name"] == "keras"
    assert span.attributes["keras.model.precision"] == "float32"


def test_the_span_lasts_as_long_as_the_call(telemetry):
    """Start and end enclose the measured duration exactly."""
    classifier().predict_on_batch(rows())

    span = telemetry.span()
    assert span.end_time - span.start_time == pytest.approx(
        span.attributes["keras.inference.duration"] * 1e9, abs=1
    )


def test_the_caller_is_the_parent(telemetry):
    """The span belongs to the trace of the span that is current around the call."""
    model = classifier()
    tracer = telemetry.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("request") as request:
        model.predict_on_batch(rows())

    span = telemetry.span()
    assert span.parent.span_id == request.get_span_context().span_id
    assert span.context.trace_id == request.get_span_context().trace_id


def test_only_the_first_call_is_cold(telemetry):
    """The call that builds the predict function says so, later ones do not."""
    model = classifier()

    for _ in range(3):
        model.predict_on_batch(rows())

    assert [s.attributes["keras.inference.cold"] for s in telemetry.spans()] == [True, False, False]


def test_a_small_batch_is_recorded_row_by_row(telemetry):
    """Up to `max_rows` rows appear as arrays of classes and confidences."""
    model = keras_otel.describe(classifier(), labels=["a", "b", "c"])

    result = np.asarray(model.predict_on_batch(rows(4)))

    attributes = telemetry.span().attributes
    assert attributes["keras.batch.size"] == 4
    assert attributes["keras.prediction.classes"] == tuple("abc"[i] for i in result.argmax(axis=1))
    assert attributes["keras.prediction.confidences"] == pytest.approx(result.max(axis=1))
    assert attributes["keras.batch.confidence_mean"] == pytest.approx(float(result.max(1).mean()))
    assert attributes["keras.batch.confidence_min"] == pytest.approx(float(result.max(1).min()))


def test_a_large_batch_is_summarised(telemetry):
    """Beyond `max_rows` rows only the summaries are recorded."""
    telemetry.instrument(max_rows=8)

    classifier().predict(rows(50), batch_size=20, verbose=0)

    attributes = telemetry.span().attributes
    assert attributes["keras.batch.size"] == 50
    assert "keras.prediction.classes" not in attributes
    assert 0 < attributes["keras.batch.confidence_min"] <= attributes["keras.batch.confidence_mean"]


@pytest.mark.parametrize("n", [1, 6])
def test_predict_takes_generators_and_datasets(telemetry, n):
    """`predict` is one span for arrays in batches, generators and PyDatasets."""

    class Data(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return (rows(n),)

    model = classifier()

    model.predict(((rows(n),) for _ in range(3)), verbose=0, steps=3)
    assert telemetry.span().attributes["keras.batch.size"] == 3 * n
    model.predict(Data(), verbose=0)
    assert telemetry.span().attributes["keras.batch.size"] == 3 * n


def test_several_outputs_have_attributes_of_their_own(telemetry):
    """A dict of outputs is recorded per output name, made safe for a key."""
    two_outputs().predict_on_batch(rows())

    attributes = telemetry.span().attributes
    assert "keras.prediction.class" not in attributes
    assert attributes["keras.output.topic.task"] == "multiclass"
    assert 0 < attributes["keras.output.topic.confidence"] <= 1
    assert attributes["keras.output.length_mm.task"] == "opaque"


def test_several_inputs_and_listed_outputs(telemetry):
    """A list of outputs takes the model's own output names; described labels go to theirs."""
    model = keras_otel.describe(
        two_inputs(),
        labels={"topic": ["x", "y", "z"], "flags": ["p", "q", "r", "s"]},
        threshold=0.0001,
    )

    model.predict_on_batch([rows(), rows()])

    attributes = telemetry.span().attributes
    assert attributes["keras.batch.size"] == 1
    assert attributes["keras.output.topic.class"] in ("x", "y", "z")
    assert attributes["keras.output.flags.labels"] == ("p", "q", "r", "s")


def test_an_overridden_predict_is_still_one_span(telemetry):
    """A `predict` that returns texts is one span, read from the one model call inside it."""
    model = LabelTexts()

    texts = model.predict(rows(), verbose=0)

    attributes = telemetry.span().attributes
    assert attributes["keras.operation.name"] == "predict"
    assert "abc"[attributes["keras.prediction.class_id"]] == texts[0]


def test_an_overridden_predict_is_read_from_its_own_result(telemetry):
    """A `predict` that averages three calls is one span of the average."""
    result = Averaging().predict(rows(), verbose=0)

    attributes = telemetry.span().attributes
    assert attributes["keras.prediction.confidence"] == pytest.approx(float(result.max()))


def test_a_class_defined_before_instrumenting_is_reached(providers):
    """Overrides of classes that exist already are wrapped, and unwrapped again."""
    original = vars(LabelTexts)["predict"]
    providers.instrument()
    assert vars(LabelTexts)["predict"] is not original
    keras_otel.uninstrument()
    assert vars(LabelTexts)["predict"] is original


def test_building_cloning_saving_and_loading_make_no_span(telemetry, tmp_path):
    """Only inferences make spans."""
    model = classifier()
    keras.models.clone_model(model)
    model.save(tmp_path / "m.keras")
    keras.models.load_model(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    model.load_weights(tmp_path / "m.weights.h5")
    keras.Model(model.inputs, model(model.inputs))
    model.compute_output_shape((None, 5))
    model.summary(print_fn=lambda _: None)
    keras.models.model_from_json(model.to_json())
    if TRAINS:
        Buildable().build((None, 5))

    assert telemetry.spans() == []


@trains
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_training_and_evaluating_make_no_span(telemetry, run_eagerly):
    """`fit`, `evaluate` and their `_on_batch` twins make no span, eager or not."""
    model = Subclassed()
    model.compile(loss="sparse_categorical_crossentropy", run_eagerly=run_eagerly)
    x, y = rows(8), np.zeros(8)

    model.fit(x, y, verbose=0, validation_data=(x, y))
    model.evaluate(x, y, verbose=0)
    model.train_on_batch(x, y)
    model.test_on_batch(x, y)
    model(x, training=True)

    assert telemetry.spans() == []


@trains
def test_predicting_in_a_training_callback_makes_no_span(telemetry):
    """What a callback predicts belongs to the training."""

    class Peek(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.predict(rows(), verbose=0)

    model = classifier()
    model.compile(loss="sparse_categorical_crossentropy")
    model.fit(rows(4), np.zeros(4), verbose=0, callbacks=[Peek()])

    assert telemetry.spans() == []


class TrainsByDefault(keras.Model):
    """A model whose `call` has `training=True` in its signature."""

    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(3, activation="softmax")

    def call(self, x, training=True):
        return self.head(x)


@eager
def test_training_by_default_is_an_inference_until_the_call_says_so(telemetry):
    """`call(self, x, training=True)` is a default and not a wish: a service calls `model(x)`."""
    model = TrainsByDefault()
    for arguments in ({}, {"training": False}, {"training": None}):
        model(rows(), **arguments)
        assert telemetry.span().name == "call TrainsByDefault"
    model(rows(), training=True)
    assert telemetry.spans() == []


@eager
@pytest.mark.parametrize("is_training", [True, False])
def test_a_model_called_by_a_layer_follows_the_layer(telemetry, is_training):
    """A model inside a layer that is called for training trains too."""

    class Around(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = TrainsByDefault()

        def call(self, x, training=None):
            return self.inner(x)

    layer = Around()
    layer(rows())
    telemetry.spans()
    layer(rows(), training=is_training)
    assert len(telemetry.spans()) == (0 if is_training else 1)


@trains
def test_quantizing_makes_no_span_and_another_fingerprint(telemetry):
    """Quantising is no inference, and the model after it is another one."""
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
    model.predict_on_batch(rows())
    model.quantize("int8")
    model.predict_on_batch(rows())

    before, after = telemetry.spans()
    assert before.attributes["keras.model.precision"] == "float32"
    assert after.attributes["keras.model.precision"] == "int8"
    assert (
        before.attributes["keras.model.fingerprint"] != after.attributes["keras.model.fingerprint"]
    )


@eager
def test_an_exception_reaches_the_caller_as_it_was(telemetry):
    """The caller gets the very object that the model raised, after an ERROR span."""
    error = RuntimeError("bad shape")

    class Raises(keras.Model):
        def predict(self, x):
            raise error

        def call(self, x):
            raise error

    with pytest.raises(RuntimeError) as caught:
        Raises().predict(rows(3))
    assert caught.value is error
    assert telemetry.span().status.description == "bad shape"

    with pytest.raises(RuntimeError) as caught:
        Raises()(rows(3))  # Keras replaces what `call` raises by an error of its own
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == str(caught.value)
    assert span.attributes["error.type"] == "RuntimeError"
    assert span.attributes["keras.batch.size"] == 3
    assert [event.name for event in span.events] == ["exception"]


@eager
def test_a_keyboard_interrupt_passes(telemetry):
    """Ctrl-C is the caller's, and the span says so."""

    class Interrupted(keras.Model):
        def call(self, x):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Interrupted()(rows())

    assert telemetry.span().attributes["error.type"] == "KeyboardInterrupt"


def test_an_interrupt_in_telemetry_does_not_silence_what_follows(telemetry, monkeypatch):
    """Ctrl-C while a span is made reaches the caller, and the next inference has its span."""

    def interrupted(*args):
        raise KeyboardInterrupt

    model = classifier()
    with monkeypatch.context() as patch:
        patch.setattr(observer.Observer, "finished", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.predict_on_batch(rows())
    model.predict_on_batch(rows())
    assert len(telemetry.spans()) == 1


def test_a_wrong_shape_is_an_error_span_of_the_models_task(telemetry):
    """A failed predict keeps Keras's exception and says which model and task failed."""
    model = classifier(name="intent")

    with pytest.raises(Exception) as alone:
        model.predict_on_batch(np.ones((1, 9), "float32"))

    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"].endswith(type(alone.value).__name__)
    assert span.attributes["keras.model.task"] == "multiclass"
    assert "keras.prediction.class" not in span.attributes


def test_suppressed_instrumentation_is_honoured(telemetry):
    """Under `suppress_instrumentation()` nothing is recorded."""
    model = classifier()
    with suppress_instrumentation():
        model.predict_on_batch(rows())
    assert telemetry.spans() == []
    model.predict_on_batch(rows())
    assert len(telemetry.spans()) == 1


def test_the_hook_sees_span_and_inference(telemetry):
    """`on_prediction` gets the recording span and what was predicted."""
    seen = []

    def hook(span, inference):
        span.set_attribute("app.tier", "gold")
        seen.append(inference)

    telemetry.instrument(on_prediction=hook)
    model = keras_otel.describe(classifier(), labels=["a", "b", "c"])
    model.predict_on_batch(rows(2))

    assert telemetry.span().attributes["app.tier"] == "gold"
    (inference,) = seen
    assert inference.rows == 2
    assert inference.outputs[0].prediction(1).class_name in ("a", "b", "c")


def test_a_hook_that_predicts_does_not_recurse(telemetry):
    """A hook that calls the model itself makes no further span."""
    model = classifier()
    telemetry.instrument(on_prediction=lambda span, inference: model.predict_on_batch(rows()))

    model.predict_on_batch(rows())

    assert len(telemetry.spans()) == 1


def test_the_openinference_kind_is_added_on_request(telemetry):
    """With `openinference=True` a classifier is a DECISION span."""
    telemetry.instrument(openinference=True)
    classifier().predict_on_batch(rows())
    assert telemetry.span().attributes["openinference.span.kind"] == "DECISION"


def test_keras_model_is_as_it_was_after_a_hundred_cycles(providers):
    """Instrumenting and uninstrumenting leaves `vars(keras.Model)` as it was."""
    before = dict(vars(keras.Model))
    for cycle in range(100):
        providers.instrument()
        assert dict(vars(keras.Model)) != before
        if cycle == 0:
            classifier().predict_on_batch(rows())
        keras_otel.uninstrument()
        assert dict(vars(keras.Model)) == before
    assert len(providers.spans()) == 1
    classifier().predict_on_batch(rows())
    assert providers.spans() == []


def test_instrumenting_twice_makes_one_span(telemetry):
    """A second `instrument()` changes nothing."""
    keras_otel.instrument()
    keras_otel.instrument()
    classifier().predict_on_batch(rows())
    assert len(telemetry.spans()) == 1


def test_someone_elses_patch_stays(providers):
    """A wrapper put over ours stays when we leave, and ours beneath it goes quiet."""
    providers.instrument()
    ours = keras.Model.predict_on_batch
    keras.Model.predict_on_batch = theirs = lambda self, x: ours(self, x)
    try:
        keras_otel.uninstrument()
        assert keras.Model.predict_on_batch is theirs
        classifier().predict_on_batch(rows())
        assert providers.spans() == []
    finally:
        del keras.Model.predict_on_batch


@eager
def test_a_model_without_a_hash_is_traced(telemetry):
    """A model that defines equality and no hash is traced like any other."""

    class Equal(Subclassed):
        __hash__ = None

        def __eq__(self, other):
            return True

    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch's own module cannot call a model without a hash")
    Equal()(rows())
    assert len(telemetry.spans()) == 1
